//! The lock around the shared pool: one word and the futex system call. Floor: adapter.
//!
//! | word | meaning |
//! |---|---|
//! | 0 | unlocked |
//! | 1 | locked, nobody sleeps |
//! | 2 | locked, somebody may sleep: the unlocker must wake one |
//!
//! Invariant: whoever sleeps has seen 2 after it last wrote 2, so the unlock that ends that holding
//! sees 2 and wakes. Fair enough for a lock that is held for microseconds: who comes first, wins.
//! After fork the child's only thread may unlock what it locked before: no sleeper exists there, and
//! waking nobody is harmless.

use crate::KeepErrno;
use core::{
    hint, ptr,
    sync::atomic::{AtomicU32, Ordering},
};
use lock_api::{GuardSend, RawMutex};

const UNLOCKED: u32 = 0;
const LOCKED: u32 = 1;
const CONTENDED: u32 = 2;

/// Looks before sleeping (chosen: about the time of one slow path of the pool).
const SPINS: u32 = 100;

/// See the module's documentation. To be used through `lock_api::Mutex`.
#[derive(Debug)]
pub struct FutexLock(AtomicU32);

// SAFETY: `lock` and `try_lock` succeed only by moving the word away from UNLOCKED with a read-modify-
// write, and only the holder moves it back: at most one holder. Acquire there and Release in `unlock`
// order the protected data.
unsafe impl RawMutex for FutexLock {
    const INIT: Self = Self(AtomicU32::new(UNLOCKED));

    type GuardMarker = GuardSend;

    #[inline]
    fn lock(&self) {
        if !self.try_lock() {
            self.lock_contended();
        }
    }

    #[inline]
    fn try_lock(&self) -> bool {
        self.0.compare_exchange(UNLOCKED, LOCKED, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    #[inline]
    unsafe fn unlock(&self) {
        if self.0.swap(UNLOCKED, Ordering::Release) == CONTENDED {
            self.wake_one();
        }
    }

    #[inline]
    fn is_locked(&self) -> bool {
        self.0.load(Ordering::Relaxed) != UNLOCKED
    }
}

impl FutexLock {
    #[cold]
    fn lock_contended(&self) {
        for _ in 0..SPINS {
            match self.0.load(Ordering::Relaxed) {
                UNLOCKED if self.try_lock() => return,
                // Others sleep already: to overtake them by spinning would only make them wait more.
                CONTENDED => break,
                _ => hint::spin_loop(),
            }
        }
        // Whoever gets the lock here leaves CONTENDED behind, because it can't know whether another
        // one sleeps. That costs one needless wake at the end of a contention.
        while self.0.swap(CONTENDED, Ordering::Acquire) != UNLOCKED {
            self.sleep_while_contended();
        }
    }

    fn sleep_while_contended(&self) {
        let _errno = KeepErrno::new();
        let no_timeout = ptr::null::<libc::timespec>();
        // SAFETY: the word outlives the call (`&self`). Every way to return is fine: the caller looks
        // again.
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                self.0.as_ptr(),
                libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
                CONTENDED,
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
