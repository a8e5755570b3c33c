//! The lock of platforms that have none of their own. Floor: cellar.

use core::hint::{cold_path, spin_loop};
use lock_api::{GuardSend, RawMutex};
use spin::mutex::SpinMutex;

/// A lock that spins. Fine where the holder can't be interrupted for long, as on a kernel's CPUs
/// with interrupts off; a hosted platform should wait in the system instead.
#[derive(Debug)]
pub struct SpinLock(SpinMutex<()>);

// SAFETY: the lock that is wrapped excludes others.
unsafe impl RawMutex for SpinLock {
    type GuardMarker = GuardSend;

    const INIT: Self = Self(SpinMutex::new(()));

    #[inline(always)]
    fn lock(&self) {
        // As the wrapped lock does it, but so that a caller who need not wait has no loop in its
        // way; and without a call, for which registers would have to be saved.
        while !RawMutex::try_lock(&self.0) {
            cold_path();
            while self.0.is_locked() {
                spin_loop();
            }
        }
    }

    #[inline(always)]
    fn try_lock(&self) -> bool {
        RawMutex::try_lock(&self.0)
    }

    #[inline(always)]
    unsafe fn unlock(&self) {
        // SAFETY: the caller's promise: it is held here.
        unsafe { RawMutex::unlock(&self.0) };
    }

    fn is_locked(&self) -> bool {
        self.0.is_locked()
    }
}
