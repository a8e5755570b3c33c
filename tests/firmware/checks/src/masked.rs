//! A lock for one core: while it is held, no interrupt comes.
//! Floor: the board's critical section.

use core::cell::Cell;
use critical_section::RestoreState;
use lock_api::{GuardNoSend, RawMutex};

/// The board's critical section as a lock.
#[derive(Debug)]
pub struct Masked {
    before: Cell<RestoreState>,
}

// SAFETY: `before` is touched inside of the critical section only.
unsafe impl Sync for Masked {}

// SAFETY: nobody else runs while interrupts are masked on the only core.
unsafe impl RawMutex for Masked {
    #[allow(clippy::declare_interior_mutable_const)]
    const INIT: Self = Self { before: Cell::new(RestoreState::invalid()) };
    type GuardMarker = GuardNoSend;

    fn lock(&self) {
        // SAFETY: `unlock` releases it.
        self.before.set(unsafe { critical_section::acquire() });
    }

    fn try_lock(&self) -> bool {
        self.lock();
        true
    }

    unsafe fn unlock(&self) {
        // SAFETY: the lock is held, and this is what its `lock` was given.
        unsafe { critical_section::release(self.before.get()) };
    }
}
