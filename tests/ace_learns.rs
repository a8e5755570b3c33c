//! What ACE learns, on streams of turns that a model of a program makes: profiles by matches, phases, and
//! tuning that is taken back. No heap, no clock: the model answers the dials as a program would.

use ace_alloc::ace::{Act, Hold, Order, Orders, Policy, Profile, Reason, Seen, Supervisor};
use ace_alloc::{Dial, Dials, SizeClass};
use ace_alloc_tests::random::{self, Random};

const TURN_MS: u64 = 20;
/// Turns after which a steady program must be left alone.
const SETTLED: usize = 600;

/// A program that does so many bursts of blocks of one size a turn, and whose free memory is so much of what
/// it uses. It has noise of a few percent.
#[derive(Clone, Copy)]
struct Program {
    bytes: usize,
    burst_kib: u32,
    bursts: u64,
    free_mib: u64,
}

/// Small caches cost it dearly.
const BURSTS: Program = Program { bytes: 64, burst_kib: 3 << 10, bursts: 40, free_mib: 0 };
/// Its bursts fit the first values, and larger caches gain nothing.
const STEADY: Program = Program { bytes: 512, burst_kib: 900, bursts: 120, free_mib: 0 };
/// It hardly ever misses.
const CALM: Program = Program { bytes: 64, burst_kib: 64, bursts: 1, free_mib: 0 };
/// It holds far more than it uses, and hardly ever misses.
const WASTE: Program = Program { bytes: 1024, burst_kib: 512, bursts: 2, free_mib: 300 };

impl Program {
    fn turn(self, dials: &Dials, random: &mut Random, seen: &mut Seen) {
        let blocks = u64::from(self.burst_kib) * 1024 / self.bytes as u64;
        let noise =
            |count: u64, random: &mut Random| count * (975 + random.below(50) as u64) / 1000;
        let kept = u64::from(dials.get(Dial::DepotClassKib).min(self.burst_kib));
        let passed = noise(blocks * self.bursts, random);
        let flushed = passed * (u64::from(self.burst_kib) - kept) / u64::from(self.burst_kib);
        let refill = u64::from(dials.get(Dial::RefillMax));
        *seen = Seen { now_ms: seen.now_ms + TURN_MS, span_ms: TURN_MS, ..Seen::new() };
        let events = &mut seen.events;
        events.refilled_blocks = passed;
        events.flushed_blocks = flushed;
        events.depot_hits = (passed - flushed) / 64;
        events.refills = flushed / refill + events.depot_hits;
        events.overflows = passed / 64;
        let class = SizeClass::aligned(self.bytes, 16).expect("a size of a class");
        seen.classes[class.index()].refills = events.refills as u32;
        seen.classes[class.index()].overflows = events.overflows as u32;
        seen.levels.used_bytes = 100 << 20;
        let share = u64::from(dials.get(Dial::DirtyPermille)) * 100 / 1000;
        let floor = u64::from(dials.get(Dial::DirtyFloorKib)) / 1024;
        seen.levels.dirty_bytes = self.free_mib.min(share.max(floor)) << 20;
    }
}

/// The supervisor beside a program, with everything that it ordered.
struct World {
    supervisor: Supervisor,
    dials: Dials,
    seen: Seen,
    random: Random,
    turns: usize,
    history: Vec<(usize, Order)>,
}

impl World {
    fn new(first: Profile) -> Self {
        let dials = Dials::new();
        first.set(&dials);
        let random = Random::new(random::seed());
        Self {
            supervisor: Supervisor::new(),
            dials,
            seen: Seen::new(),
            random,
            turns: 0,
            history: Vec::new(),
        }
    }

    fn run(&mut self, program: Program, turns: usize) {
        self.run_with(program, turns, &mut Hold);
    }

    fn run_with(&mut self, program: Program, turns: usize, policy: &mut dyn Policy) {
        for _ in 0..turns {
            program.turn(&self.dials, &mut self.random, &mut self.seen);
            let mut orders = Orders::new();
            self.supervisor.decide(&self.seen, &self.dials, &mut orders, policy);
            for order in orders.list() {
                if let Act::Set(dial, value) = order.act {
                    assert_eq!(dial.clamp(value), value, "in bounds: {order:?}");
                    self.dials.set(dial, value);
                }
                self.history.push((self.turns, *order));
            }
            self.turns += 1;
        }
    }

    fn given(&self, reason: Reason) -> Vec<usize> {
        let mut turns: Vec<_> = self
            .history
            .iter()
            .filter(|(_, order)| order.reason == reason)
            .map(|(turn, _)| *turn)
            .collect();
        turns.dedup();
        turns
    }

    /// Asserts that nothing was ordered for so many turns.
    fn assert_quiet(&self, turns: usize) {
        let last = self.history.last().map_or(0, |(turn, _)| *turn);
        assert!(
            last + turns <= self.turns,
            "ordered in turn {last} of {}: {:?}",
            self.turns,
            self.history.last()
        );
    }
}

