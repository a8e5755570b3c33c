//! Owns ACE-Alloc's heap with a front for each core.

use super::{CORES, heap};
use crate::heap::Arena;
use ace_alloc::geometry::{Compact, Geometry, Small};
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

static SMALL: CoreHeap<Core, CORES, Small> = CoreHeap::new();
static COMPACT: CoreHeap<Core, CORES, Compact> = CoreHeap::new();

heap! {
    /// In the geometry for 4 to 64 MiB, for two cores.
    AceCores, shared: true, &mut &SMALL, |arena| claim(&SMALL, arena), |number| CORE.set(number)
}
heap! {
    /// In the geometry for 1 to 4 MiB, for two cores.
    AceCoresCompact, shared: true, &mut &COMPACT,
    |arena| claim(&COMPACT, arena), |number| CORE.set(number)
}

/// Gives the arena to the heap.
fn claim<G: Geometry>(heap: &CoreHeap<Core, CORES, G>, arena: Arena) -> Result<(), String> {
    // SAFETY: the arena is the heap's alone for the life of the process (Heap::start).
    let claimed = unsafe { heap.claim(arena.start, arena.bytes) };
    claimed.map(drop).map_err(|why| why.to_string())
}
