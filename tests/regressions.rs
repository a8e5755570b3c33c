//! Bugs that were found once, each with the smallest program that showed it.

use std::alloc::Layout;

use ace_alloc::geometry::{Host, HostTail, Small};
use ace_alloc::platform::MisuseKind;
use ace_alloc_tests::platforms::{Seat, Shape, TestHeap, take_misuses};

/// Both sizes round to the same class, but the geometry serves neither from a slab: the block is as
/// long as was asked, not as long as the class.
fn grows_above_the_classes<G: Shape>() {
    let heap = TestHeap::<G>::new(G::LIMIT);
    let mut seat = Seat::new();
    for (small, large) in [(2100, 2300), (9000, 10_240), (32_769, 40_000)] {
        let layout = Layout::from_size_align(small, 8).expect("a size and an alignment");
        seat.sit(|| {
            // SAFETY: the layout has a size; the block is used within what realloc promises, and freed.
            unsafe {
                let block = heap.alloc(layout);
                assert!(!block.is_null());
                let block = heap.realloc_layout(block, layout, large);
                assert!(!block.is_null());
                let usable = heap.usable_size(block);
                assert!(usable >= large, "{}: {usable} bytes for {large}", G::NAME);
                heap.free(block);
            }
        });
    }
}

#[test]
fn a_block_that_grows_above_the_largest_class_is_as_long_as_asked() {
    grows_above_the_classes::<Host>();
    grows_above_the_classes::<HostTail>();
    grows_above_the_classes::<Small>();
}

/// A full heap of one size; what is freed then serves another size at the first request.
fn serves_another_size_at_once<G: Shape>() {
    let heap = TestHeap::<G>::new(G::LIMIT);
    let mut seat = Seat::new();
    let mut blocks = Vec::new();
    seat.sit(|| {
        loop {
            let block = heap.malloc(64);
            if block.is_null() {
                break;
            }
            blocks.push(block);
        }
        let slabs = 8 * G::UNIT / 64;
        for block in blocks.drain(..slabs) {
            // SAFETY: the block is live and not used afterwards.
            unsafe { heap.free(block) };
        }
        assert!(!heap.malloc(48).is_null(), "{}: {slabs} blocks of 64 bytes are free", G::NAME);
    });
}

#[test]
fn memory_that_was_freed_in_a_full_heap_serves_another_size_at_the_first_request() {
    serves_another_size_at_once::<HostTail>();
    serves_another_size_at_once::<Small>();
}

/// A heap full of blocks of one size, which another thread frees: there is no page left to send them
/// home in, and still each of them gets there.
fn comes_home_without_a_page<G: Shape>(limit: usize, bytes: usize) {
    let heap = TestHeap::<G>::new(limit);
    let (mut owner, mut other) = (Seat::new(), Seat::new());
    // The other thread has a heap, so that it need not make one when there is no memory.
    // SAFETY: a live block, freed once.
    other.sit(|| unsafe { heap.free(heap.malloc(bytes)) });
    let fill = |seat: &mut Seat| {
        let mut blocks = Vec::new();
        seat.sit(|| {
            loop {
                let block = heap.malloc(bytes);
                if block.is_null() {
                    return;
                }
                blocks.push(block);
            }
        });
        blocks
    };
    let first = fill(&mut owner);
    for &block in &first {
        // SAFETY: a live block, freed once.
        other.sit(|| unsafe { heap.free(block) });
    }
    assert!(heap.stats().events.strays > 0, "{}: a heap that is full has no page left", G::NAME);
    let second = fill(&mut owner);
    assert!(
        second.len() * 100 >= first.len() * 97,
        "{}: {} blocks of {bytes} bytes at first, {} after another thread freed them",
        G::NAME,
        first.len(),
        second.len()
    );
    for block in second {
        // SAFETY: a live block, freed once.
        other.sit(|| unsafe { heap.free(block) });
    }
    // Whichever of the two is gone first.
    other.sit(|| heap.thread_exit());
    owner.sit(|| heap.thread_exit());
    heap.audited_empty();
    assert_eq!(take_misuses(), [], "{}", G::NAME);
}

#[test]
fn a_full_heap_that_another_thread_frees_is_all_there_again() {
    for bytes in [16, 64, 1000] {
        comes_home_without_a_page::<Host>(256 << 20, bytes);
        comes_home_without_a_page::<HostTail>(256 << 20, bytes);
        comes_home_without_a_page::<Small>(4 << 20, bytes);
    }
}

