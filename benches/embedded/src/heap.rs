//! Owns the seam between traces and allocators: one heap over one arena, and calls out of line.

use std::alloc::Layout;

/// Memory for one heap; nobody else touches it.
#[derive(Clone, Copy)]
pub struct Arena {
    /// Its first byte.
    pub start: *mut u8,
    /// Its length.
    pub bytes: usize,
}

/// An allocator with all its state in statics: a process has one heap of it, on one arena.
///
/// # Safety
/// After `start` returned `Ok`, `alloc` gives null or a block inside the arena, of the layout's size and
/// alignment, that no one else has until `free`; `realloc` is [`std::alloc::GlobalAlloc::realloc`].
pub unsafe trait Heap: 'static {
    /// May several threads call it at once?
    const SHARED: bool;

    /// Takes the arena over.
    ///
    /// # Errors
    /// Why this allocator can't work in this arena.
    ///
    /// # Safety
    /// 1. The first and only call in this process; the arena is writable and given to nobody else.
    unsafe fn start(arena: Arena) -> Result<(), String>;

    /// Tells heaps with a part for each core which one this thread is.
    fn core(_number: usize) {}

    /// A new block, or null.
    fn alloc(layout: Layout) -> *mut u8;

    /// Gives a block back.
    ///
    /// # Safety
    /// 1. `block` came from `alloc` or `realloc` with this layout and was not given back since.
    unsafe fn free(block: *mut u8, layout: Layout);

    /// Changes a block's size: the block's new place, or null, and then it stays as it was.
    ///
    /// # Safety
    /// 1. As in `free`.
    /// 2. `bytes` is not 0 and makes a valid layout.
    unsafe fn realloc(block: *mut u8, layout: Layout, bytes: usize) -> *mut u8;
}

/// `H::alloc` as a program calls `__rust_alloc`: out of line, the layout known at run time only.
#[inline(never)]
pub fn alloc<H: Heap>(layout: Layout) -> *mut u8 {
    H::alloc(layout)
}

/// `H::free`, likewise.
///
/// # Safety
/// As [`Heap::free`].
#[inline(never)]
pub unsafe fn free<H: Heap>(block: *mut u8, layout: Layout) {
    // SAFETY: the caller's promise is the same.
    unsafe { H::free(block, layout) }
}

/// `H::realloc`, likewise.
///
/// # Safety
/// As [`Heap::realloc`].
#[inline(never)]
pub unsafe fn realloc<H: Heap>(block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
    // SAFETY: the caller's promise is the same.
    unsafe { H::realloc(block, layout, bytes) }
}
