//! The lock around the shared pool: the protocol of `parking` over the futex system call.
//! Floor: adapter.
//!
//! After fork the child's only thread may unlock what it locked before: no sleeper exists there, and
//! waking nobody is harmless.

use crate::KeepErrno;
use ace_alloc::{
    protocol::parking::{self, Parking},
    sync::AtomicU32,
};
use core::ptr;
use lock_api::{GuardSend, RawMutex};

/// See the module's documentation. To be used through `lock_api::Mutex`.
#[derive(Debug)]
pub struct FutexLock(AtomicU32);

// SAFETY: only `parking` moves the word, and its first invariant is that there is at most one holder.
// Acquire in its `lock` and `try_lock` and Release in its `unlock` order the protected data.
unsafe impl RawMutex for FutexLock {
    const INIT: Self = Self(AtomicU32::new(parking::UNLOCKED));

    type GuardMarker = GuardSend;

    #[inline]
    fn lock(&self) {
        parking::lock(self);
    }

    #[inline]
    fn try_lock(&self) -> bool {
        parking::try_lock(self)
    }

    #[inline]
    unsafe fn unlock(&self) {
        parking::unlock(self);
    }

    #[inline]
    fn is_locked(&self) -> bool {
        parking::is_locked(self)
    }
}

impl Parking for FutexLock {
    /// Chosen: about the time of one slow path of the pool.
    const SPINS: u32 = 100;

    #[inline]
    fn word(&self) -> &AtomicU32 {
        &self.0
    }

    fn sleep_while(&self, value: u32) {
        let _errno = KeepErrno::new();
        let no_timeout = ptr::null::<libc::timespec>();
        // SAFETY: the word outlives the call (`&self`). Every way to return is fine: the caller looks
        // again.
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                self.0.as_ptr(),
                libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
                value,
                no_timeout,
            );
        }
    }

    #[cold]
    fn wake_one(&self) {
        let _errno = KeepErrno::new();
        // SAFETY: FUTEX_WAKE does not touch memory; the address only names the queue.
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                self.0.as_ptr(),
                libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG,
                1,
            );
        }
    }
}
