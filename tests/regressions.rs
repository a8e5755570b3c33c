//! Bugs that were found once, each with the smallest program that showed it.

use std::alloc::Layout;

use ace_alloc::geometry::{Host, HostTail, Small};
use ace_alloc_tests::platforms::{Seat, Shape, TestHeap};

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
