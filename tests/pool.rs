//! What the pool keeps ready and what it gives back: reserves, tiers, purged memory that is wanted again,
//! huge pages.

use ace_alloc::arena::{Arena, Entry};
use ace_alloc::dials::Dial;
use ace_alloc::geometry::{Geometry, Host, HostTail, Small, shape_of};
use ace_alloc::pool::{Locked, Shared};
use ace_alloc::protocol::tier::Tier;
use ace_alloc::size_class::SizeClass;
use ace_alloc::slab::Slab;
use ace_alloc_tests::pages::MockPages;
use ace_alloc_tests::platforms::{Seat, Shape, TestHeap, TestPlatform};

/// Sizes of the tiny classes that malloc serves, a slab of one unit each on a host.
fn tiny_sizes() -> impl Iterator<Item = usize> {
    let classes = SizeClass::all().map(SizeClass::bytes);
    classes.filter(|bytes| bytes.is_multiple_of(16) && *bytes <= SizeClass::TINY_MAX)
}

/// One block of each size, with everything accounted for at each step.
fn one_of_each<G: Shape>(heap: &TestHeap<G>, seat: &mut Seat) -> Vec<*mut u8> {
    let take = |bytes| {
        let block = seat.sit(|| heap.malloc(bytes));
        assert!(!block.is_null(), "{}: {bytes} bytes", G::NAME);
        heap.audited();
        block
    };
    tiny_sizes().map(take).collect()
}

fn free_all<G: Shape>(heap: &TestHeap<G>, seat: &mut Seat, blocks: Vec<*mut u8>) {
    for block in blocks {
        // SAFETY: a live block, freed once.
        seat.sit(|| unsafe { heap.free(block) });
    }
}

#[test]
fn a_program_that_wants_one_slab_of_each_class_finds_nine_of_ten_ready() {
    let mut resident = [0; 2];
    for (prefill, resident) in [0, Dial::WarmPrefill.spec().first].into_iter().zip(&mut resident) {
        let (heap, mut seat) = (TestHeap::<Host>::new(Host::LIMIT), Seat::new());
        heap.dials().set(Dial::WarmPrefill, prefill);
        let wanted = one_of_each(&heap, &mut seat).len() as u64;
        let events = heap.stats().events;
        assert_eq!(events.warm_hits + events.warm_misses, wanted);
        let ready = events.warm_hits * 100 / wanted;
        assert!(if prefill == 0 { ready == 0 } else { ready >= 90 }, "{prefill}: {ready} %");
        *resident = heap.pages.resident();
    }
    assert_eq!(resident[0], resident[1], "runs in reserve cost memory");
}

/// The last slab of a superslab goes while the rest of the superslab is in reserve.
fn reserve_keeps_nothing_alive<G: Shape>() {
    let (heap, mut seat) = (TestHeap::<G>::new(G::LIMIT), Seat::new());
    heap.dials().set(Dial::WarmPrefill, 64);
    heap.dials().set(Dial::WarmMax, 0);
    let blocks = one_of_each(&heap, &mut seat);
    assert!(heap.ledger().uses.reserved > 0, "{}: nothing in reserve", G::NAME);
    free_all(&heap, &mut seat, blocks);
    seat.sit(|| heap.thread_exit());
    heap.audited_empty();
    // But where spare chunks are.
    let (superslabs, chunks) = (heap.stats().superslabs, heap.ledger().uses.chunks);
    let left = u32::from(chunks > 0);
    assert_eq!(superslabs.live + superslabs.draining, left, "{}: {chunks} of chunks", G::NAME);
}

#[test]
fn a_superslab_with_nothing_but_reserve_is_released() {
    reserve_keeps_nothing_alive::<Host>();
    reserve_keeps_nothing_alive::<HostTail>();
    reserve_keeps_nothing_alive::<Small>();
}

