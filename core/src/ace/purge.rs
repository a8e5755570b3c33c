//! How much free memory stays resident beyond the dials' limit. Learned from reuse. Floor: garden.
//!
//! Memory that is wanted again within [`REUSE_MS`] of being given back was given back in vain: a
//! page fault for each of its pages. The allowance then rises to eight times what was wanted again,
//! at most to all that was given back in that time: a program that fills and empties a heap over
//! and over pays for an eighth of one cycle, and one that wants a little back does not keep a lot.
//! Downwards it follows the low water: what stayed free for a whole [`REUSE_MS`] is not needed, and
//! goes back now.
//!
//! What exceeds the limit goes back with the free that exceeds it, unless the heap is attended
//! ([`crate::Heap::set_attended`]): then it goes from here, as soon as nothing moves any more.

use super::{Act, Orders, Policy, Reason, Seen};
use crate::{
    dials::{Dial, Dials},
    stats::Events,
};

/// Reuse within this time counts as given back in vain; free memory that nobody wanted for this
/// time goes.
pub const REUSE_MS: u64 = 100;
/// Free memory beyond the limit goes when it stands still for this time.
const STILL_MS: u64 = 16;
/// How much more is allowed than was wanted again so far.
const FORESIGHT: u64 = 8;
/// A program that did nothing slow for so long is idle.
const IDLE_MS: u64 = 1000;
/// Less than this is not worth a call.
const LEAST: u64 = 1 << 20;

/// See the module's documentation.
#[derive(Debug)]
pub struct Purge {
    /// Bytes given back, and wanted again, in the window that the last purge keeps open.
    purged: u64,
    refaulted: u64,
    purged_at: u64,
    /// What was allowed to stay, however little was in use, when the window opened.
    base: u64,
    /// Low water of the window before this one, and of this one so far.
    low: u64,
    low_since: u64,
    /// Dirty bytes at the last turn, and whether they have moved in this window.
    dirty: u64,
    moved: bool,
    /// How long the dirty bytes have stood still above the limit.
    still_ms: u64,
    /// How long nothing at all has happened.
    idle_ms: u64,
}

