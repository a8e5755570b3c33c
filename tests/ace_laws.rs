//! The laws of ACE, on the real heap: what it orders, and what anybody else might, changes no result; off is
//! off. What it learns is in `ace_learns`, and what a stuck controller does in `ace_stalls`.
//!
//! `ACE_TEST_CASES` sets how many scripts are played under hostile orders; each is about 500 orders.

use ace_alloc::ace::{Ace, Act, Mode, Orders, Policy, Reason, Seen, Supervisor, Turn};
use ace_alloc::geometry::{Host, HostTail, Small};
use ace_alloc::platform::{Misuse, Platform};
use ace_alloc::{Dial, Dials, Heap};
use ace_alloc_tests::orders::Hostile;
use ace_alloc_tests::pages::MockPages;
use ace_alloc_tests::platforms::{Seat, Shape, TestHeap, TestThreads};
use ace_alloc_tests::random::{self, Random};
use ace_alloc_tests::script::{Op, Stage};
use std::cell::Cell;

const USUAL_CASES: u32 = 48;
const STEPS: usize = 320;
/// Steps of a script from turn to turn, at most.
const STRIDE: usize = 40;

/// Plays a script with turns at random moments. Returns the number of turns.
fn play<G: Shape>(stage: &mut Stage<G>, script: &[Op], seed: u64, policy: &mut dyn Policy) -> u64 {
    let mut random = Random::new(seed);
    let (mut rest, mut now, mut turns) = (script, 0, 0);
    while !rest.is_empty() {
        let (steps, later) = rest.split_at(rest.len().min(1 + random.below(STRIDE)));
        stage.play(steps);
        rest = later;
        // Clocks stand still, and jump, and go back.
        now = match random.below(16) {
            0 => now / 2,
            1 => u64::MAX,
            2 => now,
            later => now.saturating_add([1, 20, 20, 20, 10_000][later % 5]),
        };
        stage.turn_with(now, policy);
        turns += 1;
    }
    turns
}

fn survives_hostile_orders<G: Shape>() {
    let seed = random::seed();
    let (mut orders, mut turns) = (0, 0);
    for case in 0..u64::from(random::cases(USUAL_CASES)) {
        let seed = seed ^ (case << 20);
        let script = Op::script::<G>(seed, STEPS);
        let mut stage = Stage::<G>::new();
        let mut hostile = Hostile::new(seed, case % 4 == 3);
        stage.null_is_fine = hostile.may_refuse;
        turns += play(&mut stage, &script, seed, &mut hostile);
        orders += hostile.given;
        stage.shadow.check_all();
        stage.finish();
    }
    eprintln!("{}: {orders} hostile orders in {turns} turns", G::NAME);
}

#[test]
fn hostile_orders_change_no_result_of_a_host_heap() {
    survives_hostile_orders::<Host>();
}

#[test]
fn hostile_orders_change_no_result_of_a_host_heap_with_tail_prefixes() {
    survives_hostile_orders::<HostTail>();
}

#[test]
fn hostile_orders_change_no_result_of_a_small_heap() {
    survives_hostile_orders::<Small>();
}

/// Where the blocks that are live after each part of a script lie in the heap's range.
fn addresses<G: Shape>(script: &[Op], mode: Mode) -> Vec<Vec<usize>> {
    let mut stage = Stage::<G>::new();
    stage.heap.set_mode(mode);
    let (mut ace, mut now) = (Ace::new(), 0);
    let mut seen = Vec::new();
    for steps in script.chunks(STRIDE) {
        stage.play(steps);
        now += 20;
        stage.turn_with(now, &mut Eager(&mut ace));
        let range = stage.heap.pages.reservation().expect("a heap that was used");
        let blocks = (0..stage.shadow.len()).map(|index| stage.shadow.block(index).ptr.addr());
        let inside = blocks.filter(|address| range.contains(address));
        seen.push(inside.map(|address| address - range.start).collect());
    }
    stage.finish();
    seen
}

