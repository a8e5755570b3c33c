//! Which superslabs get huge pages: as many as the dial allows, once the heap is large and steady.
//! Floor: garden.
//!
//! | reads | gives |
//! |---|---|
//! | bytes in use, superslabs with huge pages | [`Act::Promote`] |
//!
//! Nothing while [`Dial::PromotePermille`] is 0. From [`LARGE`] bytes in use that moved by at most
//! a tenth for [`STEADY_MS`], [`BUDGET`] superslabs a turn, until an order brings no more of them;
//! then nothing until the bytes in use have moved. If promoted superslabs become fewer, purges undo
//! what was done: nothing for a while, which doubles each time.

use super::{Act, Orders, Policy, Reason, Seen};
use crate::dials::{Dial, Dials};

const LARGE: u64 = 64 << 20;
const STEADY_MS: u64 = 1000;
/// Superslabs a turn: the system may copy each of them.
const BUDGET: u32 = 2;
/// First and longest time without an order after promotions were undone.
const PAUSE_MS: u64 = 4000;
const LONGEST_MS: u64 = 256_000;

/// See the module's documentation.
#[derive(Debug)]
pub struct Promote {
    /// Bytes in use when they last moved, and time since.
    used_bytes: u64,
    steady_ms: u64,
    promoted: u32,
    /// Whether an order was given and its effect is not known yet; whether one had none.
    asked: bool,
    done: bool,
    wait_ms: u64,
    next_wait_ms: u64,
}

impl Promote {
    /// Nothing seen yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            used_bytes: 0,
            steady_ms: 0,
            promoted: 0,
            asked: false,
            done: false,
            wait_ms: 0,
            next_wait_ms: PAUSE_MS,
        }
    }

    fn look(&mut self, seen: &Seen) {
        self.wait_ms = self.wait_ms.saturating_sub(seen.span_ms);
        self.steady_ms = self.steady_ms.saturating_add(seen.span_ms);
        if seen.levels.used_bytes.abs_diff(self.used_bytes) > self.used_bytes / 10 {
            self.used_bytes = seen.levels.used_bytes;
            self.steady_ms = 0;
            self.done = false;
        }
        let promoted = core::mem::replace(&mut self.promoted, seen.levels.promoted);
        let asked = core::mem::take(&mut self.asked);
        if self.promoted < promoted {
            self.wait_ms = self.next_wait_ms;
            self.next_wait_ms = (self.next_wait_ms * 2).min(LONGEST_MS);
        } else if asked && self.promoted == promoted {
            self.done = true;
        }
    }
}

impl Policy for Promote {
    fn decide(&mut self, seen: &Seen, dials: &Dials, orders: &mut Orders) {
        self.look(seen);
        if dials.get(Dial::PromotePermille) == 0
            || self.used_bytes < LARGE
            || self.steady_ms < STEADY_MS
            || self.wait_ms > 0
            || self.done
        {
            return;
        }
        self.asked = orders.give(Act::Promote(BUDGET), Reason::LargeAndSteady);
    }
}

impl Default for Promote {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ace::scene::{scene, settles, take};

    fn heap(mib: u64, promoted: u32) -> Seen {
        let mut seen = scene();
        (seen.levels.used_bytes, seen.levels.promoted) = (mib << 20, promoted);
        seen
    }

    /// Turns with an order until there is none for a hundred turns; each one promotes `effect`.
    fn orders(policy: &mut Promote, dials: &Dials, mib: u64, promoted: &mut u32, most: u32) -> u32 {
        let (mut given, mut silent) = (0, 0);
        while silent < 100 {
            if take(policy, dials, &heap(mib, *promoted)).is_empty() {
                silent += 1;
            } else {
                (given, silent) = (given + 1, 0);
                *promoted = (*promoted + BUDGET).min(most);
            }
        }
        given
    }

    #[test]
    fn a_large_and_steady_heap_is_promoted_until_there_is_no_more_of_it() {
        let (mut policy, dials) = (Promote::new(), Dials::new());
        assert_eq!(orders(&mut policy, &dials, 256, &mut 0, 10), 0, "the dial says none");
        dials.set(Dial::PromotePermille, 900);
        assert_eq!(orders(&mut Promote::new(), &dials, 32, &mut 0, 10), 0, "too small");
        let mut promoted = 0;
        assert_eq!(orders(&mut policy, &dials, 256, &mut promoted, 10), 6, "one found no more");
        settles(&mut policy, &dials, &heap(256, 10));
        assert_eq!(orders(&mut policy, &dials, 300, &mut promoted, 12), 2);
    }

    #[test]
    fn a_heap_that_moves_is_not_promoted() {
        let (mut policy, dials) = (Promote::new(), Dials::new());
        dials.set(Dial::PromotePermille, 900);
        for turn in 0..500 {
            let mib = if turn / 40 % 2 == 0 { 256 } else { 200 };
            assert!(take(&mut policy, &dials, &heap(mib, 0)).is_empty());
        }
    }

    #[test]
    fn promotions_that_are_undone_are_not_tried_again_for_a_while() {
        let (mut policy, dials) = (Promote::new(), Dials::new());
        dials.set(Dial::PromotePermille, 900);
        let mut turns_to_order = || {
            let mut turns = 1..100_000;
            let order = turns.find(|_| !take(&mut policy, &dials, &heap(256, 0)).is_empty());
            // It has its effect, and a purge undoes it.
            take(&mut policy, &dials, &heap(256, BUDGET));
            take(&mut policy, &dials, &heap(256, 0));
            order.expect("it is tried")
        };
        let turns = [0; 4].map(|_| turns_to_order());
        assert!(turns.is_sorted() && turns[1] >= 200 && turns[3] > 3 * turns[1], "{turns:?}");
    }
}
