//! Owns good_memory_allocator.

use super::{Bare, Raw, heap};
use good_memory_allocator::{Allocator, SpinLockedAllocator};
use std::alloc::Layout;

static LOCKED: SpinLockedAllocator = SpinLockedAllocator::empty();
static BARE: Bare<Allocator> = Bare::new(Allocator::empty());

heap! {
    /// With its own lock (spin).
    Good, shared: true, &mut &LOCKED, |arena| {
        // SAFETY: the arena is ours alone, and a static does not move.
        unsafe { LOCKED.init(arena.start.expose_provenance(), arena.bytes) };
        Ok(())
    }
}
heap! {
    /// Without a lock.
    GoodBare, shared: false, BARE.lock(), |arena| {
        // SAFETY: the arena is ours alone, and a static does not move.
        unsafe { BARE.lock().init(arena.start.expose_provenance(), arena.bytes) };
        Ok(())
    }
}

// SAFETY: the crate's Allocator keeps the same promises.
unsafe impl Raw for Allocator {
    #[inline(always)]
    fn get(&mut self, layout: Layout) -> *mut u8 {
        // SAFETY: it has its memory, and no trace asks for 0 bytes.
        unsafe { self.alloc(layout) }
    }

    #[inline(always)]
    unsafe fn put(&mut self, block: *mut u8, _: Layout) {
        // SAFETY: the caller's (1).
        unsafe { self.dealloc(block) }
    }

    #[inline(always)]
    unsafe fn resize(&mut self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        // SAFETY: the caller's (1) and (2).
        unsafe { self.realloc(block, layout, bytes) }
    }
}
