//! `CoreHeap`: the heap of a kernel's CPUs and their interrupt handlers.

#[path = "cores/blocks.rs"]
mod blocks;
#[path = "cores/board.rs"]
mod board;
#[path = "cores/handlers.rs"]
mod handlers;
#[path = "cores/interrupts.rs"]
mod interrupts;
#[path = "cores/nested.rs"]
mod nested;
#[path = "cores/room.rs"]
mod room;
#[path = "cores/spares.rs"]
mod spares;

use ace_alloc::{ClaimError, CoreHeap, CoreId, Dial};
use blocks::{Block, layout, memory};
use board::{Board, BoardPages, Kernel, over_each_geometry, switch_to};

over_each_geometry! {
    what_is_freed_waits_for_the_turns_that_a_kernel_promises
    a_turn_leaves_as_much_as_a_free_does
}

struct One;
// SAFETY: each heap of this kind belongs to one test, which runs on one thread.
unsafe impl CoreId for One {
    fn current() -> usize {
        0
    }
}

#[test]
fn a_region_serves_once_and_only_if_it_is_large_enough() {
    let heap: CoreHeap<One, 1> = CoreHeap::new();
    assert!(heap.alloc(layout(10)).is_null(), "there is no memory yet");
    let start = memory(1 << 20);
    // SAFETY: the memory is this heap's alone, or refused.
    let claim = |start: *mut u8, bytes| unsafe { heap.claim(start, bytes) };
    assert_eq!(claim(std::ptr::null_mut(), 1 << 20), Err(ClaimError::Invalid));
    assert_eq!(claim(start, usize::MAX), Err(ClaimError::Invalid));
    assert_eq!(claim(start, 0), Err(ClaimError::TooSmall));
    assert_eq!(claim(start, 10_000), Err(ClaimError::TooSmall));
    let usable = claim(start, 1 << 19).expect("half a MiB is enough");
    assert!(usable >= 1 << 18, "{usable}");
    assert_eq!(claim(start, 1 << 19), Err(ClaimError::Overlaps));
    assert_eq!(claim(start.wrapping_add(1000), 5000), Err(ClaimError::Overlaps));
    assert_eq!(claim(start.wrapping_add((1 << 19) - 1), 5000), Err(ClaimError::Overlaps));
    assert_eq!(claim(start.wrapping_add(1 << 19), 100), Err(ClaimError::TooSmall));
    let part = |at: usize| start.wrapping_add((1 << 19) + at * 10_000 + 1);
    for at in 0..7 {
        assert!(claim(part(at), 9000).expect("a spare region") > 8000);
    }
    // One more, if the first claim left none over.
    assert!((7..9).any(|at| claim(part(at), 9000) == Err(ClaimError::TooMany)));
}

#[test]
fn a_rest_that_is_too_small_for_a_region_may_be_claimed_with_what_follows_it() {
    let heap: CoreHeap<One, 1> = CoreHeap::new();
    let start = memory(1 << 20);
    // SAFETY: the memory is this heap's alone, or refused.
    let claim = |start: *mut u8, bytes| unsafe { heap.claim(start, bytes) };
    claim(start, (1 << 19) + 1000).expect("half a MiB is enough");
    assert_eq!(claim(start.wrapping_add((1 << 19) - 1), 9000), Err(ClaimError::Overlaps));
    assert!(claim(start.wrapping_add(1 << 19), 9000).expect("the rest and more") > 8000);
}

#[test]
fn zeroed_blocks_are_zero_whatever_the_memory_held() {
    let heap: CoreHeap<One, 1> = CoreHeap::new();
    // SAFETY: the memory is this heap's alone.
    unsafe { heap.claim(memory(1 << 20), 1 << 20) }.expect("enough");
    for _ in 0..2 {
        for bytes in [10, 1000, 8000, 20_000, 300_000] {
            let start = heap.alloc_zeroed(layout(bytes));
            assert!(!start.is_null());
            // SAFETY: the block is ours and that long.
            let block = unsafe { std::slice::from_raw_parts_mut(start, bytes) };
            assert!(block.iter().all(|&byte| byte == 0), "{bytes} bytes");
            block.fill(0xFF);
            // SAFETY: a live block of this layout.
            unsafe { heap.dealloc(start, layout(bytes)) };
        }
    }
}

