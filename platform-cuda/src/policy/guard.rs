//! `Guard`: follows the predictions until one proves wrong, and then protects what it wronged. Floor: first.
//!
//! After Chen, Zhao, Zhang, Tang, Wang and Deng, "Robustifying Learning-Augmented Caching Efficiently
//! without Compromising 1-Consistency" (NeurIPS 2025, arXiv 2507.16242). They prove of theirs: with equal sizes,
//! never more than 2H(k-1) + 2 times the optimum in expectation, whatever the predictions, and
//! optimal if they are right. Compare `BlindOracle` + `Marker` (Wei, arXiv 2005.13716). This file was
//! written from the idea and not from the authors' text; for sizes that differ nobody has proved a bound.
//!
//! Time is cut into phases. *Old* is what was there when the phase began and was not used since. What was
//! evicted in this phase and is missed in it shows that the prediction was wrong: it is *guarded* until the
//! phase ends, and to make room a random old state goes. Otherwise the farthest unguarded state goes. When
//! no old state is left, the next phase begins, and all that is there is old.
//!
//! Two orders of classes, even and odd phases: (used, guarded) of this phase, and both of the last phase
//! together are what is old. At the end of a phase the latter are empty and change roles: nothing is moved.

use super::{Policy, Rank, Seen, View, WORTH_FETCHING_256THS};
use crate::{distance::Trust, order::Order, random::Random};

/// See the module's documentation.
#[derive(Clone, Debug)]
pub struct Guard {
    random: Random,
    /// The first phase is 2: 0 means never, and the phase before counts as old.
    phase: u64,
    /// Victims that are to be drawn at random, for so many wrong predictions.
    owed: u32,
}

/// A state's memo: the phase of its last use and of its last eviction, 31 bits each, and whether it was
/// guarded in the former.
struct Memo {
    used: u64,
    evicted: u64,
    guarded: bool,
}

const PHASE: u64 = (1 << 31) - 1;

impl Memo {
    const fn read(memo: u64) -> Self {
        Self { used: memo & PHASE, evicted: (memo >> 31) & PHASE, guarded: memo >> 62 != 0 }
    }

    const fn write(&self) -> u64 {
        self.used & PHASE | (self.evicted & PHASE) << 31 | (self.guarded as u64) << 62
    }
}

impl Guard {
    /// Runs with the same seed choose alike.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { random: Random::new(seed), phase: 2, owed: 0 }
    }

    const fn used_class(phase: u64) -> u8 {
        if phase.is_multiple_of(2) { 0 } else { 2 }
    }

    /// The next phase begins when nothing old is left. A miss belongs to the phase that it begins.
    fn end_phase(&mut self, order: &Order) {
        let old = 2 - Self::used_class(self.phase);
        if order.len(old) + order.len(old + 1) == 0 && !order.is_empty() {
            self.phase += 1;
            self.owed = 0;
        }
    }

    /// The farthest of some classes.
    fn farthest(order: &Order, classes: &[u8]) -> Option<u32> {
        let tops = classes.iter().filter_map(|class| order.top(*class));
        tops.reduce(|best, other| if other.0 > best.0 { other } else { best }).map(|top| top.1)
    }

    fn any(&mut self, order: &Order, classes: [u8; 2]) -> Option<u32> {
        let first = order.len(classes[0]) as u64;
        let both = first + order.len(classes[1]) as u64;
        let class = if self.random.below(both) < first { classes[0] } else { classes[1] };
        order.any(class, &mut self.random)
    }
}