impl Purge {
    /// Nothing learned.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            purged: 0,
            refaulted: 0,
            purged_at: 0,
            base: 0,
            low: u64::MAX,
            low_since: 0,
            dirty: 0,
            moved: false,
            still_ms: 0,
            idle_ms: 0,
        }
    }

    fn learn(&mut self, seen: &Seen, dials: &Dials, orders: &mut Orders) {
        if seen.now_ms > self.purged_at.saturating_add(REUSE_MS) {
            self.purged = 0;
            self.refaulted = 0;
        }
        // Only what was given back before this turn can have been wanted again in it.
        let refaulted = seen.events.refaulted_bytes;
        if refaulted > 0 && self.purged > 0 {
            self.refaulted = self.refaulted.saturating_add(refaulted);
            let learned = kib(dials.get(Dial::DirtyLearnedKib));
            let wanted = self.refaulted.saturating_mul(FORESIGHT).min(self.purged);
            let wanted = self.base.saturating_add(wanted).min(seen.levels.committed_bytes);
            if wanted > learned {
                orders.set(dials, Dial::DirtyLearnedKib, to_kib(wanted), Reason::Refaulted);
                // What is free now was just learned to be needed: the low water begins anew.
                self.low = u64::MAX;
                self.low_since = seen.now_ms;
            }
        }
        // Of purges in a long span nobody knows when they were; the benefit of the doubt goes to
        // memory.
        if seen.events.purged_bytes > 0 && seen.span_ms <= REUSE_MS {
            if self.purged == 0 {
                // The floor stayed as well: what was wanted again is needed besides.
                let kept = dials.get(Dial::DirtyLearnedKib).max(dials.get(Dial::DirtyFloorKib));
                self.base = kib(kept);
            }
            self.purged = self.purged.saturating_add(seen.events.purged_bytes);
            self.purged_at = seen.now_ms;
        }
    }

    /// Gives back what exceeds the limit when it is no longer in motion.
    fn shed(&mut self, seen: &Seen, dials: &Dials, orders: &mut Orders) {
        let (dirty, low) = (seen.levels.dirty_bytes, seen.levels.dirty_low_bytes);
        let limit = dials.dirty_limit(used(seen));
        let stands = dirty.abs_diff(self.dirty) < LEAST && dirty.saturating_sub(low) < LEAST;
        let before = self.still_ms;
        self.still_ms =
            if stands && dirty > limit as u64 { before.saturating_add(seen.span_ms) } else { 0 };
        // Once: memory that the system does not take (it may be locked) is not offered for ever.
        if before < STILL_MS && self.still_ms >= STILL_MS {
            let keep = limit - Dials::hysteresis(limit, seen.superslab_bytes);
            orders.give(Act::Purge(to_kib(keep as u64)), Reason::Unneeded);
        }
    }

    fn forget(&mut self, seen: &Seen, dials: &Dials, orders: &mut Orders) {
        self.low = self.low.min(seen.levels.dirty_low_bytes);
        let dirty = seen.levels.dirty_bytes;
        if seen.now_ms < self.low_since {
            // A clock that went back.
            self.low_since = seen.now_ms;
        }
        self.moved |= core::mem::replace(&mut self.dirty, dirty) != dirty;
        if seen.now_ms < self.low_since.saturating_add(REUSE_MS) {
            return;
        }
        let low = core::mem::replace(&mut self.low, dirty);
        let swings = core::mem::replace(&mut self.moved, false);
        self.low_since = seen.now_ms;
        let learned = kib(dials.get(Dial::DirtyLearnedKib)).min(seen.levels.committed_bytes);
        let share = dials.dirty_share(used(seen)) as u64;
        if learned == 0 {
            // More than the limit may be free if what was learned is forgotten, or the heap is
            // attended. What is back where it was at each turn has moved in between; what stands
            // still was offered already.
            let moves = swings || dirty.saturating_sub(low) >= LEAST;
            if moves && low > share {
                orders.give(Act::Purge(to_kib(dirty - (low - share))), Reason::Unneeded);
            }
            return;
        }
        // An eighth is slack where the heap swings: it does not fill to the same byte each time.
        let slack = learned / 8;
        let all = !swings || low >= learned - slack;
        let unneeded = if all { low } else { low.saturating_sub(slack) };
        // Nothing free at all, and nothing wanted either, for as long: what was learned is history.
        let idle = dirty == 0 && seen.events.refaulted_bytes == 0;
        if unneeded < LEAST && !idle {
            return;
        }
        let keep = dirty.saturating_sub(unneeded);
        // A program that uses all it has may still be in the swing that taught it: that fades.
        let fades = learned - unneeded.max(slack).min(learned);
        let left = if all && unneeded >= LEAST { keep } else { fades };
        let left = if left < LEAST { 0 } else { left };
        orders.set(dials, Dial::DirtyLearnedKib, to_kib(left), Reason::Unneeded);
        if unneeded >= LEAST {
            orders.give(Act::Purge(to_kib(keep.max(share))), Reason::Unneeded);
        }
    }
}

fn used(seen: &Seen) -> usize {
    usize::try_from(seen.levels.used_bytes).unwrap_or(usize::MAX)
}

fn kib(kib: u32) -> u64 {
    u64::from(kib) * 1024
}

fn to_kib(bytes: u64) -> u32 {
    u32::try_from(bytes / 1024).unwrap_or(u32::MAX)
}

impl Purge {
    /// A program that does nothing for [`IDLE_MS`] needs no free memory, whatever profile it runs
    /// in. What the host asked to keep by name is kept.
    fn rest(&mut self, seen: &Seen, dials: &Dials, orders: &mut Orders) {
        let dirty = seen.levels.dirty_bytes;
        let stands = dirty == self.dirty && dirty == seen.levels.dirty_low_bytes;
        let before = self.idle_ms;
        let is_quiet = stands && seen.events == Events::NONE;
        self.idle_ms = if is_quiet { before.saturating_add(seen.span_ms) } else { 0 };
        // Once: memory that the system does not take (it may be locked) is not offered for ever.
        let now_idle = before < IDLE_MS && self.idle_ms >= IDLE_MS;
        let asked = dials.is_pinned(Dial::DirtyFloorKib) || dials.is_pinned(Dial::DirtyPermille);
        if now_idle && !asked && dirty >= LEAST {
            orders.set(dials, Dial::DirtyLearnedKib, 0, Reason::Idle);
            orders.give(Act::Purge(0), Reason::Idle);
        }
    }
}

