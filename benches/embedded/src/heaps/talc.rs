//! Owns talc.

use super::{Bare, heap};
use crate::heap::Arena;
use ::talc::base::Talc as Inner;
use ::talc::base::binning::DefaultBinning;
use ::talc::source::Manual;
use ::talc::{TalcCell, TalcLock};

static LOCKED: TalcLock<spin::Mutex<()>, Manual> = TalcLock::new(Manual);
static BARE: Bare<TalcCell<Manual>> = Bare::new(TalcCell::new(Manual));

heap! {
    /// `TalcLock` with spin's mutex.
    Talc, shared: true, &mut &LOCKED, |arena| {
        // SAFETY: the arena is ours alone for the life of the process.
        unsafe { claim(&mut LOCKED.lock(), arena) }
    }
}
heap! {
    /// `TalcCell`: without a lock.
    TalcBare, shared: false, &mut &*BARE.lock(), |arena| {
        // SAFETY: as above.
        unsafe { claim(BARE.lock().get_mut(), arena) }
    }
}

/// Gives the arena to the heap.
///
/// # Safety
/// 1. It is writable, and nobody else's for the life of the process.
unsafe fn claim(heap: &mut Inner<Manual, DefaultBinning>, arena: Arena) -> Result<(), String> {
    // SAFETY: (1).
    let end = unsafe { heap.claim(arena.start, arena.bytes) };
    end.map(drop).ok_or("the arena is too small for its tables".to_owned())
}
