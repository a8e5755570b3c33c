//! When caches of idle classes and sleeping threads are emptied. Floor: garden.
//!
//! | reads | gives |
//! |---|---|
//! | refills and overflows of each class, sleeping threads | [`Act::Trim`], [`Act::Visit`] |
//!
//! A trim marks the caches of each thread and empties those that were marked by the one before and
//! not used since, so two of them follow each other: when a class that had been at work ([`WORK`]
//! slow events) did nothing slow for [`Dial::IdleMs`], and for much longer than it used to; and
//! when a burst has ended, that is, the rate of slow events fell below an eighth of what it was. No
//! more come until another class falls idle or another burst ends, so on a steady load there are
//! none.
//!
//! Sleepers that hold something are visited, a few a turn.

use super::{Act, Orders, Policy, Reason, Seen};
use crate::{
    dials::{Dial, Dials},
    size_class::SizeClass,
};

/// Between the two trims that empty a cache: every thread at work has seen the first by then.
const APART_MS: u64 = 40;
/// Slow events a second that make a burst.
const BURST: u64 = 10_000;
/// Slow events of a class after which its caches may hold something worth a trim.
const WORK: u32 = 16;
/// Mean times between its slow events that a class must have been quiet for: of one that goes on at
/// random, one pause in three thousand is that long.
const GAPS: u64 = 8;
/// Sleepers visited in one turn.
const VISITS: u32 = 4;

/// What is known of one class.
#[derive(Clone, Copy, Debug)]
struct Class {
    /// Time since it last did something slow.
    quiet_ms: u32,
    /// Time since it began to, and how often it did since.
    age_ms: u32,
    work: u32,
}

impl Class {
    const IDLE: Self = Self { quiet_ms: 0, age_ms: 0, work: 0 };

    /// Notes what it did. `true`: it fell idle after it had been at work.
    fn note(&mut self, acts: u32, span_ms: u32, idle_ms: u32) -> bool {
        if acts > 0 {
            self.quiet_ms = 0;
            self.age_ms = self.age_ms.saturating_add(span_ms);
            self.work = self.work.saturating_add(acts);
            return false;
        }
        if self.work == 0 {
            return false;
        }
        self.quiet_ms = self.quiet_ms.saturating_add(span_ms);
        self.age_ms = self.age_ms.saturating_add(span_ms);
        let at_work_ms = u64::from(self.age_ms - self.quiet_ms);
        let long = u64::from(self.quiet_ms) * u64::from(self.work) >= GAPS * at_work_ms;
        if idle_ms == 0 || self.quiet_ms < idle_ms || !long {
            return false;
        }
        core::mem::replace(self, Self::IDLE).work >= WORK
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Trim {
    classes: [Class; SizeClass::COUNT],
    /// Slow events a second in the burst, fading.
    burst: u64,
    /// Trims that are still to be given, and why.
    owed: u8,
    reason: Reason,
    /// Time since the last trim.
    trimmed_ms: u64,
}

impl Trim {
    /// Nothing seen yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            classes: [Class::IDLE; SizeClass::COUNT],
            burst: 0,
            owed: 0,
            reason: Reason::ClassIdle,
            trimmed_ms: APART_MS,
        }
    }

    fn owe(&mut self, reason: Reason) {
        (self.owed, self.reason) = (2, reason);
    }

    /// Looks for classes that fell idle. Returns the slow events of all of them.
    fn look(&mut self, seen: &Seen, idle_ms: u32) -> u64 {
        let span_ms = u32::try_from(seen.span_ms).unwrap_or(u32::MAX);
        let (mut sum, mut fell_idle) = (0, false);
        for (class, acts) in self.classes.iter_mut().zip(&seen.classes) {
            let acts = acts.refills.saturating_add(acts.overflows);
            sum += u64::from(acts);
            fell_idle |= class.note(acts, span_ms, idle_ms);
        }
        if fell_idle {
            self.owe(Reason::ClassIdle);
        }
        sum
    }
}

