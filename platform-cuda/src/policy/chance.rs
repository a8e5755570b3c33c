//! `Chance`: any may go. Floor: first.
//!
//! A yardstick: against a cyclic order it keeps what LRU always loses.

use super::{Policy, Rank, Seen, View};
use crate::{order::Order, random::Random};

/// See the module's documentation.
#[derive(Clone, Debug)]
pub struct Chance(Random);

impl Chance {
    /// Runs with the same seed choose alike.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(Random::new(seed))
    }
}

impl Policy for Chance {
    fn name(&self) -> &'static str {
        "random"
    }

    fn rank(&mut self, _: View, _: &Seen, _: &mut u64) -> Rank {
        Rank::of(0)
    }

    fn choose(&mut self, order: &Order, _: u64) -> Option<u32> {
        order.any(0, &mut self.0)
    }
}
