//! Owns the row without an allocator: what the trace, the calls and the blocks' memory cost.

use crate::heap::{Arena, Heap};
use std::alloc::Layout;
use std::cell::Cell;

thread_local! {
    static NEXT: Cell<usize> = const { Cell::new(0) };
    static ARENA: Cell<Arena> =
        const { Cell::new(Arena { start: std::ptr::null_mut(), bytes: 0 }) };
}

/// Walks round the arena and hands out what is there, taken or not.
pub struct Floor;

// SAFETY: it breaks the promise that nobody else has a block; the floor is timed, never verified, and
// the timed replays write plain words only. All blocks lie in the arena.
unsafe impl Heap for Floor {
    const SHARED: bool = false;

    unsafe fn start(arena: Arena) -> Result<(), String> {
        ARENA.set(arena);
        Ok(())
    }

    #[inline(always)]
    fn alloc(layout: Layout) -> *mut u8 {
        let (arena, at) = (ARENA.get(), NEXT.get());
        let start = (at + layout.align() - 1) & !(layout.align() - 1);
        let end = start + layout.size();
        let (start, end) = if end > arena.bytes { (0, layout.size()) } else { (start, end) };
        NEXT.set(end);
        arena.start.wrapping_add(start)
    }

    #[inline(always)]
    unsafe fn free(_: *mut u8, _: Layout) {}

    #[inline(always)]
    unsafe fn realloc(block: *mut u8, _: Layout, _: usize) -> *mut u8 {
        block
    }
}