#[test]
fn what_is_in_reserve_for_one_length_serves_another_before_the_heap_grows() {
    let (heap, mut seat) = (TestHeap::<Host>::new(Host::LIMIT), Seat::new());
    heap.dials().set(Dial::WarmPrefill, 64);
    let blocks = seat.sit(|| [16, 2 << 10, 32 << 10, 1024].map(|bytes| heap.malloc(bytes)));
    heap.audited();
    let stats = heap.stats();
    assert_eq!(stats.superslabs.live, 1, "a superslab has room for four slabs");
    seat.sit(|| heap.malloc(48));
    assert!(heap.ledger().uses.reserved > 0);
    seat.sit(|| heap.trim(0));
    heap.audited();
    assert_eq!(heap.ledger().uses.reserved, 0, "trim gives the reserves back");
    free_all(&heap, &mut seat, blocks.to_vec());
}

/// A pool without threads.
struct Stage<G: Geometry> {
    shared: Shared<TestPlatform<G>>,
    pages: MockPages,
}

impl<G: Shape> Stage<G> {
    fn new() -> Self {
        let pages = MockPages::new(G::LIMIT);
        let shared = Shared::new(pages.clone());
        // Slabs that are given back go to their superslab at once.
        shared.dials.set(Dial::WarmMax, 0);
        Self { shared, pages }
    }

    fn lock(&self) -> Locked<'_, TestPlatform<G>> {
        self.shared.lock().expect("there is memory")
    }
}

impl<G: Geometry> Drop for Stage<G> {
    fn drop(&mut self) {
        // SAFETY: the pool is not used any more.
        unsafe { self.pages.unmap_all() };
    }
}

/// As many slabs of one unit as fit so many superslabs.
fn fill<'a, G: Geometry>(
    pool: &mut Locked<'a, TestPlatform<G>>,
    superslabs: u32,
) -> Vec<Slab<'a, G>> {
    let class = SizeClass::tiny(16);
    assert_eq!(shape_of::<G>(class).units, 1);
    let count = superslabs * G::SUPERSLAB_UNITS;
    (0..count).map(|_| pool.adopt(class, Entry::FIRST_HEAP).expect("there is memory")).collect()
}

fn tier<G: Geometry>(arena: &Arena<G>, slab: &Slab<'_, G>) -> Tier {
    arena.superslab(slab.head() / G::SUPERSLAB_UNITS).tier.get()
}

/// Superslabs drain when at most the dial's share of them is used and others have room, and serve again
/// before the heap grows.
fn drains_at<G: Shape>(permille: u32) {
    let stage = Stage::<G>::new();
    stage.shared.dials.set(Dial::DrainPermille, permille);
    let mut pool = stage.lock();
    let arena = pool.arena;
    let mut slabs = fill(&mut pool, 2);
    let upper = slabs.split_off(G::SUPERSLAB_UNITS as usize);
    let half = G::SUPERSLAB_UNITS as usize / 2;
    for slab in slabs.drain(..half) {
        pool.publish(&slab);
    }
    assert_eq!(tier(arena, &slabs[0]), Tier::Live, "nobody else has room");
    for (given, slab) in (1..G::SUPERSLAB_UNITS).zip(&upper) {
        pool.publish(slab);
        let used = G::SUPERSLAB_UNITS - given;
        let drains = permille > 0 && used * 1000 <= G::SUPERSLAB_UNITS * permille;
        let expected = if drains { Tier::Draining } else { Tier::Live };
        assert_eq!(tier(arena, slab), expected, "{}: {used} units used, {permille}", G::NAME);
    }
    let counts = pool.supers.counts();
    assert_eq!((counts.drained, counts.draining), (u32::from(permille > 0), counts.drained));
    let (committed, last) = (pool.spans.committed(), &upper[upper.len() - 1]);
    let more = G::SUPERSLAB_UNITS as usize + half - 1;
    for _ in 0..more {
        pool.adopt(SizeClass::tiny(16), Entry::FIRST_HEAP).expect("there is memory");
    }
    assert_eq!(tier(arena, last), Tier::Live);
    let counts = pool.supers.counts();
    assert_eq!((counts.revived, counts.live), (counts.drained, 2), "{}", G::NAME);
    let now = (pool.spans.committed(), pool.supers.live_free_units());
    assert_eq!(now, (committed, 0), "{}", G::NAME);
}

