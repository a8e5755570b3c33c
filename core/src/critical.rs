//! [`CriticalSectionLock`]: a lock for targets on which interrupt handlers share the heap.
//! Floor: cellar.

use core::cell::{Cell, UnsafeCell};
use critical_section::RestoreState;
use lock_api::{GuardNoSend, RawMutex};

/// A lock whose holder is inside a critical section of the target (crate `critical-section`): no
/// interrupt handler, and nobody on another core, runs into it. Nobody waits longer than the
/// critical section takes.
#[derive(Debug)]
pub struct CriticalSectionLock {
    locked: Cell<bool>,
    restore: UnsafeCell<RestoreState>,
}

// SAFETY: both cells are touched only inside the critical section.
unsafe impl Sync for CriticalSectionLock {}

// SAFETY: the holder is inside the critical section, where there is one at a time; the flag refuses
// it a second lock.
unsafe impl RawMutex for CriticalSectionLock {
    const INIT: Self =
        Self { locked: Cell::new(false), restore: UnsafeCell::new(RestoreState::invalid()) };
    type GuardMarker = GuardNoSend;

    fn lock(&self) {
        assert!(
            self.try_lock(),
            "the holder of this lock asks for it again: \
             does an out-of-memory or panic handler allocate?"
        );
    }

    fn try_lock(&self) -> bool {
        // SAFETY: released below, or in `unlock` by the holder, in the reverse order of nested
        // acquisitions.
        let restore = unsafe { critical_section::acquire() };
        if self.locked.replace(true) {
            // SAFETY: acquired above.
            unsafe { critical_section::release(restore) };
            return false;
        }
        // SAFETY: inside the critical section.
        unsafe { *self.restore.get() = restore };
        true
    }

    unsafe fn unlock(&self) {
        // SAFETY: the holder is inside the critical section.
        let restore = unsafe { *self.restore.get() };
        self.locked.set(false);
        // SAFETY: this is what `try_lock` acquired.
        unsafe { critical_section::release(restore) };
    }
}
