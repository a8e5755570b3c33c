//! A thread that sleeps keeps nothing from the others: blocks that were freed for it come home all the
//! same, and its depot can be emptied. One thread plays all; who is not played, sleeps.

use ace_alloc::Dial;
use ace_alloc::geometry::{Host, HostTail, Small};
use ace_alloc::platform::{Misuse, MisuseKind};
use ace_alloc_tests::platforms::{Seat, Shape, TestHeap, take_misuses};
use ace_alloc_tests::random::{self, Random};

const CHECKED: bool = cfg!(not(feature = "unchecked"));
const BYTES: usize = 64;

/// Runs one scene in every geometry.
macro_rules! in_every_geometry {
    ($scene:ident $(, $with:expr)*) => {
        $scene::<Host>($($with),*);
        $scene::<HostTail>($($with),*);
        $scene::<Small>($($with),*);
    };
}

/// Blocks of a class that fill `slabs` slabs of one unit, or nearly so.
fn blocks_of<G: Shape>(slabs: usize) -> usize {
    slabs * (G::UNIT / BYTES)
}

fn take<G: Shape>(heap: &TestHeap<G>, seat: &mut Seat, blocks: usize) -> Vec<*mut u8> {
    let blocks: Vec<_> = seat.sit(|| (0..blocks).map(|_| heap.malloc(BYTES)).collect());
    assert!(blocks.iter().all(|block| !block.is_null()), "{}: memory is plenty", G::NAME);
    blocks
}

fn give<G: Shape>(heap: &TestHeap<G>, seat: &mut Seat, blocks: &[*mut u8]) {
    for &block in blocks {
        // SAFETY: a live block, freed once; or a crime on purpose, which the test platform records, and
        // after which the call has had no effect.
        seat.sit(|| unsafe { heap.free(block) });
    }
}

/// Slabs of the class, and blocks of it that are free but not home.
fn slabs_and_cached<G: Shape>(heap: &TestHeap<G>) -> (u32, u64) {
    let stats = heap.stats();
    let class = stats.classes.iter().find(|class| class.block_bytes as usize == BYTES);
    let class = class.expect("there is such a class");
    (class.slabs, class.cached_blocks)
}

/// The ledger comes out, and so many blocks are live as the program has. (Without live bits blocks in caches
/// count as well.)
fn assert_live<G: Shape>(heap: &TestHeap<G>, live: usize) {
    let found = heap.audited().live_blocks();
    assert!(!CHECKED || found == live as u64, "{}: {found} live blocks, not {live}", G::NAME);
}

/// Ends the threads; nothing is left then, and nothing was reported that was not taken before.
fn close<G: Shape>(heap: &TestHeap<G>, seats: impl IntoIterator<Item = Seat>) {
    for mut seat in seats {
        seat.sit(|| heap.thread_exit());
    }
    assert_eq!(take_misuses(), [], "{}: reported at the end", G::NAME);
    heap.audited_empty();
}

/// One thread fills slabs and sleeps, another frees all of it in some order and then takes as much. Returns
/// the slabs that the heap had before and after.
fn refilled_by_another<G: Shape>(slabs: usize, visits: u32, shuffled: bool) -> (u32, u32) {
    let heap = TestHeap::<G>::new(G::LIMIT);
    heap.dials().set(Dial::Visits, visits);
    let (mut sleeper, mut other) = (Seat::new(), Seat::new());
    let mut blocks = take(&heap, &mut sleeper, blocks_of::<G>(slabs));
    let (before, _) = slabs_and_cached(&heap);
    if shuffled {
        let mut random = Random::new(random::seed());
        for last in (1..blocks.len()).rev() {
            blocks.swap(last, random.below(last + 1));
        }
    }
    give(&heap, &mut other, &blocks);
    let again = take(&heap, &mut other, blocks.len());
    let (after, _) = slabs_and_cached(&heap);
    heap.audited();
    give(&heap, &mut other, &again);
    close(&heap, [sleeper, other]);
    (before, after)
}

