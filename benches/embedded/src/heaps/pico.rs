//! Owns picoalloc.

use super::{Bare, Raw, heap};
use crate::heap::Arena;
use picoalloc::{Allocator, Env, Mutex, Size};
use std::alloc::Layout;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::Relaxed};

static LOCKED: Mutex<Allocator<OneArena>> = Mutex::new(Allocator::new(OneArena));
static BARE: Bare<Allocator<OneArena>> = Bare::new(Allocator::new(OneArena));
static START: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());
static BYTES: AtomicUsize = AtomicUsize::new(0);

heap! {
    /// With its own lock.
    Pico, shared: true, &mut &LOCKED, keep
}
heap! {
    /// Without a lock.
    PicoBare, shared: false, BARE.lock(), keep
}

/// Where `OneArena` finds the arena: the crate has no way to it from outside.
fn keep(arena: Arena) -> Result<(), String> {
    START.store(arena.start, Relaxed);
    BYTES.store(arena.bytes, Relaxed);
    Ok(())
}

/// The process's arena, which is all there is.
struct OneArena;

impl Env for OneArena {
    fn total_space(&self) -> Size {
        Size::from_bytes_usize(BYTES.load(Relaxed)).expect("arenas are far below 2^37 bytes")
    }

    unsafe fn allocate_address_space(&mut self) -> *mut u8 {
        START.load(Relaxed)
    }

    unsafe fn expand_memory_until(&mut self, _: *mut u8, size: Size) -> bool {
        size.bytes() as usize <= BYTES.load(Relaxed)
    }

    unsafe fn free_address_space(&mut self, _: *mut u8) {}
}

/// Its unit of size; sizes here are far below what a `Size` can say.
#[inline(always)]
fn size(bytes: usize) -> Size {
    // SAFETY: `None` stands for sizes of 2^37 bytes and more.
    unsafe { Size::from_bytes_usize(bytes).unwrap_unchecked() }
}

// SAFETY: the crate's Allocator keeps the same promises.
unsafe impl Raw for Allocator<OneArena> {
    #[inline(always)]
    fn get(&mut self, layout: Layout) -> *mut u8 {
        let block = self.alloc(size(layout.align()), size(layout.size()));
        block.map_or(ptr::null_mut(), NonNull::as_ptr)
    }

    #[inline(always)]
    unsafe fn put(&mut self, block: *mut u8, _: Layout) {
        // SAFETY: a live block of this heap, and so not null.
        unsafe { self.free(NonNull::new_unchecked(block)) }
    }

    #[inline(always)]
    unsafe fn resize(&mut self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        // SAFETY: a live block of this heap, and so not null.
        let block = unsafe { NonNull::new_unchecked(block) };
        // SAFETY: the caller's (1).
        let moved = unsafe { self.realloc(block, size(layout.align()), size(bytes)) };
        moved.map_or(ptr::null_mut(), NonNull::as_ptr)
    }
}