#[test]
fn a_program_that_a_larger_cache_serves_better_gets_it_and_is_then_left_alone() {
    for first in [Profile::Balanced, Profile::Conservative] {
        let mut world = World::new(first);
        world.run(BURSTS, 2 * SETTLED);
        assert_eq!(Profile::of(&world.dials), Some(Profile::Full), "from {}", first.name());
        assert!(!world.given(Reason::BetterProfile).is_empty());
        world.assert_quiet(SETTLED);
    }
}

#[test]
fn a_program_that_wastes_memory_gets_small_caches_if_memory_is_what_counts() {
    let mut world = World::new(Profile::Balanced);
    world.dials.set(Dial::MemoryWeight, 900);
    world.dials.set(Dial::DirtyPermille, 100);
    world.run(WASTE, 2 * SETTLED);
    assert_eq!(Profile::of(&world.dials), Some(Profile::Conservative));
    world.assert_quiet(SETTLED);
}

#[test]
fn a_program_that_no_profile_serves_better_keeps_its_own_and_is_seldom_disturbed() {
    let mut world = World::new(Profile::Balanced);
    world.run(STEADY, 50 * SETTLED);
    assert_eq!(Profile::of(&world.dials), Some(Profile::Balanced));
    world.assert_quiet(49 * SETTLED);
    let (left, back) = (world.given(Reason::Exploring), world.given(Reason::Returned));
    assert_eq!(left.len(), back.len());
    let away: usize = left.iter().zip(&back).map(|(left, back)| back - left).sum();
    assert!(away <= 60, "{away} turns with another profile: {left:?}, {back:?}");
}

#[test]
fn a_program_whose_slow_paths_hardly_count_is_never_disturbed() {
    let mut world = World::new(Profile::Balanced);
    world.run(CALM, 10 * SETTLED);
    assert_eq!(world.history, []);
}

#[test]
fn a_phase_that_comes_back_is_known_within_a_few_turns() {
    let mut world = World::new(Profile::Balanced);
    for _ in 0..2 {
        world.run(BURSTS, SETTLED);
        world.run(STEADY, SETTLED);
    }
    assert_eq!(Profile::of(&world.dials), Some(Profile::Balanced));
    let explored = world.given(Reason::Exploring).len();
    for (program, profile) in [(BURSTS, Profile::Full), (STEADY, Profile::Balanced)].repeat(5) {
        world.run(program, 4);
        assert_eq!(Profile::of(&world.dials), Some(profile));
        world.run(program, 100);
        assert_eq!(Profile::of(&world.dials), Some(profile));
    }
    assert_eq!(world.given(Reason::Exploring).len(), explored, "nothing is left to try");
    assert!(world.given(Reason::KnownPhase).len() >= 10);
}

#[test]
fn a_new_phase_begins_with_the_profile_that_the_host_began_with() {
    let mut world = World::new(Profile::Balanced);
    world.run(BURSTS, SETTLED);
    assert_eq!(Profile::of(&world.dials), Some(Profile::Full));
    world.run(Program { bytes: 4096, ..STEADY }, 5);
    assert_eq!(Profile::of(&world.dials), Some(Profile::Balanced));
    assert_eq!(world.given(Reason::NewPhase).len(), 1);
}

/// Runs until another profile is being tried.
fn exploring(program: Program) -> World {
    let mut world = World::new(Profile::Balanced);
    while world.given(Reason::Exploring).is_empty() {
        world.run(program, 1);
    }
    assert_ne!(Profile::of(&world.dials), Some(Profile::Balanced));
    world
}

#[test]
fn a_program_does_not_sleep_in_a_profile_that_was_only_to_be_tried() {
    let mut world = exploring(BURSTS);
    world.run(Program { bursts: 0, ..BURSTS }, 50);
    assert_eq!(Profile::of(&world.dials), Some(Profile::Balanced));
}

#[test]
fn a_phase_that_begins_in_a_match_ends_it() {
    let mut world = exploring(BURSTS);
    world.run(Program { bytes: 4096, ..STEADY }, 4);
    assert_eq!(Profile::of(&world.dials), Some(Profile::Balanced));
}

#[test]
fn a_new_phase_leaves_alone_what_was_tuned_in_the_same_profile() {
    let mut world = World::new(Profile::Balanced);
    world.run(CALM, 40);
    world.dials.set(Dial::WarmPrefill, 32);
    world.run(Program { bytes: 4096, ..STEADY }, 5);
    assert_eq!(world.dials.get(Dial::WarmPrefill), 32);
}

#[test]
fn short_phases_do_not_make_for_matches_without_end() {
    let mut world = World::new(Profile::Balanced);
    for program in [BURSTS, Program { bytes: 4096, ..BURSTS }].repeat(1000) {
        world.run(program, 15);
    }
    let matches = world.given(Reason::Exploring).len();
    assert!(matches <= 2 * 3 * 2, "{matches} matches: two phases, two challengers, three each");
}

