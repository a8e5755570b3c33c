//! Several regions of memory, and bad claims.
//! Floor: heaps of their own.

use crate::SPARE;
use crate::blocks::layout;
use ace_alloc::region::Scale;
use ace_alloc::{LockedHeap, RegionHeap};
use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, Ordering};
use lock_api::RawMutex;

const REGION: usize = SPARE / 4;
/// Blocks that fill it.
const BLOCK: usize = 96;

/// `_like` names the lock and the scale.
pub fn are_checked<L: RawMutex, S: Scale>(_like: &LockedHeap<L, S>, spare: *mut u8) {
    let heap: LockedHeap<L, S> = LockedHeap::empty();
    // Two regions with a hole between them.
    let second = spare.wrapping_add(2 * REGION);
    // SAFETY: nobody else uses the spare memory; whatever is refused is not used.
    unsafe {
        assert!(heap.claim(spare, 16).is_err(), "16 bytes are not a region");
        assert!(heap.claim(ptr::null_mut(), REGION).is_err(), "null is not memory");
        assert!(heap.claim(spare, REGION).is_ok_and(|bytes| (REGION / 2..REGION).contains(&bytes)));
        assert!(heap.claim(spare, REGION).is_err(), "a region is claimed once");
        assert!(heap.claim(spare.add(REGION / 2), REGION).is_err(), "regions don't overlap");
        assert!(heap.claim(spare.add(64), REGION / 2).is_err(), "no region lies in another");
        assert!(heap.claim(second, REGION).is_ok());
        assert!(heap.claim(spare.add(REGION), 2 * REGION).is_err(), "regions don't overlap");
    }
    let mut blocks = [None; 2 * REGION / BLOCK];
    let mut in_each = [0; 2];
    for slot in &mut blocks {
        *slot = heap.lock().allocate(layout(BLOCK, 8));
        let Some(block) = *slot else { break };
        let offset = block.as_ptr().addr() - spare.addr();
        let of = usize::from(offset >= REGION);
        assert_eq!(offset / REGION, 2 * of, "a block lies in a region");
        assert!(offset % REGION + BLOCK <= REGION, "and not beyond its end");
        in_each[of] += 1;
        // SAFETY: the block is live and has as many bytes.
        unsafe { block.write_bytes(0xEE, BLOCK) };
    }
    assert!(in_each.iter().all(|blocks| *blocks > REGION / 4 / BLOCK), "both are used");
    for block in blocks.into_iter().flatten() {
        // SAFETY: it was allocated like this, above.
        unsafe { heap.lock().deallocate(block, layout(BLOCK, 8)) };
    }
    assert!(heap.lock().allocate(layout(REGION / 2, 8)).is_some(), "free blocks grow together");
}

/// What [`more`] claims next; null if there is nothing left.
static NEXT: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());

fn more<S: Scale>(heap: &mut RegionHeap<S>, _: Layout) -> bool {
    let region = NEXT.load(Ordering::Relaxed);
    NEXT.store(ptr::null_mut(), Ordering::Relaxed);
    // SAFETY: the spare memory is this heap's.
    !region.is_null() && unsafe { heap.claim(region, REGION) }.is_ok()
}

/// A heap without memory that claims when it is first used, and once only.
pub fn are_claimed_when_the_heap_is_empty<L: RawMutex, S: Scale>(
    _like: &LockedHeap<L, S>,
    spare: *mut u8,
) {
    let heap: LockedHeap<L, S> = LockedHeap::with_oom(more);
    // SAFETY: sizes aren't 0, blocks are freed as they were allocated.
    unsafe {
        assert!(heap.alloc(layout(BLOCK, 8)).is_null(), "a heap without memory");
        NEXT.store(spare, Ordering::Relaxed);
        let block = NonNull::new(heap.alloc(layout(BLOCK, 8))).expect("a region was there");
        assert!(NEXT.load(Ordering::Relaxed).is_null());
        assert!(heap.alloc(layout(REGION, 8)).is_null(), "it can't be had");
        heap.dealloc(block.as_ptr(), layout(BLOCK, 8));
        assert!(!heap.alloc(layout(REGION / 2, 8)).is_null());
    }
}