fn serves_others<G: Shape>(slabs: usize) {
    let (before, after) = refilled_by_another::<G>(slabs, Dial::Visits.spec().first, false);
    let most = before + before / 8 + 8;
    assert!(after <= most, "{}: {before} slabs before, {after} after", G::NAME);
    // In any order: a slab is empty only when its last block came home, so more is looked through.
    let (before, after) = refilled_by_another::<G>(slabs, 1 << 10, true);
    let most = before + before / 8 + 8;
    assert!(after <= most, "{}: {before} slabs before, {after} after, shuffled", G::NAME);
}

#[test]
fn what_was_freed_for_a_sleeping_thread_serves_the_others_before_the_heap_grows() {
    serves_others::<Host>(1024);
    serves_others::<HostTail>(256);
    serves_others::<Small>(1024);
}

fn never_visits<G: Shape>() {
    let (before, after) = refilled_by_another::<G>(64, 0, false);
    assert!(after >= 2 * before - 8, "{}: {before} slabs before, {after} after", G::NAME);
}

#[test]
fn nobody_is_visited_while_the_dial_says_never() {
    in_every_geometry!(never_visits);
}

fn is_emptied<G: Shape>() {
    let heap = TestHeap::<G>::new(G::LIMIT);
    let (mut sleeper, mut other) = (Seat::new(), Seat::new());
    let blocks = take(&heap, &mut sleeper, blocks_of::<G>(48));
    let (own, mail) = blocks.split_at(blocks.len() / 2);
    give(&heap, &mut sleeper, own);
    give(&heap, &mut other, mail);
    let (_, cached) = slabs_and_cached(&heap);
    let magazine = G::MAGAZINE_SLOTS as u64;
    // Without live bits nobody knows which blocks are cached and which are live.
    assert!(!CHECKED || cached > 2 * magazine, "{}: the depot is full: {cached} blocks", G::NAME);
    other.sit(|| heap.trim(0));
    let (slabs, cached) = slabs_and_cached(&heap);
    assert!(cached < magazine, "{}: only the magazine is left: {cached} blocks", G::NAME);
    assert!(slabs <= 4, "{}: {slabs} slabs are held by a magazine", G::NAME);
    assert_live(&heap, 0);
    // The sleeper wakes up and goes on as ever.
    let blocks = take(&heap, &mut sleeper, blocks.len());
    give(&heap, &mut sleeper, &blocks);
    close(&heap, [sleeper, other]);
}

#[test]
fn a_trim_brings_back_all_that_a_sleeping_thread_has_but_its_magazines() {
    in_every_geometry!(is_emptied);
}

/// A part of each slab came home while its owner slept; the owner goes on with the rest.
fn goes_on_after_a_visit<G: Shape>() {
    let heap = TestHeap::<G>::new(G::LIMIT);
    let (mut sleeper, mut other) = (Seat::new(), Seat::new());
    let blocks = take(&heap, &mut sleeper, blocks_of::<G>(20));
    let (mail, kept): (Vec<_>, Vec<_>) = blocks.iter().enumerate().partition(|(at, _)| at % 3 > 0);
    let [mail, kept] = [mail, kept].map(|part| part.into_iter().map(|(_, &block)| block));
    let (mail, kept): (Vec<_>, Vec<_>) = (mail.collect(), kept.collect());
    give(&heap, &mut other, &mail);
    other.sit(|| heap.trim(0));
    assert_live(&heap, kept.len());
    let mut all = take(&heap, &mut sleeper, mail.len() / 2);
    assert_live(&heap, kept.len() + all.len());
    all.extend(kept);
    all.sort_unstable();
    let many = all.len();
    all.dedup();
    assert_eq!(all.len(), many, "{}: a block was handed out twice", G::NAME);
    give(&heap, &mut sleeper, &all);
    close(&heap, [sleeper, other]);
}

#[test]
fn a_thread_that_wakes_up_uses_what_came_home_meanwhile() {
    in_every_geometry!(goes_on_after_a_visit);
}

/// The crime was reported once, with the address.
fn assert_reported(reports: &[Misuse], ptr: *mut u8, what: &str) {
    assert_eq!(reports.len(), 1, "{what}: one report, not {reports:?}");
    let fair = [MisuseKind::DoubleFree, MisuseKind::NeverAllocated];
    assert!(fair.contains(&reports[0].kind), "{what}: {reports:?}");
    assert_eq!(reports[0].address, ptr.addr(), "{what}: {reports:?}");
}