#[test]
fn what_the_range_has_no_room_for_comes_from_spare_regions_and_goes_back() {
    let heap: CoreHeap<One, 1> = CoreHeap::new();
    // SAFETY: the memory is this heap's alone.
    let usable = unsafe { heap.claim(memory(1 << 19), 1 << 19) }.expect("enough");
    // SAFETY: likewise.
    unsafe { heap.claim(memory(1 << 18), 1 << 18) }.expect("enough");
    let (spare, free) = heap.spare_bytes();
    assert_eq!(spare, free);
    for round in 0..3 {
        let mut blocks = Vec::new();
        for at in 0.. {
            let Some(block) = Block::new(&heap, [100, 3000, 9000][at % 3], at as u8) else { break };
            blocks.push(block);
        }
        let held: usize = (0..blocks.len()).map(|at| [100, 3000, 9000][at % 3]).sum();
        assert!(held > (usable + spare) * 3 / 4, "round {round}: {held} of {usable} + {spare}");
        // There may be two: the first claim has left one over.
        assert!(heap.spare_bytes().1 < 2 * 9000, "the spare regions are used up");
        for block in &mut blocks {
            block.resize(&heap, 90);
        }
        blocks.into_iter().for_each(|block| block.free(&heap));
        assert_eq!(heap.spare_bytes(), (spare, spare));
    }
}

#[test]
fn a_heap_that_is_empty_asks_for_more() {
    fn more<const N: usize>(heap: &CoreHeap<One, N>, wanted: core::alloc::Layout) -> bool {
        // SAFETY: fresh memory, for this heap alone.
        unsafe { heap.claim(memory(1 << 20), 1 << 20) }.is_ok() && wanted.size() <= 1 << 20
    }
    let heap: CoreHeap<One, 1> = CoreHeap::with_oom(more);
    let blocks: Vec<_> = (0..60).map_while(|at| Block::new(&heap, 50_000, at)).collect();
    assert_eq!(blocks.len(), 60, "3 MB in regions of 1 MiB");
    assert!(
        heap.alloc(layout(5 << 20)).is_null(),
        "all regions are too small, and no more are noted"
    );
    blocks.into_iter().for_each(|block| block.free(&heap));
}

#[test]
fn a_reserve_has_all_of_the_memory_that_it_takes() {
    for (wanted, usable) in
        [(0, 0), (1, 10_240), (2048, 10_240), (12_000, 12_288), (1 << 20, 1 << 15)]
    {
        let heap: CoreHeap<One, 1> = CoreHeap::new();
        assert_eq!(heap.keep_reserve(wanted), 0, "there is no memory yet");
        // SAFETY: the memory is this heap's alone.
        unsafe { heap.claim(memory(1 << 20), 1 << 20) }.expect("enough");
        assert_eq!(heap.keep_reserve(wanted), usable, "{wanted} bytes");
        assert_eq!(heap.reserve_bytes(), (usable, 0));
        let large = heap.stats().large.bytes;
        assert!((usable..usable + 4096).contains(&large), "{large} bytes taken for {usable}");
    }
}

fn what_is_freed_waits_for_the_turns_that_a_kernel_promises<G: Board>() {
    const BYTES: usize = 200_000;
    let heap: Kernel<G> = CoreHeap::over(BoardPages::new(G::BYTES, 0), |_, _| false);
    switch_to(0);
    // All that is free is too much.
    for dial in [Dial::DirtyFloorKib, Dial::DirtyPermille] {
        heap.dials().pin(dial, 0);
    }
    let dirty = || heap.stats().dirty_bytes;
    let given = || heap.stats().events.purged_bytes;
    // A block that a turn sees, and that is freed then. What is wanted again after so long teaches nothing.
    let free_after_turn = |now_ms| {
        let block = Block::new(&heap, BYTES, 1).expect("there is room");
        heap.turn(now_ms);
        block.free(&heap);
    };
    free_after_turn(1000);
    assert_eq!(dirty(), 0, "no turns were promised");
    heap.set_attended(true);
    let before = given();
    free_after_turn(2000);
    assert!(dirty() >= BYTES, "{} bytes wait", dirty());
    free_after_turn(2020);
    assert!(dirty() >= BYTES, "{} bytes wait", dirty());
    assert_eq!(given(), before, "it was wanted again");
    heap.turn(2040);
    heap.turn(2060);
    assert_eq!(dirty(), 0, "nobody wanted it");
    free_after_turn(3000);
    assert!(dirty() >= BYTES, "{} bytes wait", dirty());
    heap.set_attended(false);
    assert_eq!(dirty(), 0, "no turn will come");
}

/// Bytes that stay when more than the limit was free.
fn left<G: Board>(attended: bool) -> usize {
    let heap: Kernel<G> = CoreHeap::over(BoardPages::new(16 * G::BYTES, 0), |_, _| false);
    switch_to(0);
    heap.dials().pin(Dial::DirtyFloorKib, 4096);
    heap.set_attended(attended);
    let block = Block::new(&heap, 6 << 20, 1).expect("there is room");
    heap.turn(1000);
    block.free(&heap);
    heap.turn(1020);
    heap.turn(1040);
    heap.stats().dirty_bytes
}

fn a_turn_leaves_as_much_as_a_free_does<G: Board>() {
    let least = (4 << 20) - G::SUPERSLAB - 64 * G::UNIT;
    assert_eq!(left::<G>(true), left::<G>(false));
    assert!((least..4 << 20).contains(&left::<G>(true)), "{} bytes", left::<G>(true));
}