impl Policy for Purge {
    fn decide(&mut self, seen: &Seen, dials: &Dials, orders: &mut Orders) {
        if seen.denied > 0 {
            orders.set(dials, Dial::DirtyLearnedKib, 0, Reason::Denied);
            orders.give(Act::Purge(0), Reason::Denied);
            return;
        }
        self.rest(seen, dials, orders);
        self.learn(seen, dials, orders);
        self.shed(seen, dials, orders);
        self.forget(seen, dials, orders);
    }
}

impl Default for Purge {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    const MIB: u64 = 1 << 20;

    /// A heap of 1 GiB, a policy, and orders that are carried out.
    struct Bench {
        purge: Purge,
        dials: Dials,
        seen: Seen,
    }

    impl Bench {
        fn new() -> Self {
            let mut seen = Seen::new();
            seen.now_ms = 1000;
            seen.superslab_bytes = 4 << 20;
            seen.levels.committed_bytes = 1024 * MIB;
            Self { purge: Purge::new(), dials: Dials::new(), seen }
        }

        /// A turn `span_ms` after the last. Returns the least that a purge was to keep, in MiB.
        fn turn(&mut self, span_ms: u64, [purged, refaulted, dirty, low]: [u64; 4]) -> Option<u64> {
            self.seen.span_ms = span_ms;
            self.seen.now_ms += span_ms;
            self.seen.events.purged_bytes = purged * MIB;
            self.seen.events.refaulted_bytes = refaulted * MIB;
            self.seen.levels.dirty_bytes = dirty * MIB;
            self.seen.levels.dirty_low_bytes = low * MIB;
            let mut orders = Orders::new();
            self.purge.decide(&self.seen, &self.dials, &mut orders);
            let mut keep = None;
            for order in orders.list() {
                match order.act {
                    Act::Set(dial, value) => self.dials.set(dial, value),
                    Act::Purge(kib) => keep = Some(u64::from(kib) / 1024),
                    other => panic!("not this policy's: {other:?}"),
                }
            }
            keep
        }

        fn learned(&self) -> u64 {
            u64::from(self.dials.get(Dial::DirtyLearnedKib)) / 1024
        }
    }

    #[test]
    fn reuse_at_once_raises_the_allowance_up_to_what_was_given_back() {
        let mut bench = Bench::new();
        bench.turn(20, [40, 0, 4, 4]);
        assert_eq!(bench.learned(), 0);
        bench.turn(20, [0, 2, 4, 4]);
        assert_eq!(bench.learned(), 4 + 16);
        bench.turn(20, [0, 20, 4, 4]);
        assert_eq!(bench.learned(), 4 + 40);
        bench.turn(20, [30, 0, 4, 4]);
        bench.turn(20, [0, 30, 4, 0]);
        assert_eq!(bench.learned(), 4 + 70, "what is needed besides what is kept");
    }

    #[test]
    fn a_swing_beyond_a_large_floor_is_learned_at_once() {
        let mut bench = Bench::new();
        bench.dials.set(Dial::DirtyFloorKib, 64 << 10);
        bench.turn(20, [192, 0, 64, 4]);
        bench.turn(20, [0, 192, 0, 0]);
        assert_eq!(bench.dials.dirty_limit(0) as u64, 256 * MIB, "all of it may stay from now on");
    }

    #[test]
    fn what_is_given_back_and_wanted_in_one_turn_teaches_nothing() {
        let mut bench = Bench::new();
        bench.turn(20, [40, 40, 4, 4]);
        assert_eq!(bench.learned(), 0);
    }

    #[test]
    fn late_reuse_teaches_nothing() {
        let mut bench = Bench::new();
        bench.turn(20, [40, 0, 4, 4]);
        bench.turn(REUSE_MS + 1, [0, 40, 4, 4]);
        assert_eq!(bench.learned(), 0);
        bench.turn(REUSE_MS + 1, [40, 0, 4, 4]);
        bench.turn(20, [0, 40, 4, 4]);
        assert_eq!(bench.learned(), 0, "nobody knows when in that span it was given back");
    }

    #[test]
    fn what_stays_free_goes_back_within_two_windows() {
        let mut bench = Bench::new();
        bench.turn(20, [200, 0, 4, 4]);
        bench.turn(20, [0, 100, 4, 4]);
        assert_eq!(bench.learned(), 4 + 200);
        let kept: Vec<u64> = (0..20).filter_map(|_| bench.turn(20, [0, 0, 200, 200])).collect();
        assert_eq!(kept.first(), Some(&4), "all but the fixed limit");
        assert_eq!(bench.learned(), 0);
    }