/// ACE, and orders that change where blocks lie.
struct Eager<'a>(&'a mut Ace);

impl Policy for Eager<'_> {
    fn decide(&mut self, seen: &Seen, dials: &Dials, orders: &mut Orders) {
        self.0.turn(seen, dials, orders);
        orders.set(dials, Dial::RefillMax, 3, Reason::Unneeded);
        orders.set(dials, Dial::DepotThreadKib, 0, Reason::Unneeded);
        orders.give(Act::Trim, Reason::Unneeded);
        orders.give(Act::Purge(0), Reason::Unneeded);
    }
}

fn off_and_observe_are_one<G: Shape>() {
    let script = Op::script::<G>(random::seed(), 20 * STRIDE);
    let [off, observe, tune] = Mode::ALL.map(|mode| addresses::<G>(&script, mode));
    assert_eq!(off, observe, "{}", G::NAME);
    assert_ne!(off, tune, "{}: the orders would have shown", G::NAME);
}

#[test]
fn off_and_observe_hand_out_the_same_addresses() {
    off_and_observe_are_one::<Host>();
    off_and_observe_are_one::<HostTail>();
    off_and_observe_are_one::<Small>();
}

thread_local! {
    static NOW: Cell<u64> = const { Cell::new(0) };
    static LOOKS: Cell<u64> = const { Cell::new(0) };
    static TURNS: Cell<u64> = const { Cell::new(0) };
}

/// A platform whose clock is set by hand, and which counts looks at it and turns.
struct Clocked;

impl Platform for Clocked {
    type Geometry = Host;
    type Pages = MockPages;
    type Threads = TestThreads;
    type Lock = spin::Mutex<()>;

    fn now_ms() -> Option<u64> {
        LOOKS.set(LOOKS.get() + 1);
        Some(NOW.get())
    }

    fn on_turn(_: &Turn<'_>) {
        TURNS.set(TURNS.get() + 1);
    }

    fn misuse(misuse: Misuse) {
        panic!("{misuse:?}");
    }
}

/// Fills and empties, more than the caches hold.
fn burst<P: Platform>(heap: &Heap<P>, bytes: usize, blocks: usize) {
    let blocks: Vec<_> = (0..blocks).map(|_| heap.malloc(bytes)).collect();
    for block in blocks {
        assert!(!block.is_null());
        // SAFETY: a live block, freed once.
        unsafe { heap.free(block) };
    }
}

#[test]
fn off_asks_no_clock_and_takes_no_turn() {
    for mode in Mode::ALL {
        let pages = MockPages::new(4 << 30);
        let heap = Heap::<Clocked>::new(pages.clone());
        heap.set_mode(mode);
        LOOKS.set(0);
        TURNS.set(0);
        let mut seat = Seat::new();
        seat.sit(|| {
            for _ in 0..20 {
                burst(&heap, 64, 100_000);
                NOW.set(NOW.get() + 100);
                heap.turn(NOW.get());
            }
            heap.thread_exit();
        });
        let took = (LOOKS.get() > 0, TURNS.get() > 0);
        assert_eq!(took, (mode != Mode::Off, mode != Mode::Off), "{}", mode.name());
        drop(heap);
        // SAFETY: the heap is gone.
        unsafe { pages.unmap_all() };
    }
}

/// A policy, and every order that it gave.
struct Recorded<P> {
    policy: P,
    given: Vec<(Act, Reason)>,
    /// Turns since it last turned a dial.
    quiet: usize,
}

impl<P: Policy> Recorded<P> {
    const fn new(policy: P) -> Self {
        Self { policy, given: Vec::new(), quiet: 0 }
    }
}

impl<P: Policy> Policy for Recorded<P> {
    fn decide(&mut self, seen: &Seen, dials: &Dials, orders: &mut Orders) {
        self.policy.decide(seen, dials, orders);
        let is_dial = |act: Act| matches!(act, Act::Set(..) | Act::SetClass(..));
        let turned = orders.list().iter().any(|order| is_dial(order.act));
        self.quiet = if turned { 0 } else { self.quiet + 1 };
        self.given.extend(orders.list().iter().map(|order| (order.act, order.reason)));
    }
}

