//! `Hedge`: follows the predictions, or the states' own pasts, whichever erred less so far. Floor: first.
//!
//! Both orders are kept at all times, so changing sides costs nothing. This is following the leader; it
//! has no bound in the worst case (an adversary may alternate), for which there is `Guard`.

use super::{Policy, Rank, Seen, View, WORTH_FETCHING_256THS};
use crate::distance::Trust;

/// See the module's documentation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hedge;

impl Policy for Hedge {
    fn name(&self) -> &'static str {
        "hedge"
    }

    fn views(&self) -> &'static [View] {
        &[View::Hinted, View::OwnGap]
    }

    fn rank(&mut self, view: View, seen: &Seen, _: &mut u64) -> Rank {
        Rank::of(seen.key(view))
    }

    fn believed(&self, trust: &Trust) -> View {
        if trust.hinted_error() <= trust.own_error() { View::Hinted } else { View::OwnGap }
    }

    fn foresees(&self, trust: &Trust) -> bool {
        trust.hinted_error().min(trust.own_error()) < WORTH_FETCHING_256THS
    }
}