#[test]
fn an_epoch_is_played_to_its_end() {
    let mut world = World::new(Profile::Balanced);
    world.run(BURSTS, SETTLED);
    let mut switches: Vec<_> = world.history.iter().map(|(turn, _)| *turn).collect();
    switches.dedup();
    assert!(switches.len() >= 2);
    for pair in switches.windows(2) {
        assert!(pair[1] - pair[0] >= 6, "switched in turns {pair:?}");
    }
}

#[test]
fn who_turns_the_dials_by_hand_or_switches_learning_off_is_not_taught() {
    let mut by_hand = World::new(Profile::Balanced);
    by_hand.dials.set(Dial::DepotClassKib, 999);
    by_hand.run(BURSTS, SETTLED);
    assert_eq!(by_hand.history, []);
    let mut off = World::new(Profile::Conservative);
    off.dials.set(Dial::Learn, 0);
    off.run(BURSTS, SETTLED);
    assert_eq!(off.history, []);
    // Switched off while something is being tried.
    let mut world = World::new(Profile::Balanced);
    while world.given(Reason::Exploring).is_empty() {
        world.run(BURSTS, 1);
    }
    world.dials.set(Dial::Learn, 0);
    world.run(BURSTS, 1);
    assert_eq!(Profile::of(&world.dials), Some(Profile::Balanced));
    world.run(BURSTS, SETTLED);
    world.assert_quiet(SETTLED);
}

/// Sets a dial whenever it stands elsewhere.
struct Insist(Dial, u32);

impl Policy for Insist {
    fn decide(&mut self, _: &Seen, dials: &Dials, orders: &mut Orders) {
        orders.set(dials, self.0, self.1, Reason::Unneeded);
    }
}

fn tuned() -> World {
    let mut world = World::new(Profile::Balanced);
    world.dials.set(Dial::Learn, 0);
    world.run(BURSTS, 20);
    world
}

#[test]
fn what_makes_things_worse_is_taken_back_and_not_done_again_for_a_time_that_doubles() {
    let mut world = tuned();
    world.run_with(BURSTS, 2000, &mut Insist(Dial::RefillMax, 1));
    let undone = world.given(Reason::RolledBack);
    assert!(undone.len() >= 4, "{undone:?}");
    for gaps in undone.windows(3) {
        let (first, second) = (gaps[1] - gaps[0], gaps[2] - gaps[1]);
        assert!(second >= first * 3 / 2, "rolled back in turns {gaps:?}");
    }
    let worse = undone.len() * 10;
    assert!(worse < 2000 / 20, "{worse} turns at a bad value");
    assert_eq!(world.dials.get(Dial::RefillMax), Dial::RefillMax.spec().first);
}

#[test]
fn every_dial_of_a_bad_turn_is_taken_back() {
    struct Both(Insist, Insist);
    impl Policy for Both {
        fn decide(&mut self, seen: &Seen, dials: &Dials, orders: &mut Orders) {
            self.0.decide(seen, dials, orders);
            self.1.decide(seen, dials, orders);
        }
    }
    let mut world = tuned();
    let policy = &mut Both(Insist(Dial::RefillMax, 2), Insist(Dial::DepotClassKib, 0));
    world.run_with(BURSTS, 20, policy);
    assert_eq!(Profile::of(&world.dials), Some(Profile::Balanced), "{:?}", world.history);
    assert_eq!(world.given(Reason::RolledBack).len(), 1);
}

#[test]
fn what_makes_things_better_or_changes_nothing_stays() {
    for (dial, value) in [(Dial::DepotClassKib, 4096), (Dial::WarmPrefill, 7)] {
        let mut world = tuned();
        world.run_with(BURSTS, 500, &mut Insist(dial, value));
        assert_eq!(world.given(Reason::RolledBack), [0_usize; 0]);
        assert_eq!(world.dials.get(dial), value);
    }
}

#[test]
fn a_harmless_order_is_not_blamed_for_a_busier_program() {
    let mut world = tuned();
    world.run_with(BURSTS, 1, &mut Insist(Dial::WarmPrefill, 7));
    let busier = Program { bursts: 3 * BURSTS.bursts, ..BURSTS };
    world.run(busier, 100);
    assert_eq!(world.given(Reason::RolledBack), [0_usize; 0]);
}

#[test]
fn an_order_is_not_blamed_for_the_next_phase() {
    let mut world = tuned();
    world.run(Program { bytes: 4096, ..STEADY }, 20);
    world.run_with(Program { bytes: 4096, ..STEADY }, 2, &mut Insist(Dial::WarmPrefill, 7));
    world.run(BURSTS, 100);
    assert_eq!(world.given(Reason::RolledBack), [0_usize; 0]);
}