/// A thread that lives on frees one of two blocks of each thread that has died. The slabs must stay
/// within reach of the threads to come: all that is live would fit into one.
fn does_not_gather_slabs_of_the_dead<G: Shape>() {
    let heap = TestHeap::<G>::new(G::LIMIT);
    let mut elder = Seat::new();
    let mut held = Vec::new();
    for _ in 0..400 {
        let mut young = Seat::new();
        let freed_by_elder = young.sit(|| {
            let blocks = [heap.malloc(64), heap.malloc(64)];
            assert!(blocks.iter().all(|block| !block.is_null()), "{}", G::NAME);
            heap.thread_exit();
            blocks[0]
        });
        // SAFETY: the block is live and not used afterwards.
        elder.sit(|| unsafe { heap.free(freed_by_elder) });
        held.push(heap.pages.ledger().committed);
    }
    let slabs = heap.stats().classes.iter().map(|class| class.slabs).sum::<u32>();
    assert!(slabs <= 8, "{}: {slabs} slabs for 400 blocks of 64 bytes", G::NAME);
    assert_eq!(held[100], held[399], "{}: bytes committed after 101 and 400 threads", G::NAME);
}

#[test]
fn a_thread_that_frees_for_the_dead_does_not_gather_their_slabs() {
    does_not_gather_slabs_of_the_dead::<Host>();
    does_not_gather_slabs_of_the_dead::<HostTail>();
    does_not_gather_slabs_of_the_dead::<Small>();
}

/// Small blocks at the alignment of a superslab, as many as superslabs fit the range: there must be
/// room for one superslab left, since almost all of the range is free.
fn leaves_room_for_slabs<G: Shape>() {
    let heap = TestHeap::<G>::new(G::LIMIT);
    let mut seat = Seat::new();
    seat.sit(|| {
        let blocks: Vec<_> = (0..1100).map(|_| heap.memalign(G::SUPERSLAB, 720)).collect();
        assert!(blocks.iter().all(|block| !block.is_null()), "{}", G::NAME);
        let block = heap.malloc(1);
        assert!(!block.is_null(), "{}: 1100 blocks of 720 bytes fill the heap", G::NAME);
        for block in blocks.into_iter().chain([block]) {
            // SAFETY: a live block, freed once.
            unsafe { heap.free(block) };
        }
        heap.thread_exit();
        heap.trim(0);
    });
    heap.audited_empty();
}

#[test]
fn blocks_with_a_wide_alignment_leave_room_for_others() {
    leaves_room_for_slabs::<Host>();
    leaves_room_for_slabs::<HostTail>();
}

/// A live bit stands for 16 bytes. In a class of 24 bytes an address inside one block can share its bit
/// with the start of the next.
fn tells_the_inside_of_a_narrow_block<G: Shape>() {
    let heap = TestHeap::<G>::new(G::LIMIT);
    let layout = Layout::from_size_align(24, 8).expect("a size and an alignment");
    let mut seat = Seat::new();
    seat.sit(|| {
        // SAFETY: the layout has a size.
        let blocks: Vec<_> = (0..20).map(|_| unsafe { heap.alloc(layout) }).collect();
        for &block in &blocks {
            for inside in [8, 16].map(|bytes| block.wrapping_add(bytes)) {
                // SAFETY: deliberately not kept; the test platform records it and returns.
                unsafe { heap.free(inside) };
                let reports: Vec<_> = take_misuses().iter().map(|misuse| misuse.kind).collect();
                assert_eq!(reports, [MisuseKind::Interior], "{}: {inside:?} of {block:?}", G::NAME);
            }
        }
        for block in blocks {
            // SAFETY: a live block, freed once.
            unsafe { heap.free(block) };
        }
        heap.thread_exit();
    });
    assert_eq!(take_misuses(), [], "{}", G::NAME);
    heap.audited_empty();
}

#[test]
fn a_free_inside_a_narrow_block_is_reported_at_once() {
    tells_the_inside_of_a_narrow_block::<Host>();
    tells_the_inside_of_a_narrow_block::<HostTail>();
    tells_the_inside_of_a_narrow_block::<Small>();
}

/// A few units of a large block held old content: only they need to become zero.
fn zeroes_what_is_not_zero<G: Shape>() {
    let heap = TestHeap::<G>::new(G::LIMIT);
    let mut seat = Seat::new();
    let bytes = G::LARGEST / 30;
    seat.sit(|| {
        let block = heap.malloc(bytes);
        // SAFETY: a live block of this size, freed once.
        unsafe {
            block.write_bytes(1, bytes);
            heap.free(block);
        }
        let before = heap.pages.resident();
        let block = heap.calloc(G::LARGEST);
        let grown = heap.pages.resident().saturating_sub(before);
        assert!(
            grown <= bytes,
            "{}: calloc of {} bytes made {grown} resident",
            G::NAME,
            G::LARGEST
        );
        // SAFETY: a live block of this size.
        let content = unsafe { std::slice::from_raw_parts(block, G::LARGEST) };
        assert!(content.iter().all(|&byte| byte == 0), "{}: calloc's block is zero", G::NAME);
        // SAFETY: freed once.
        unsafe { heap.free(block) };
    });
}

#[test]
fn a_zeroed_block_does_not_touch_what_is_zero_already() {
    zeroes_what_is_not_zero::<Host>();
    zeroes_what_is_not_zero::<HostTail>();
}