#[test]
fn the_dial_says_when_a_superslab_drains_and_a_draining_one_serves_before_the_heap_grows() {
    for permille in [0, 125, 300, 500] {
        drains_at::<Host>(permille);
        drains_at::<Small>(permille);
    }
}

#[test]
fn an_empty_superslab_that_is_looked_at_serves_on_and_does_not_drain_at_0() {
    let stage = Stage::<Host>::new();
    stage.shared.dials.set(Dial::DrainPermille, 0);
    let mut pool = stage.lock();
    let arena = pool.arena;
    let slabs = fill(&mut pool, 2);
    let (lower, upper) = slabs.split_at(64);
    let guard = arena.superslab(upper[0].head() / Host::SUPERSLAB_UNITS).tier.pin();
    for slab in lower[1..].iter().chain(upper) {
        pool.publish(slab);
    }
    assert_eq!(tier(arena, &upper[0]), Tier::Live);
    drop(guard);
}

#[test]
fn a_superslab_that_drains_gives_its_reserve_up() {
    let stage = Stage::<Host>::new();
    stage.shared.dials.set(Dial::WarmPrefill, 64);
    let mut pool = stage.lock();
    let arena = pool.arena;
    let lower = fill(&mut pool, 1);
    let mut adopt = || pool.adopt(SizeClass::tiny(16), Entry::FIRST_HEAP).expect("memory");
    let upper = [adopt(), adopt()];
    for slab in &lower[..32] {
        pool.publish(slab);
    }
    assert_eq!(pool.supers.reserved_units(), 62);
    pool.publish(&upper[0]);
    assert_eq!(tier(arena, &upper[1]), Tier::Draining);
    let now = (pool.supers.reserved_units(), pool.supers.live_free_units());
    assert_eq!(now, (0, 32));
    let next = pool.adopt(SizeClass::tiny(16), Entry::FIRST_HEAP).expect("memory");
    assert_eq!(next.head() / Host::SUPERSLAB_UNITS, lower[0].head() / Host::SUPERSLAB_UNITS);
}

#[test]
fn memory_that_comes_back_is_told_from_memory_that_is_new() {
    const BYTES: usize = 8 << 20;
    let (heap, mut seat) = (TestHeap::<Host>::new(Host::LIMIT), Seat::new());
    for dial in [Dial::DirtyFloorKib, Dial::DirtyPermille] {
        heap.dials().set(dial, 0);
    }
    let mut refaulted = |bytes| {
        let block = seat.sit(|| heap.malloc(bytes));
        let refaulted = heap.stats().events.refaulted_bytes as usize;
        free_all(&heap, &mut seat, vec![block]);
        refaulted
    };
    assert_eq!(refaulted(BYTES), 0, "all of it is new");
    assert_eq!(refaulted(BYTES), BYTES, "all of it was given back");
    assert_eq!(refaulted(BYTES * 3 / 2), 2 * BYTES, "a third of it is new");
    assert_eq!(refaulted(BYTES * 3 / 2), 2 * BYTES + BYTES * 3 / 2, "nothing of it is new");
    // Kept, it is neither.
    heap.dials().set(Dial::DirtyFloorKib, u32::MAX);
    assert_eq!(refaulted(BYTES), 4 * BYTES + BYTES / 2);
    assert_eq!(refaulted(BYTES), 4 * BYTES + BYTES / 2);
}

