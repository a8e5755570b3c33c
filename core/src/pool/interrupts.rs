//! Callers who may not wait ([`Platform::may_wait`]), such as interrupt handlers: how they come by
//! the lock, and where they leave blocks that only its holder can take back. Verbs: leave, take.
//! Floor: 1st.
//!
//! What is left is a list through the blocks' own first words, without a lock: pushed by anybody,
//! taken as a whole by somebody who may wait. A block stays live until it is freed then.

use super::{Pool, Shared};
use crate::{platform::Platform, sync::Ordering};
use core::{
    hint,
    ptr::{self, NonNull},
};
use lock_api::MutexGuard;

/// How often a caller who may not wait tries to get the lock.
const TRIES: u32 = 64;

impl<P: Platform> Shared<P> {
    /// Whether the caller may wait for others.
    #[inline(always)]
    pub fn may_wait() -> bool {
        !P::INTERRUPTS || P::may_wait()
    }

    /// Tries for a little while: another CPU may be about to unlock, but who was interrupted here
    /// is not.
    #[cold]
    pub(super) fn try_lock(&self) -> Option<MutexGuard<'_, P::Lock, Pool>> {
        for _ in 0..TRIES {
            if let Some(pool) = self.pool.try_lock() {
                return Some(pool);
            }
            hint::spin_loop();
        }
        None
    }

    /// Leaves a block to somebody who may wait.
    ///
    /// # Safety
    /// It begins with a word of memory, and the caller gives it up.
    #[cold]
    pub unsafe fn leave(&self, block: *mut u8) {
        let mut next = self.left.load(Ordering::Relaxed);
        loop {
            // SAFETY: the caller's promise; no class is less aligned than a word.
            unsafe { block.cast::<*mut u8>().write(next) };
            // Release: pairs with the Acquire of `take_left`.
            match self.left.compare_exchange_weak(next, block, Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => return,
                Err(now) => next = now,
            }
        }
    }

    /// Whether something was left, or a handler waits for a heap record; a hint.
    #[inline(always)]
    pub fn wants_help(&self) -> bool {
        !self.left.load(Ordering::Relaxed).is_null() || self.handler_waits.get() != 0
    }

    /// Takes all that was left: the newest block.
    pub fn take_left(&self) -> Option<NonNull<u8>> {
        // Acquire: pairs with the Release of `leave`.
        NonNull::new(self.left.swap(ptr::null_mut(), Ordering::Acquire))
    }

    /// The block that was left before this one.
    ///
    /// # Safety
    /// `block` was taken, and nobody has freed it yet.
    pub unsafe fn left_before(block: NonNull<u8>) -> Option<NonNull<u8>> {
        // SAFETY: whoever left the block wrote this word.
        NonNull::new(unsafe { block.cast::<*mut u8>().read() })
    }
}