    #[test]
    fn little_that_stays_free_goes_back_however_much_was_learned() {
        let mut bench = Bench::new();
        bench.dials.set(Dial::DirtyLearnedKib, u32::MAX);
        let kept: Vec<u64> = (0..20).filter_map(|_| bench.turn(20, [0, 0, 50, 50])).collect();
        assert_eq!(kept.first(), Some(&4), "{kept:?}");
    }

    #[test]
    fn what_is_above_the_fixed_limit_goes_even_if_nothing_is_learned() {
        let mut bench = Bench::new();
        // Moving, with a low water above the limit. The system does not take it: each window offers
        // it.
        let kept: Vec<u64> = (0..6).filter_map(|_| bench.turn(20, [0, 0, 50, 40])).collect();
        assert_eq!(kept, [50 - (40 - 4); 2]);
        let kept: Vec<u64> = (0..20).filter_map(|_| bench.turn(20, [0, 0, 4, 4])).collect();
        assert_eq!(kept, []);
    }

    #[test]
    fn what_nobody_needs_goes_even_if_a_little_of_it_comes_and_goes_between_turns() {
        let mut bench = Bench::new();
        bench.turn(16, [0, 0, 200, 0]);
        let kept: Vec<u64> = (0..20).filter_map(|_| bench.turn(16, [0, 0, 200, 192])).collect();
        assert_eq!(kept.first(), Some(&(200 - (192 - 4))), "all but what moves and the limit");
    }

    #[test]
    fn what_exceeds_the_limit_goes_as_soon_as_it_stands_still_and_is_offered_once() {
        let mut bench = Bench::new();
        for (dirty, low) in [(100, 0), (200, 100), (50, 50), (240, 0)] {
            assert_eq!(bench.turn(20, [0, 0, dirty, low]), None, "it is in motion");
        }
        assert_eq!(bench.turn(10, [0, 0, 240, 240]), None, "not for long enough");
        assert_eq!(bench.turn(10, [0, 0, 240, 240]), Some(1), "well below the limit");
        assert!((0..20).all(|_| bench.turn(20, [0, 0, 240, 240]).is_none()), "it was not taken");
        // Within what was learned it is not shed.
        bench.turn(20, [0, 0, 0, 0]);
        bench.dials.set(Dial::DirtyLearnedKib, 256 << 10);
        bench.turn(20, [0, 0, 240, 0]);
        assert_eq!(bench.turn(20, [0, 0, 240, 240]), None);
    }

    #[test]
    fn an_idle_program_keeps_nothing_unless_the_host_says_so() {
        let mut bench = Bench::new();
        let kept: Vec<u64> = (0..200).filter_map(|_| bench.turn(20, [0, 0, 3, 3])).collect();
        assert_eq!(kept, [0], "once");
        let mut bench = Bench::new();
        bench.dials.pin(Dial::DirtyFloorKib, 4096);
        assert!((0..200).all(|_| bench.turn(20, [0, 0, 3, 3]).is_none()));
    }

    #[test]
    fn a_heap_that_swings_keeps_what_it_learned() {
        let mut bench = Bench::new();
        bench.turn(20, [200, 0, 4, 4]);
        bench.turn(20, [0, 100, 4, 4]);
        for _ in 0..100 {
            assert_eq!(bench.turn(20, [0, 0, 200, 10]), None);
            assert_eq!(bench.turn(20, [0, 0, 10, 10]), None);
        }
        assert_eq!(bench.learned(), 4 + 200);
    }

    #[test]
    fn what_was_learned_is_forgotten_even_if_nothing_is_free() {
        let mut bench = Bench::new();
        bench.turn(20, [200, 0, 4, 4]);
        bench.turn(20, [0, 100, 0, 0]);
        (0..2000).for_each(|_| assert_eq!(bench.turn(20, [0, 0, 0, 0]), None));
        assert_eq!(bench.learned(), 0);
    }

    #[test]
    fn a_request_that_found_no_memory_ends_all_patience() {
        let mut bench = Bench::new();
        bench.turn(20, [200, 0, 4, 4]);
        bench.turn(20, [0, 100, 4, 4]);
        bench.seen.denied = 1;
        assert_eq!(bench.turn(20, [0, 0, 100, 100]), Some(0));
        assert_eq!(bench.learned(), 0);
    }
}
