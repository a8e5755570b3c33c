//! Single blocks: their alignment, their growth, and the largest one.
//! Floor: the global allocator.

use ace_alloc::LockedHeap;
use ace_alloc::region::Scale;
use alloc::alloc::{alloc as allocate, alloc_zeroed, dealloc, realloc};
use core::alloc::Layout;
use core::hint::black_box;
use core::slice;
use lock_api::RawMutex;

/// Bytes that no heap has: as many as can be asked for.
const BEYOND: usize = isize::MAX as usize - 4095;

/// The layout of `bytes`, aligned to `align`.
pub fn layout(bytes: usize, align: usize) -> Layout {
    Layout::from_size_align(bytes, align).expect("a layout")
}

/// A block that the compiler can't see through: it may leave out an allocation whose block it sees go, and
/// take it for granted that it succeeds.
///
/// # Safety
/// As for `alloc`.
pub unsafe fn alloc(wanted: Layout) -> *mut u8 {
    // SAFETY: the caller's promise.
    black_box(unsafe { allocate(wanted) })
}

/// Bytes of the largest block that can be had.
pub fn largest() -> usize {
    // `fits` fits, `wants` doesn't.
    let (mut fits, mut wants) = (0, BEYOND);
    while wants - fits > 1 {
        let bytes = fits + (wants - fits) / 2;
        // SAFETY: `bytes` isn't 0, and the block is not used.
        let there = unsafe {
            let block = alloc(layout(bytes, 8));
            if !block.is_null() {
                dealloc(block, layout(bytes, 8));
            }
            !block.is_null()
        };
        *(if there { &mut fits } else { &mut wants }) = bytes;
    }
    fits
}

/// Every alignment up to 4 KiB, as far as the heap has room for it.
pub fn lie_as_aligned_as_asked(heap: usize) {
    for shift in 0..=12_u32 {
        let align = 1 << shift;
        if align > heap / 4 {
            break;
        }
        for bytes in [1, 24, align, heap / 8] {
            let wanted = layout(bytes, align);
            // SAFETY: `bytes` isn't 0; the block is written within its bounds and freed as it was made.
            unsafe {
                // In the way, so that the next block isn't aligned by chance.
                let before = alloc(layout(8, 8));
                let block = black_box(alloc_zeroed(wanted));
                assert!(!block.is_null(), "{bytes} bytes aligned to {align}");
                assert_eq!(block.addr() % align, 0, "{bytes} bytes aligned to {align}");
                let content = slice::from_raw_parts_mut(block, bytes);
                assert!(content.iter().all(|byte| *byte == 0), "{bytes} bytes are zero");
                content.fill(0xFF);
                dealloc(block, wanted);
                dealloc(before, layout(8, 8));
            }
        }
    }
}

/// A block with free memory behind it grows and shrinks where it is, and keeps what it holds.
pub fn resize_in_place<L: RawMutex, S: Scale>(heap: &LockedHeap<L, S>, bytes: usize) {
    heap.trim();
    let (small, large) = (layout(64, 8), layout(bytes / 4, 8));
    // SAFETY: the sizes aren't 0, the block is written within its bounds and freed as it was last made.
    unsafe {
        let block = alloc(small);
        assert!(!block.is_null());
        slice::from_raw_parts_mut(block, 64).fill(0x5A);
        let grown = realloc(block, small, large.size());
        assert_eq!(grown, block, "{} bytes of free memory lie behind it", large.size());
        assert!(slice::from_raw_parts(grown, 64).iter().all(|byte| *byte == 0x5A));
        slice::from_raw_parts_mut(grown, large.size()).fill(0xA5);
        let shrunk = realloc(grown, large, small.size());
        assert_eq!(shrunk, block, "a block shrinks where it is");
        assert!(slice::from_raw_parts(shrunk, 64).iter().all(|byte| *byte == 0xA5));
        // What it lost is free again: it grows back, and is refused what the heap doesn't have.
        assert_eq!(realloc(shrunk, small, large.size()), block);
        assert!(black_box(realloc(block, large, BEYOND)).is_null());
        dealloc(block, large);
    }
}
