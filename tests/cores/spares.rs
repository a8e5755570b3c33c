//! Spare regions: what becomes one, and what is freed there that is not a live block.

use crate::{
    blocks::{Block, layout, memory},
    board::{BoardLock, Cpu, interrupt_at, set_handler, steps, switch_to},
};
use ace_alloc::{
    ClaimError, CoreHeap, CoreId, Misuse, MisuseKind,
    geometry::{Compact, Geometry},
};
use std::{
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind},
};

thread_local! {
    static REPORTED: RefCell<Vec<Misuse>> = const { RefCell::new(Vec::new()) };
}

/// A CPU of the board on which mistakes are noted, and then the heap goes on.
struct Forgiving;

// SAFETY: as for `Cpu`.
unsafe impl CoreId for Forgiving {
    fn current() -> usize {
        Cpu::current()
    }

    fn in_interrupt() -> bool {
        Cpu::in_interrupt()
    }

    fn misuse(misuse: Misuse) {
        REPORTED.with_borrow_mut(|reported| reported.push(misuse));
    }
}

type Heap = CoreHeap<Forgiving, 2, Compact, BoardLock>;

const RANGE: usize = 1 << 17;
const SPARE: usize = 1 << 19;
/// More than the range has.
const BYTES: usize = 150_000;

/// A heap with a range and a spare region, of which this is the memory.
fn heap_over(memory: *mut u8) -> &'static Heap {
    let heap: &Heap = Box::leak(Box::new(Heap::new()));
    // SAFETY: the memory is this heap's alone.
    unsafe { heap.claim(memory, RANGE) }.expect("a range");
    // SAFETY: likewise.
    unsafe { heap.claim(spare(memory), SPARE) }.expect("a spare region");
    heap
}

/// Begins behind a gap, so that neither region ends where the other begins.
fn spare(memory: *mut u8) -> *mut u8 {
    memory.wrapping_add(RANGE + 64)
}

fn free(heap: &Heap, block: *mut u8) {
    // SAFETY: a live block of this layout, or the mistake.
    unsafe { heap.dealloc(block, layout(BYTES)) };
}