/// Who frees the block a second time.
#[derive(Clone, Copy, Debug)]
enum Again {
    /// The same thread, before the visit that finds both.
    Before,
    /// The same thread, after the first came home; a second visit finds it.
    After,
    /// The same, and the sleeper finds it when it wakes up.
    AfterAndSlept,
    /// The sleeper itself, after it came home unseen.
    Owner,
}

fn freed_twice<G: Shape>(again: Again, keeps_slab: bool) {
    let heap = TestHeap::<G>::new(G::LIMIT);
    let (mut sleeper, mut other) = (Seat::new(), Seat::new());
    let blocks = take(&heap, &mut sleeper, if keeps_slab { 40 } else { blocks_of::<G>(8) });
    let mail = if keeps_slab { &blocks[10..20] } else { &blocks[..] };
    let victim = mail[mail.len() / 2];
    let what = format!("{}: {again:?}, slab stays: {keeps_slab}", G::NAME);
    give(&heap, &mut other, mail);
    if matches!(again, Again::Before) {
        give(&heap, &mut other, &[victim]);
    }
    other.sit(|| heap.trim(0));
    match again {
        Again::Before => {}
        Again::After => {
            give(&heap, &mut other, &[victim]);
            other.sit(|| heap.trim(0));
        }
        Again::AfterAndSlept => {
            give(&heap, &mut other, &[victim]);
            other.sit(|| heap.thread_exit());
            sleeper.sit(|| heap.thread_exit());
        }
        Again::Owner => {
            give(&heap, &mut sleeper, &[victim]);
            // Whichever of the two finds it.
            other.sit(|| heap.trim(0));
            sleeper.sit(|| heap.trim(0));
        }
    }
    assert_reported(&take_misuses(), victim, &what);
    let rest: Vec<_> = blocks.iter().filter(|block| !mail.contains(block)).copied().collect();
    give(&heap, &mut other, &rest);
    close(&heap, [sleeper, other]);
}

#[test]
fn a_block_that_is_freed_twice_is_reported_once_though_its_owner_sleeps() {
    let ways = [Again::Before, Again::After, Again::AfterAndSlept, Again::Owner];
    for again in ways {
        if CHECKED {
            in_every_geometry!(freed_twice, again, true);
            in_every_geometry!(freed_twice, again, false);
        }
    }
}

/// The sleeper frees a block once more that came home unseen, and then wants blocks, so that it would get
/// that one from its magazine and from the slab.
fn is_not_resized<G: Shape>() {
    let heap = TestHeap::<G>::new(G::LIMIT);
    let (mut sleeper, mut other) = (Seat::new(), Seat::new());
    let blocks = take(&heap, &mut sleeper, 40);
    give(&heap, &mut other, &blocks[10..20]);
    other.sit(|| heap.trim(0));
    for seat in [&mut other, &mut sleeper] {
        // SAFETY: deliberately not kept: the block is free. Nothing of it is touched.
        let answer = seat.sit(|| unsafe { heap.realloc(blocks[15], 8) });
        assert!(answer.is_null(), "{}: a free block was resized", G::NAME);
        assert_reported(&take_misuses(), blocks[15], G::NAME);
    }
    let rest: Vec<_> = blocks[..10].iter().chain(&blocks[20..]).copied().collect();
    give(&heap, &mut sleeper, &rest);
    close(&heap, [sleeper, other]);
}

#[test]
fn a_block_that_a_visitor_put_back_is_not_resized() {
    in_every_geometry!(is_not_resized);
}

