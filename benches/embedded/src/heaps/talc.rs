//! Owns talc.

use super::{Bare, Raw, global, raw};
use crate::heap::Arena;
use ::talc::base::Talc as Inner;
use ::talc::base::binning::DefaultBinning;
use ::talc::source::Manual;
use ::talc::{TalcCell, TalcLock};
use std::alloc::{GlobalAlloc, Layout};

static LOCKED: TalcLock<spin::Mutex<()>, Manual> = TalcLock::new(Manual);
static BARE: Bare<TalcCell<Manual>> = Bare::new(TalcCell::new(Manual));

global! {
    /// `TalcLock` with spin's mutex.
    Talc = LOCKED, |arena| {
        // SAFETY: the arena is ours alone for the life of the process.
        unsafe { claim(&mut LOCKED.lock(), arena) }
    }
}
raw! {
    /// `TalcCell`: without a lock.
    TalcBare, shared: false, BARE.lock()
}

/// Gives the arena to the heap.
///
/// # Safety
/// As [`Raw::take`].
unsafe fn claim(heap: &mut Inner<Manual, DefaultBinning>, arena: Arena) -> Result<(), String> {
    // SAFETY: the arena is ours alone for the life of the process.
    let end = unsafe { heap.claim(arena.start, arena.bytes) };
    end.map(drop).ok_or("the arena is too small for its tables".to_owned())
}

// SAFETY: TalcCell's GlobalAlloc keeps the same promises.
unsafe impl Raw for TalcCell<Manual> {
    unsafe fn take(&mut self, arena: Arena) -> Result<(), String> {
        // SAFETY: the caller's (1).
        unsafe { claim(self.get_mut(), arena) }
    }

    #[inline(always)]
    fn get(&mut self, layout: Layout) -> *mut u8 {
        // SAFETY: no trace asks for 0 bytes.
        unsafe { self.alloc(layout) }
    }

    #[inline(always)]
    unsafe fn put(&mut self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's (1).
        unsafe { self.dealloc(block, layout) }
    }

    #[inline(always)]
    unsafe fn resize(&mut self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        // SAFETY: the caller's (1) and (2).
        unsafe { self.realloc(block, layout, bytes) }
    }
}
