//! `Distance`: what is predicted last goes first. Floor: first.
//!
//! The rule of `ScaleSim` and `KVFlow` (NeurIPS 2025), which is Belady's rule applied to predictions,
//! and `BlindOracle` in the literature: optimal for equal sizes as long as the predictions are right, and
//! without any bound once they are wrong. It takes them on trust and always fetches ahead.

use super::{Policy, Rank, Seen, View};
use crate::distance::Trust;

/// See the module's documentation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Distance;

impl Policy for Distance {
    fn name(&self) -> &'static str {
        "distance"
    }

    fn rank(&mut self, _: View, seen: &Seen, _: &mut u64) -> Rank {
        Rank::of(seen.key(View::Hinted))
    }

    fn foresees(&self, _: &Trust) -> bool {
        true
    }
}
