//! Owns rlsf, which brings no lock for bare metal: behind the mutex that kernels use, and without.

use super::{Bare, Raw, heap};
use crate::heap::Arena;
use const_default::ConstDefault;
use std::alloc::Layout;
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};

/// 32 bytes to 2^29 with 32 lists an octave: fit for every arena here.
type Tlsf = rlsf::Tlsf<'static, u32, u32, 24, 32>;

static LOCKED: spin::Mutex<Tlsf> = spin::Mutex::new(Tlsf::DEFAULT);
static BARE: Bare<Tlsf> = Bare::new(Tlsf::DEFAULT);

heap! {
    /// Behind `spin::Mutex`.
    Rlsf, shared: true, &mut *LOCKED.lock(), |arena| {
        // SAFETY: the arena is ours alone for the life of the process.
        unsafe { take(&mut LOCKED.lock(), arena) }
    }
}
heap! {
    /// Without a lock.
    RlsfBare, shared: false, BARE.lock(), |arena| {
        // SAFETY: as above.
        unsafe { take(BARE.lock(), arena) }
    }
}

/// Gives the arena to the heap.
///
/// # Safety
/// 1. It is writable, and nobody else's for the life of the process.
unsafe fn take(heap: &mut Tlsf, arena: Arena) -> Result<(), String> {
    let memory = ptr::slice_from_raw_parts_mut(arena.start.cast::<MaybeUninit<u8>>(), arena.bytes);
    // SAFETY: (1).
    let _ = heap.insert_free_block(unsafe { &mut *memory });
    Ok(())
}

// SAFETY: the crate's Tlsf keeps the same promises.
unsafe impl Raw for Tlsf {
    #[inline(always)]
    fn get(&mut self, layout: Layout) -> *mut u8 {
        self.allocate(layout).map_or(ptr::null_mut(), NonNull::as_ptr)
    }

    #[inline(always)]
    unsafe fn put(&mut self, block: *mut u8, layout: Layout) {
        // SAFETY: a live block of this heap, and so not null.
        unsafe { self.deallocate(NonNull::new_unchecked(block), layout.align()) }
    }

    #[inline(always)]
    unsafe fn resize(&mut self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        // SAFETY: the caller's (2).
        let new = unsafe { Layout::from_size_align_unchecked(bytes, layout.align()) };
        // SAFETY: a live block of this heap, and so not null, with the same alignment.
        let moved = unsafe { self.reallocate(NonNull::new_unchecked(block), new) };
        moved.map_or(ptr::null_mut(), NonNull::as_ptr)
    }
}