/// Turns of 5 ms, in each of which the same happens.
fn steady(heap: &TestHeap<Host>, turns: u64, policy: &mut dyn Policy, work: &dyn Fn()) {
    let mut seat = Seat::new();
    seat.sit(|| {
        for turn in 1..=turns {
            work();
            heap.turn_with(turn * 5, policy);
        }
        heap.thread_exit();
    });
    heap.audited_empty();
}

type Work = fn(&TestHeap<Host>);

#[test]
fn a_steady_program_is_left_alone_after_a_while() {
    let works: [(&str, Work); 4] = [
        ("pairs", |heap| (0..100).for_each(|_| burst(heap, 64, 10))),
        ("bursts", |heap| burst(heap, 64, 60_000)),
        ("mid", |heap| (0..20).for_each(|_| burst(heap, 8 << 10, 200))),
        ("large", |heap| (0..4).for_each(|_| burst(heap, 1 << 20, 8))),
    ];
    for (name, work) in works {
        let heap = TestHeap::<Host>::new(4 << 30);
        let mut policy = Recorded::new(Ace::new());
        steady(&heap, 1500, &mut policy, &|| work(&heap));
        let last = &policy.given[policy.given.len().saturating_sub(8)..];
        assert!(policy.quiet >= 500, "{name}: {} quiet turns after {last:?}", policy.quiet);
    }
}

/// Sets a dial, from some turn on, whenever it stands elsewhere. The supervisor looks on.
struct Insist {
    supervisor: Supervisor,
    turn: u32,
    dial: Dial,
    value: u32,
}

impl Policy for Insist {
    fn decide(&mut self, seen: &Seen, dials: &Dials, orders: &mut Orders) {
        struct Set(Dial, u32);
        impl Policy for Set {
            fn decide(&mut self, _: &Seen, dials: &Dials, orders: &mut Orders) {
                orders.set(dials, self.0, self.1, Reason::Unneeded);
            }
        }
        self.turn += 1;
        let value = if self.turn > 20 { self.value } else { self.dial.spec().first };
        self.supervisor.decide(seen, dials, orders, &mut Set(self.dial, value));
    }
}

#[test]
fn a_bad_order_is_taken_back() {
    for (dial, value, blocks) in [(Dial::RefillMax, 1, 60_000), (Dial::DepotClassKib, 0, 8000)] {
        let heap = TestHeap::<Host>::new(4 << 30);
        heap.dials().set(Dial::Learn, 0);
        let insist = Insist { supervisor: Supervisor::new(), turn: 0, dial, value };
        let mut policy = Recorded::new(insist);
        steady(&heap, 60, &mut policy, &|| (0..4).for_each(|_| burst(&heap, 64, blocks)));
        let planted = (Act::Set(dial, value), Reason::Unneeded);
        let undone = (Act::Set(dial, dial.spec().first), Reason::RolledBack);
        assert_eq!(policy.given, [planted, undone], "{}", dial.spec().name);
    }
}

#[test]
fn every_order_of_ours_is_in_bounds_and_has_a_reason() {
    let seed = random::seed();
    for case in 0..24 {
        let script = Op::script::<Host>(seed ^ case, 4 * STEPS);
        let mut stage = Stage::<Host>::new();
        let mut policy = Recorded::new(Ace::new());
        play(&mut stage, &script, seed ^ case, &mut policy);
        stage.finish();
        for (act, reason) in policy.given {
            assert!(!reason.code().is_empty() && !reason.sentence().is_empty());
            match act {
                Act::Set(dial, value) => assert_eq!(dial.clamp(value), value, "{act:?}"),
                Act::SetClass(_, dial, value) => assert!(value <= dial.max(), "{act:?}"),
                _ => {}
            }
        }
    }
}
