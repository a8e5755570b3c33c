//! What a kernel does around each call: it counts how deep it is inside.

use crate::blocks::{Block, layout, memory};
use ace_alloc::{CoreHeap, CoreId, SpinLock, geometry::Compact};
use lock_api::RawMutex;
use std::cell::Cell;

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    static DEEPEST: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: each heap of this kind belongs to one test, which runs on one thread.
unsafe impl CoreId for Counting {
    fn current() -> usize {
        0
    }

    fn enter() -> usize {
        let depth = DEPTH.get();
        DEPTH.set(depth + 1);
        DEEPEST.set(DEEPEST.get().max(depth + 1));
        depth
    }

    fn leave(entered: usize) {
        assert_eq!(DEPTH.replace(entered), entered + 1, "left in the order of entering");
    }
}

/// A lock that nobody takes who has not entered.
struct Inside(SpinLock);

// SAFETY: as for the lock inside.
unsafe impl RawMutex for Inside {
    const INIT: Self = Self(SpinLock::INIT);
    type GuardMarker = <SpinLock as RawMutex>::GuardMarker;

    fn lock(&self) {
        assert!(DEPTH.get() > 0, "a lock is taken where the caller may be preempted");
        assert!(self.try_lock(), "who has the lock waits for it");
    }

    fn try_lock(&self) -> bool {
        assert!(DEPTH.get() > 0, "a lock is taken where the caller may be preempted");
        self.0.try_lock()
    }

    unsafe fn unlock(&self) {
        assert!(DEPTH.get() > 0, "a lock is held where the caller may be preempted");
        // SAFETY: the caller's promise.
        unsafe { self.0.unlock() };
    }
}

type Heap = CoreHeap<Counting, 1, Compact, Inside>;

const REGION: usize = 1 << 18;

fn claim_more(heap: &Heap, _: std::alloc::Layout) -> bool {
    assert_eq!(DEPTH.get(), 1, "asked inside of one call");
    // SAFETY: fresh memory, for this heap alone.
    unsafe { heap.claim(memory(REGION), REGION) }.is_ok()
}

#[test]
fn every_lock_is_taken_between_enter_and_leave_and_calls_nest() {
    let heap = Heap::with_oom(claim_more);
    DEEPEST.set(0);
    let large = REGION / 2;
    let mut blocks: Vec<_> =
        (0..6).map_while(|at| Block::new(&heap, [large, 500][at % 2], at as u8)).collect();
    assert_eq!((blocks.len(), DEPTH.get(), DEEPEST.get()), (6, 0, 2));
    blocks.iter_mut().for_each(|block| block.resize(&heap, 700));
    assert!(heap.keep_reserve(1) > 0);
    for bytes in [100, 20_000, large] {
        let block = heap.alloc_zeroed(layout(bytes));
        assert!(!block.is_null());
        // SAFETY: just allocated with this layout.
        unsafe { heap.dealloc(block, layout(bytes)) };
    }
    blocks.into_iter().for_each(|block| block.free(&heap));
    heap.set_attended(true);
    heap.turn(1000);
    heap.trim(0);
    assert_eq!(heap.stats().large.blocks, 1, "the reserve");
    let (all, free) = heap.spare_bytes();
    assert!(all > 0 && all == free);
    assert_eq!(DEPTH.get(), 0);
}
