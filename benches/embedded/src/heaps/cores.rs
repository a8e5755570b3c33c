//! Owns ACE-Alloc's heap with a front for each core.

use super::{CORES, heap};
use ace_alloc::{CoreHeap, CoreId};
use std::cell::Cell;

thread_local! {
    /// Which core this thread stands for.
    static CORE: Cell<usize> = const { Cell::new(0) };
}

/// Threads stand for cores: one each, which it never leaves.
struct Core;

// SAFETY: every thread that calls the heap has a number of its own (`settle`), and there are no interrupts.
unsafe impl CoreId for Core {
    #[inline(always)]
    fn current() -> usize {
        CORE.get()
    }
}

static HEAP: CoreHeap<Core, CORES> = CoreHeap::new();

heap! {
    /// As its documentation sets it up, for two cores.
    AceCores, shared: true, &mut &HEAP, |arena| {
        // SAFETY: the arena is the heap's alone for the life of the process.
        let claimed = unsafe { HEAP.claim(arena.start, arena.bytes) };
        claimed.map(drop).map_err(|why| why.to_string())
    }, |number| CORE.set(number)
}
