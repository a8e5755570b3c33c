//! `OwnGap`: what its own past says comes last goes first. Needs no source. Floor: first.

use super::{Policy, Rank, Seen, View, WORTH_FETCHING_256THS};
use crate::distance::Trust;

/// See the module's documentation.
#[derive(Clone, Copy, Debug, Default)]
pub struct OwnGap;

impl Policy for OwnGap {
    fn name(&self) -> &'static str {
        "own gap"
    }

    fn views(&self) -> &'static [View] {
        &[View::OwnGap]
    }

    fn rank(&mut self, view: View, seen: &Seen, _: &mut u64) -> Rank {
        Rank::of(seen.key(view))
    }

    fn foresees(&self, trust: &Trust) -> bool {
        trust.own_error() < WORTH_FETCHING_256THS
    }
}
