//! Owns dlmalloc, whose system here is one arena, handed out once.

use super::{Bare, Raw, heap};
use crate::heap::Arena;
use dlmalloc::{Allocator, Dlmalloc};
use std::alloc::Layout;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::Relaxed};

static LOCKED: spin::Mutex<Dlmalloc<OneArena>> = spin::Mutex::new(empty());
static BARE: Bare<Dlmalloc<OneArena>> = Bare::new(empty());

heap! {
    /// Behind `spin::Mutex`.
    Dl, shared: true, &mut *LOCKED.lock(), |arena| take(&LOCKED.lock(), arena)
}
heap! {
    /// Without a lock.
    DlBare, shared: false, BARE.lock(), |arena| take(BARE.lock(), arena)
}

/// The arena, until it is handed out.
struct OneArena {
    start: AtomicPtr<u8>,
    bytes: AtomicUsize,
}

/// As its documentation advises for small targets: no search for segments to give back, and system
/// requests as small as they can be, so that a small arena can answer them.
const fn empty() -> Dlmalloc<OneArena> {
    let arena = OneArena { start: AtomicPtr::new(ptr::null_mut()), bytes: AtomicUsize::new(0) };
    let mut heap = Dlmalloc::new_with_allocator(arena);
    assert!(heap.set_granularity(512));
    heap.set_max_release_check_rate(0);
    heap
}

// SAFETY: the arena is handed out once, whole, and never taken back.
unsafe impl Allocator for OneArena {
    fn alloc(&self, bytes: usize) -> (*mut u8, usize, u32) {
        let length = self.bytes.load(Relaxed);
        if bytes > length {
            return (ptr::null_mut(), 0, 0);
        }
        self.bytes.store(0, Relaxed);
        (self.start.load(Relaxed), length, 0)
    }

    fn remap(&self, _: *mut u8, _: usize, _: usize, _: bool) -> *mut u8 {
        ptr::null_mut()
    }

    fn free_part(&self, _: *mut u8, _: usize, _: usize) -> bool {
        false
    }

    fn free(&self, _: *mut u8, _: usize) -> bool {
        false
    }

    fn can_release_part(&self, _: u32) -> bool {
        false
    }

    fn allocates_zeros(&self) -> bool {
        false
    }

    fn page_size(&self) -> usize {
        4096
    }
}

/// Gives the arena to the heap's system.
fn take(heap: &Dlmalloc<OneArena>, arena: Arena) -> Result<(), String> {
    heap.allocator().start.store(arena.start, Relaxed);
    heap.allocator().bytes.store(arena.bytes, Relaxed);
    Ok(())
}

// SAFETY: the crate's Dlmalloc keeps the same promises.
unsafe impl Raw for Dlmalloc<OneArena> {
    #[inline(always)]
    fn get(&mut self, layout: Layout) -> *mut u8 {
        // SAFETY: GlobalAlloc's rules, and no trace asks for 0 bytes.
        unsafe { self.malloc(layout.size(), layout.align()) }
    }

    #[inline(always)]
    unsafe fn put(&mut self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's (1).
        unsafe { self.free(block, layout.size(), layout.align()) }
    }

    #[inline(always)]
    unsafe fn resize(&mut self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        // SAFETY: the caller's (1) and (2).
        unsafe { self.realloc(block, layout.size(), layout.align(), bytes) }
    }
}