#[test]
fn what_a_purge_leaves_is_what_is_used_next() {
    let stage = Stage::<Host>::new();
    stage.shared.dials.set(Dial::DirtyFloorKib, u32::MAX);
    let mut pool = stage.lock();
    let mut slabs = fill(&mut pool, 4);
    for round in 0..3 {
        for slab in slabs.drain(..) {
            pool.publish(&slab);
        }
        assert_eq!(pool.purge_to(Host::SUPERSLAB), 3 * Host::SUPERSLAB);
        let before = round * 3 * Host::SUPERSLAB as u64;
        slabs.extend(fill(&mut pool, 1));
        assert_eq!(pool.meter.refaulted_bytes.get(), before, "what was left served first");
        slabs.extend(fill(&mut pool, 3));
        assert_eq!(pool.meter.refaulted_bytes.get(), before + 3 * Host::SUPERSLAB as u64);
    }
}

#[test]
fn superslabs_that_are_used_well_are_promoted_and_demoted_before_their_pages_go() {
    let stage = Stage::<Host>::new();
    let mut pool = stage.lock();
    let slabs = fill(&mut pool, 3);
    pool.publish(&slabs[0]);
    assert_eq!(pool.promote(9), 0, "the dial is at 0");
    stage.shared.dials.set(Dial::PromotePermille, 1000);
    stage.pages.refuse_promote(true);
    assert_eq!((pool.promote(9), pool.supers.counts().promoted), (0, 0), "no such pages");
    stage.pages.refuse_promote(false);
    assert_eq!((pool.promote(1), pool.promote(9)), (1, 1), "the first lacks a unit");
    stage.shared.dials.set(Dial::PromotePermille, 900);
    assert_eq!((pool.promote(9), pool.promote(9)), (1, 0));
    assert_eq!(stage.pages.ledger().promoted, 3 * Host::SUPERSLAB);
    // The provider checks that nothing is purged inside a promoted range.
    assert_eq!(pool.purge_to(0), Host::UNIT);
    assert_eq!(pool.supers.counts().promoted, 2, "the first has small pages again");
    for slab in &slabs[1..] {
        pool.publish(slab);
    }
    let counts = pool.supers.counts();
    assert_eq!((counts.live, counts.draining, counts.promoted), (0, 0, 0));
    assert_eq!(stage.pages.ledger().promoted, 0, "released superslabs have small pages again");
}

#[test]
fn levels_tell_what_the_pool_holds() {
    let stage = Stage::<Host>::new();
    stage.shared.dials.set(Dial::WarmMax, 2);
    stage.shared.dials.set(Dial::WarmPrefill, 3);
    stage.shared.dials.set(Dial::DirtyFloorKib, u32::MAX);
    let mut pool = stage.lock();
    let slabs = fill(&mut pool, 1);
    let extra = pool.adopt(SizeClass::tiny(32), Entry::FIRST_HEAP).expect("there is memory");
    let large = pool.alloc_large(3 << 20, 1).expect("there is memory");
    for slab in &slabs[..5] {
        pool.publish(slab);
    }
    let levels = pool.levels();
    assert_eq!((levels.live, levels.draining), (2, 0));
    assert_eq!(pool.supers.reserved_units(), 3);
    assert_eq!(
        levels.room_permille,
        (3 + 63) * 1000 / 128,
        "three dissolved, and the second's rest"
    );
    assert_eq!(levels.dirty_bytes, 5 << 16, "warm or dissolved, they keep their memory");
    assert_eq!(levels.used_bytes, (60 << 16) + (3 << 20), "60 slabs in use and a large block");
    let head = pool.arena.unit_of(large.start.addr().get());
    pool.free_large(head);
    pool.cool();
    for slab in slabs[5..].iter().chain([&extra]) {
        pool.publish(slab);
    }
    pool.cool();
    assert_eq!(pool.levels().used_bytes, 0);
    assert_eq!(pool.spans.free_units(), pool.spans.committed());
}
