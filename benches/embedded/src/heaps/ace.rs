//! Owns ACE-Alloc's heap over regions, in its scales.

use super::{Bare, Raw, heap};
use crate::heap::Arena;
use ace_alloc::region::{Bounded, Micro, Mini, Scale, Wide};
use ace_alloc::{LockedHeap, RegionHeap, SpinLock};
use std::alloc::Layout;
use std::ptr::{self, NonNull};

type Locked<S> = LockedHeap<SpinLock, S>;

static WIDE: Locked<Wide> = LockedHeap::empty();
static WIDE_BARE: Bare<RegionHeap<Wide>> = Bare::new(RegionHeap::empty());
static BOUNDED: Locked<Bounded<Wide>> = LockedHeap::empty();
static BOUNDED_BARE: Bare<RegionHeap<Bounded<Wide>>> = Bare::new(RegionHeap::empty());
static MINI: Locked<Mini> = LockedHeap::empty();
static MINI_BARE: Bare<RegionHeap<Mini>> = Bare::new(RegionHeap::empty());
static MICRO: Locked<Micro> = LockedHeap::empty();
static MICRO_BARE: Bare<RegionHeap<Micro>> = Bare::new(RegionHeap::empty());

heap! {
    /// The default scale, with its own lock.
    AceWide, shared: true, &mut &WIDE, |arena| claim(&mut WIDE.lock(), arena)
}
heap! {
    /// Bounded time a call, with its own lock.
    AceBounded, shared: true, &mut &BOUNDED, |arena| claim(&mut BOUNDED.lock(), arena)
}
heap! {
    /// For microcontrollers, with its own lock.
    AceMini, shared: true, &mut &MINI, |arena| claim(&mut MINI.lock(), arena)
}
heap! {
    /// For small microcontrollers, with its own lock.
    AceMicro, shared: true, &mut &MICRO, |arena| claim(&mut MICRO.lock(), arena)
}
heap! {
    /// The default scale without a lock.
    AceWideBare, shared: false, WIDE_BARE.lock(), |arena| claim(WIDE_BARE.lock(), arena)
}
heap! {
    /// Bounded time a call, without a lock.
    AceBoundedBare, shared: false, BOUNDED_BARE.lock(), |arena| claim(BOUNDED_BARE.lock(), arena)
}
heap! {
    /// For microcontrollers, without a lock.
    AceMiniBare, shared: false, MINI_BARE.lock(), |arena| claim(MINI_BARE.lock(), arena)
}
heap! {
    /// For small microcontrollers, without a lock.
    AceMicroBare, shared: false, MICRO_BARE.lock(), |arena| claim(MICRO_BARE.lock(), arena)
}

/// Gives the arena to the heap.
fn claim<S: Scale>(heap: &mut RegionHeap<S>, arena: Arena) -> Result<(), String> {
    // SAFETY: the arena is the heap's alone for the life of the process (Heap::start).
    let claimed = unsafe { heap.claim(arena.start, arena.bytes) };
    claimed.map(drop).map_err(|why| why.to_string())
}

// SAFETY: RegionHeap keeps the same promises.
unsafe impl<S: Scale> Raw for RegionHeap<S> {
    #[inline(always)]
    fn get(&mut self, layout: Layout) -> *mut u8 {
        self.allocate(layout).map_or(ptr::null_mut(), NonNull::as_ptr)
    }

    #[inline(always)]
    unsafe fn put(&mut self, block: *mut u8, layout: Layout) {
        // SAFETY: a live block of this heap, and so not null.
        unsafe { self.deallocate(NonNull::new_unchecked(block), layout) }
    }

    #[inline(always)]
    unsafe fn resize(&mut self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        // SAFETY: a live block of this heap, and so not null.
        match unsafe { self.resize_in_place(NonNull::new_unchecked(block), layout, bytes) } {
            true => block,
            // SAFETY: the caller's promise is the same.
            false => unsafe { super::moved(self, block, layout, bytes) },
        }
    }
}