fn is_not_handed_out_twice<G: Shape>() {
    let heap = TestHeap::<G>::new(G::LIMIT);
    let (mut sleeper, mut other) = (Seat::new(), Seat::new());
    // The current slab, with an empty magazine: the next malloc refills.
    let mut blocks = take(&heap, &mut sleeper, 1);
    while slabs_and_cached(&heap).1 > 0 {
        blocks.extend(take(&heap, &mut sleeper, 1));
    }
    let victim = blocks[0];
    give(&heap, &mut other, &blocks[..1]);
    other.sit(|| heap.trim(0));
    give(&heap, &mut sleeper, &[victim]);
    // The second free brought it into the magazine; the mail of another block has the sleeper look.
    give(&heap, &mut other, &blocks[1..2]);
    other.sit(|| heap.thread_exit());
    sleeper.sit(|| heap.trim(0));
    assert_reported(&take_misuses(), victim, G::NAME);
    let mut again = take(&heap, &mut sleeper, blocks.len());
    again.extend_from_slice(&blocks[2..]);
    again.sort_unstable();
    let many = again.len();
    again.dedup();
    assert_eq!(again.len(), many, "{}: a block was handed out twice", G::NAME);
    give(&heap, &mut sleeper, &again);
    close(&heap, [sleeper]);
}

#[test]
fn a_block_that_its_owner_frees_once_more_after_a_visit_is_not_handed_out_twice() {
    if CHECKED {
        in_every_geometry!(is_not_handed_out_twice);
    }
}

/// What a thread was packing for another when both fell asleep.
fn is_sent_on<G: Shape>() {
    let heap = TestHeap::<G>::new(G::LIMIT);
    let (mut owner, mut sleeper, mut other) = (Seat::new(), Seat::new(), Seat::new());
    let blocks = take(&heap, &mut owner, 12);
    let own = take(&heap, &mut sleeper, 1);
    for (live, block) in (0..12).rev().zip(&blocks) {
        give(&heap, &mut sleeper, &[*block]);
        // At some times more than one block is new, at others none.
        if live % 3 == 0 {
            other.sit(|| heap.trim(0));
            other.sit(|| heap.trim(0));
            assert_live(&heap, live + 1);
        }
    }
    give(&heap, &mut sleeper, &own);
    close(&heap, [sleeper, owner, other]);
}

#[test]
fn what_a_sleeping_thread_was_packing_for_another_comes_home_once() {
    in_every_geometry!(is_sent_on);
}

/// A parcel that reaches the next thread of a heap record, which does not own what is in it.
fn finds_its_way<G: Shape>() {
    let heap = TestHeap::<G>::new(G::LIMIT);
    let (mut first, mut other) = (Seat::new(), Seat::new());
    let blocks = take(&heap, &mut first, 40);
    // They wait in the outbox, addressed to the record.
    give(&heap, &mut other, &blocks[..3]);
    first.sit(|| heap.thread_exit());
    let mut second = Seat::new();
    let own = take(&heap, &mut second, 5);
    other.sit(|| heap.trim(0));
    assert_live(&heap, 40 - 3 + 5);
    give(&heap, &mut other, &blocks[3..]);
    give(&heap, &mut second, &own);
    close(&heap, [second, other]);
}

#[test]
fn mail_for_a_thread_that_is_gone_finds_its_way_though_the_next_one_sleeps() {
    in_every_geometry!(finds_its_way);
}

/// A fork while blocks are home of which their owner does not know; it is not in the child.
fn is_buried<G: Shape>() {
    let heap = TestHeap::<G>::new(G::LIMIT);
    let (mut lost, mut forks) = (Seat::new(), Seat::new());
    let blocks = take(&heap, &mut lost, blocks_of::<G>(4));
    give(&heap, &mut forks, &blocks[..blocks.len() / 2]);
    forks.sit(|| heap.trim(0));
    forks.sit(|| {
        heap.fork_prepare();
        // SAFETY: this test goes on as the child of a fork: the other thread is not played again.
        unsafe { heap.fork_child() };
    });
    let live = blocks.len() - blocks.len() / 2;
    assert_live(&heap, live);
    // The record of the lost thread is not visited, and its blocks can be freed.
    give(&heap, &mut forks, &blocks[blocks.len() / 2..]);
    forks.sit(|| heap.trim(0));
    if CHECKED {
        close(&heap, [forks]);
    }
}

#[test]
fn a_fork_beside_a_heap_that_was_visited_loses_nothing() {
    in_every_geometry!(is_buried);
}