/// What is freed that is no live block, where a region and a block of it begin; and as what it is reported. The block
/// itself: that is freed twice.
type Mistake = (fn(*mut u8, *mut u8) -> *mut u8, &'static [MisuseKind]);

/// No block can begin there.
const IMPOSSIBLE: [Mistake; 3] = [
    (|_, block| block.wrapping_add(3), &[MisuseKind::Interior]),
    // Control data.
    (|region, _| region.wrapping_add(16), &[MisuseKind::NeverAllocated]),
    // The last granule.
    (|region, _| region.wrapping_add(SPARE - 8), &[MisuseKind::DoubleFree, MisuseKind::Interior]),
];

const POSSIBLE: [Mistake; 3] = [
    (|_, block| block, &[MisuseKind::DoubleFree]),
    (|_, block| block.wrapping_add(512), &[MisuseKind::Interior]),
    // Free memory, of which nobody can tell whether it ever was a block.
    (|region, _| region.wrapping_add(SPARE - 4096), &[MisuseKind::DoubleFree]),
];

/// Makes it.
fn make(heap: &Heap, block: *mut u8, odd: *mut u8) {
    if odd == block {
        free(heap, block);
    }
    free(heap, odd);
}

/// The one mistake that was reported.
fn reported() -> (MisuseKind, usize) {
    let reported = REPORTED.take();
    assert_eq!(reported.len(), 1, "{reported:?}");
    (reported[0].kind, reported[0].address)
}

#[test]
fn what_is_no_live_block_of_a_spare_region_is_reported_and_changes_nothing() {
    let memory = memory(RANGE + 64 + SPARE + 64);
    switch_to(0);
    for (mistake, kinds) in IMPOSSIBLE.into_iter().chain(POSSIBLE) {
        let heap = heap_over(memory);
        let all = heap.spare_bytes();
        let block = heap.alloc(layout(BYTES));
        assert!(block >= spare(memory), "more than the range has");
        let odd = mistake(spare(memory), block);
        make(heap, block, odd);
        let (kind, address) = reported();
        assert!(kinds.contains(&kind) && address == odd.addr(), "{kind:?} of {kinds:?}");
        if odd != block {
            free(heap, block);
        }
        assert_eq!(heap.spare_bytes(), all);
        let blocks: Vec<_> = (0..3).map_while(|at| Block::new(heap, BYTES, at)).collect();
        assert_eq!(blocks.len(), 3, "there is room for three");
        blocks.into_iter().for_each(|block| block.free(heap));
        assert_eq!(heap.spare_bytes(), all);
    }
}

/// A handler does it, at that step of what the heap does otherwise. Returns the steps of that, and whether something
/// was written to what was freed.
fn made_by_a_handler(memory: *mut u8, (mistake, kinds): Mistake, at: u64) -> (u64, bool) {
    let heap = heap_over(memory);
    let all = heap.spare_bytes();
    let block = heap.alloc(layout(BYTES));
    let odd = mistake(spare(memory), block);
    // SAFETY: the memory has so much behind any of them, and nobody has a reference to it.
    let content = || unsafe { odd.cast::<[u8; 16]>().read() };
    let before = content();
    set_handler(Some(Box::new(move |_| make(heap, block, odd))));
    interrupt_at(at, 0);
    Block::new(heap, BYTES, 1).into_iter().for_each(|block| block.free(heap));
    let taken = steps();
    interrupt_at(0, 0);
    set_handler(None);
    // Who has the lock next frees what the handler could not.
    heap.spare_bytes();
    if at > 0 {
        let (kind, address) = reported();
        assert_eq!(address, odd.addr(), "at step {at}");
        assert!(kinds.contains(&kind), "{kind:?} of {kinds:?}, at step {at}");
    }
    let written = content() != before;
    if at == 0 || odd != block {
        free(heap, block);
    }
    assert_eq!(heap.spare_bytes(), all, "at step {at}");
    (taken, written)
}

#[test]
fn a_handler_that_cannot_wait_frees_wrongly_and_the_next_caller_reports_it() {
    let memory = memory(RANGE + 64 + SPARE + 64);
    switch_to(0);
    let at_each_step = |mistake| {
        let (all, _) = made_by_a_handler(memory, mistake, 0);
        assert!(all > 10, "{all} steps: the lock is taken and left");
        (1..=all).map(move |at| made_by_a_handler(memory, mistake, at).1)
    };
    for mistake in IMPOSSIBLE {
        assert!(!at_each_step(mistake).any(|written| written), "written to");
    }
    for mistake in POSSIBLE {
        assert!(at_each_step(mistake).any(|written| written), "left to the next caller");
    }
}

/// A handler frees what is free already, at that step of what the heap does otherwise. Returns the steps of that.
fn freed_again_by_a_handler(memory: *mut u8, at: u64) -> u64 {
    let heap = heap_over(memory);
    let [block, _neighbour] = [(); 2].map(|()| heap.alloc(layout(BYTES)));
    free(heap, block);
    set_handler(Some(Box::new(move |_| free(heap, block))));
    interrupt_at(at, 0);
    // A handler that can't look writes into free memory: what is done there afterwards may end the program.
    let ended = catch_unwind(AssertUnwindSafe(|| {
        // Too much for the place of the block.
        Block::new(heap, BYTES + 10_000, 1).expect("room behind the neighbour").free(heap);
        let taken = steps();
        heap.spare_bytes();
        taken
    }));
    interrupt_at(0, 0);
    set_handler(None);
    let first = REPORTED.take().first().map(|misuse| (misuse.kind, misuse.address));
    assert_eq!(first, (at > 0).then_some((MisuseKind::DoubleFree, block.addr())), "at step {at}");
    ended.unwrap_or(0)
}

#[test]
fn what_a_handler_frees_that_is_free_already_is_reported_before_anything_else() {
    let memory = memory(RANGE + 64 + SPARE + 64);
    switch_to(0);
    let all = freed_again_by_a_handler(memory, 0);
    assert!(all > 10, "{all} steps: the lock is taken and left");
    for at in 1..=all {
        freed_again_by_a_handler(memory, at);
    }
}

#[test]
fn what_the_geometry_cannot_reach_is_a_spare_region() {
    const REACH: usize = Compact::MAX_UNITS as usize * Compact::UNIT;
    let heap = Heap::new();
    switch_to(0);
    let bytes = REACH + (4 << 20);
    // SAFETY: the memory is this heap's alone.
    let usable = unsafe { heap.claim(memory(bytes), bytes) }.expect("enough");
    assert!(usable >= bytes / 100 * 97, "{usable} of {bytes}");
    let blocks: Vec<_> = (0..).map_while(|at| Block::new(&heap, 10_000, at as u8)).collect();
    let live = blocks.len() * 10_000;
    assert!(live >= bytes / 100 * 95, "{live} of {bytes}");
    blocks.into_iter().for_each(|block| block.free(&heap));
    let (all, free) = heap.spare_bytes();
    assert_eq!(all, free);
    assert!(all > 3 << 20);
}

#[test]
fn what_a_claim_has_not_taken_can_be_claimed_with_what_follows_it() {
    let heap = Heap::new();
    let start = memory(1 << 20);
    // SAFETY: the memory is this heap's alone, or refused.
    let claim = |from: usize, to: usize| unsafe { heap.claim(start.wrapping_add(from), to - from) };
    // The range ends with a superslab; what is behind it is too small for a region.
    let range = 1 << 19;
    claim(0, range + 1000).expect("a range");
    assert_eq!(heap.spare_bytes(), (0, 0));
    assert_eq!(claim(range - 1, range + 10_000), Err(ClaimError::Overlaps));
    assert_eq!(claim(range, range + 1000), Err(ClaimError::TooSmall));
    let usable = claim(range, range + 10_000).expect("a spare region");
    assert_eq!(heap.spare_bytes(), (usable, usable));
    // A few KiB are of use.
    assert!(usable > 9000, "{usable} of 10000 bytes");
    assert_eq!(claim(range, range + 1000), Err(ClaimError::Overlaps));
    // What is more than a superslab is a region at once.
    let heap = Heap::new();
    // SAFETY: the first heap was given no block of it.
    unsafe { heap.claim(start, range + 10_000) }.expect("a range");
    assert_eq!(heap.spare_bytes(), (usable, usable));
}
