//! `Lru`: what was used longest ago goes first. Floor: first.

use super::{Policy, Rank, Seen, View};

/// See the module's documentation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lru;

impl Policy for Lru {
    fn name(&self) -> &'static str {
        "lru"
    }

    fn rank(&mut self, _: View, seen: &Seen, _: &mut u64) -> Rank {
        Rank::of(u64::MAX - seen.use_order)
    }
}