impl Policy for Trim {
    fn decide(&mut self, seen: &Seen, dials: &Dials, orders: &mut Orders) {
        let idle = dials.get(Dial::IdleMs);
        let acts = self.look(seen, idle);
        if let Some(rate) = acts.saturating_mul(1000).checked_div(seen.span_ms) {
            if self.burst >= BURST && rate < self.burst / 8 {
                self.owe(Reason::BurstOver);
                self.burst = 0;
            }
            self.burst = rate.max(self.burst - self.burst / 16);
        }
        self.trimmed_ms = self.trimmed_ms.saturating_add(seen.span_ms);
        if self.owed > 0 && self.trimmed_ms >= APART_MS && orders.give(Act::Trim, self.reason) {
            self.owed -= 1;
            self.trimmed_ms = 0;
        }
        let sleepers = seen.asleep.min(VISITS);
        if sleepers > 0 {
            orders.give(Act::Visit(sleepers), Reason::Asleep);
        }
    }
}

impl Default for Trim {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ace::scene::{busy, scene, settles, take};

    fn trims(policy: &mut Trim, dials: &Dials, seen: &Seen, turns: usize) -> usize {
        let given = (0..turns).map(|_| take(policy, dials, seen));
        given.map(|orders| orders.iter().filter(|order| order.act == Act::Trim).count()).sum()
    }

    #[test]
    fn an_idle_class_gets_two_trims_and_then_none_until_it_was_used_again() {
        let (mut policy, dials) = (Trim::new(), Dials::new());
        for _ in 0..3 {
            assert_eq!(trims(&mut policy, &dials, &busy(scene(), 7, 10), 30), 0);
            let idle_turns = dials.get(Dial::IdleMs) as usize / 20;
            assert_eq!(trims(&mut policy, &dials, &scene(), idle_turns - 1), 0, "not idle yet");
            assert_eq!(trims(&mut policy, &dials, &scene(), 200), 2);
        }
        dials.set(Dial::IdleMs, 0);
        assert_eq!(trims(&mut policy, &dials, &busy(scene(), 7, 10), 1), 0);
        assert_eq!(trims(&mut policy, &dials, &scene(), 200), 0, "never idle");
    }

    #[test]
    fn a_class_that_always_rests_between_refills_gets_none() {
        let (mut policy, dials) = (Trim::new(), Dials::new());
        for _ in 0..50 {
            assert_eq!(trims(&mut policy, &dials, &busy(scene(), 7, 1), 1), 0);
            assert_eq!(trims(&mut policy, &dials, &scene(), 20), 0);
        }
        assert_eq!(trims(&mut policy, &dials, &scene(), 60), 0, "a second may be chance");
        assert_eq!(trims(&mut policy, &dials, &scene(), 200), 2, "five are not");
    }

    #[test]
    fn a_class_that_is_hardly_seen_gets_none() {
        let (mut policy, dials) = (Trim::new(), Dials::new());
        for _ in 0..20 {
            assert_eq!(trims(&mut policy, &dials, &busy(scene(), 7, 2), 1), 0);
            assert_eq!(trims(&mut policy, &dials, &scene(), 100), 0);
        }
    }

    #[test]
    fn the_end_of_a_burst_is_followed_by_two_trims_at_once() {
        let (mut policy, dials) = (Trim::new(), Dials::new());
        settles(&mut policy, &dials, &busy(scene(), 7, 1000));
        let trickle = busy(scene(), 7, 10);
        assert_eq!(trims(&mut policy, &dials, &trickle, 5), 2, "within 100 ms");
        assert_eq!(trims(&mut policy, &dials, &trickle, 200), 0);
    }

    #[test]
    fn sleepers_are_visited_a_few_a_turn() {
        let (mut policy, dials) = (Trim::new(), Dials::new());
        for (asleep, visits) in [(6, Some(4)), (2, Some(2)), (0, None)] {
            let orders = take(&mut policy, &dials, &Seen { asleep, ..scene() });
            assert!(orders.iter().map(|order| order.act).eq(visits.map(Act::Visit)));
        }
    }
}
