//! `Oracle`: Belady's rule on the true trace, for states of any size. Floor: first.
//!
//! Wants `Source::Oracle` for every agent. What is used last goes first; of those used in the same step
//! the largest, so that fewer have to go. For sizes that differ this is greedy, not optimal: the optimum is
//! NP-hard (Berger, Beckmann, Harchol-Balter: "Practical bounds on optimal caching with variable object
//! sizes", arXiv 1711.03709, has the bounds FOO and PFOO).

use super::{Policy, Rank, Seen, View};
use crate::distance::{NextUse, Trust};

/// See the module's documentation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Oracle;

impl Policy for Oracle {
    fn name(&self) -> &'static str {
        "oracle"
    }

    fn rank(&mut self, _: View, seen: &Seen, _: &mut u64) -> Rank {
        let size = u64::from(seen.bytes.checked_ilog2().unwrap_or(0));
        Rank::of(match seen.hinted.step() {
            Some(step) => NextUse::after(step, size).key(),
            None => seen.key(View::Hinted),
        })
    }

    fn foresees(&self, _: &Trust) -> bool {
        true
    }
}