impl Policy for Guard {
    fn name(&self) -> &'static str {
        "guard"
    }

    fn classes(&self) -> u8 {
        4
    }

    fn rank(&mut self, _: View, seen: &Seen, memo: &mut u64) -> Rank {
        let memo = Memo::read(*memo);
        let fresh = memo.used == self.phase;
        let phase = if fresh { self.phase } else { self.phase - 1 };
        let class = Self::used_class(phase) + u8::from(fresh && memo.guarded);
        Rank { class, key: seen.key(View::Hinted) }
    }

    fn choose(&mut self, order: &Order, _: u64) -> Option<u32> {
        self.end_phase(order);
        let used = Self::used_class(self.phase);
        let old = 2 - used;
        if self.owed > 0 {
            self.owed -= 1;
            return self.any(order, [old, old + 1]);
        }
        Self::farthest(order, &[used, old, old + 1])
    }

    fn spare(&mut self, order: &Order, _: u64) -> Option<u32> {
        let used = Self::used_class(self.phase);
        Self::farthest(order, &[used, 2 - used, 3 - used])
    }

    fn foresees(&self, trust: &Trust) -> bool {
        trust.hinted_error() < WORTH_FETCHING_256THS
    }

    fn used(&mut self, memo: &mut u64) {
        let mut seen = Memo::read(*memo);
        seen.guarded &= seen.used == self.phase;
        seen.used = self.phase;
        *memo = seen.write();
    }

    fn missed(&mut self, order: &Order, memo: &mut u64) {
        self.end_phase(order);
        let mut seen = Memo::read(*memo);
        if seen.evicted == self.phase {
            self.owed += 1;
            (seen.used, seen.guarded) = (self.phase, true);
            *memo = seen.write();
        }
    }

    fn evicted(&mut self, memo: &mut u64) {
        let mut seen = Memo::read(*memo);
        seen.evicted = self.phase;
        *memo = seen.write();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{distance::NextUse, order::Toward};
    use alloc::collections::BTreeSet;

    /// Nine states by number; the higher the number, the farther the prediction, but 7 and 8 are near.
    struct World {
        guard: Guard,
        order: Order,
        memos: [u64; 9],
    }

    impl World {
        /// The first six are there and used, and the next miss begins a phase in which they are old.
        fn new(seed: u64) -> Self {
            let guard = Guard::new(seed);
            let order = Order::new(Toward::Farthest, usize::from(guard.classes()));
            let mut world = Self { guard, order, memos: [0; 9] };
            (0..6).for_each(|state| world.come(state));
            world
        }

        fn come(&mut self, state: u32) {
            let memo = &mut self.memos[state as usize];
            self.guard.used(memo);
            let ahead = if state < 7 { state + 10 } else { state };
            let hinted = NextUse::at(u64::from(ahead));
            let seen = Seen {
                bytes: 1,
                reload_ns: 1,
                recompute_ns: None,
                use_order: 0,
                load_order: 0,
                hinted,
                own: NextUse::UNKNOWN,
            };
            let rank = self.guard.rank(View::Hinted, &seen, memo);
            self.order.place(state, rank.class, rank.key);
        }

        /// Somebody wants a state that is not there. Returns which one goes for it.
        fn miss(&mut self, state: u32) -> u32 {
            self.guard.missed(&self.order, &mut self.memos[state as usize]);
            let victim = self.guard.choose(&self.order, 0).expect("there are some");
            self.order.remove(victim);
            self.guard.evicted(&mut self.memos[victim as usize]);
            self.come(state);
            victim
        }
    }

    #[test]
    fn as_long_as_no_eviction_proves_wrong_the_farthest_goes() {
        let mut world = World::new(1);
        assert_eq!(world.miss(6), 5);
        assert_eq!(world.miss(7), 6, "what is new may go at once");
    }

    #[test]
    fn for_a_wrong_eviction_a_random_old_state_goes_and_the_wronged_one_is_safe() {
        let mut drawn = BTreeSet::new();
        for seed in 0..50 {
            let mut world = World::new(seed);
            assert_eq!(world.miss(6), 5);
            let victim = world.miss(5);
            assert!(victim < 5, "6 is farther, but it is not old");
            drawn.insert(victim);
            assert_eq!(world.miss(7), 6);
            assert!(world.miss(8) < 5, "5 is farther, but it is guarded");
        }
        assert_eq!(drawn.len(), 5, "any of the old ones: {drawn:?}");
    }

    #[test]
    fn when_nothing_old_is_left_a_phase_begins_and_nobody_is_guarded() {
        let mut world = World::new(1);
        world.miss(6);
        world.miss(5);
        let phase = world.guard.phase;
        for state in 0..5 {
            if world.order.key(state).is_some() {
                world.come(state);
            }
        }
        assert_eq!(world.miss(7), 6);
        assert_eq!(world.guard.phase, phase + 1);
        world.order.remove(7);
        assert_eq!(world.guard.choose(&world.order, 0), Some(5), "it was guarded before");
    }
}
