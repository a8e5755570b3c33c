//! `Swap`: what came first goes first, and nothing is fetched ahead. Floor: first.
//!
//! With a caller that asks for one state at a time and waits for it, this is the naive swapping of whole
//! models in and out.

use super::{Policy, Rank, Seen, View};

/// See the module's documentation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Swap;

impl Policy for Swap {
    fn name(&self) -> &'static str {
        "swap"
    }

    fn rank(&mut self, _: View, seen: &Seen, _: &mut u64) -> Rank {
        Rank::of(u64::MAX - seen.load_order)
    }
}
