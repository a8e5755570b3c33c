//! The word of a lock whose waiters sleep: who may move it, and who must wake whom. Verbs: lock,
//! unlock.
//! Floor: lift.
//!
//! | word | meaning |
//! |---|---|
//! | 0 | unlocked |
//! | 1 | locked, nobody sleeps |
//! | 2 | locked, somebody may sleep: the unlocker must wake one |
//!
//! Invariants: at most one holder, because only a read-modify-write that finds 0 makes one and only
//! the holder writes 0. Nobody sleeps for ever: whoever sleeps has seen 2 after it last wrote 2, so
//! the unlock that ends that holding sees 2 and wakes. Fair enough for a lock that is held for
//! microseconds: who comes first, wins.
//!
//! A fork copies the word but no sleeper. The thread that forked holds the lock and unlocks the
//! copy like the original: if it wakes, then nobody, which is harmless.

use crate::sync::{AtomicU32, Ordering};
use core::hint;

/// The lock is free: the word's first state.
pub const UNLOCKED: u32 = 0;
const LOCKED: u32 = 1;
const CONTENDED: u32 = 2;

/// A word and the threads that sleep on it, as the platform provides them.
pub trait Parking {
    /// Looks before sleeping.
    const SPINS: u32;

    /// The word. Nobody else writes it.
    fn word(&self) -> &AtomicU32;

    /// Sleeps until [`Self::wake_one`], unless the word no longer holds `value`: that look and
    /// falling asleep are one step. Every other way to return is fine too, because the caller looks
    /// again.
    fn sleep_while(&self, value: u32);

    /// Wakes one sleeper, if there is one.
    fn wake_one(&self);
}

/// Takes the lock if it is free.
#[inline]
pub fn try_lock(lock: &impl Parking) -> bool {
    // Acquire: pairs with the Release of `unlock`; what the last holder wrote is ours to see.
    lock.word().compare_exchange(UNLOCKED, LOCKED, Ordering::Acquire, Ordering::Relaxed).is_ok()
}

/// Takes the lock, sleeping while somebody else has it.
#[inline]
pub fn lock(lock: &impl Parking) {
    if !try_lock(lock) {
        lock_contended(lock);
    }
}

#[cold]
fn lock_contended<P: Parking>(lock: &P) {
    let word = lock.word();
    for _ in 0..P::SPINS {
        match word.load(Ordering::Relaxed) {
            UNLOCKED if try_lock(lock) => return,
            // Others sleep already: to overtake them by spinning would only make them wait more.
            CONTENDED => break,
            _ => hint::spin_loop(),
        }
    }
    // Whoever gets the lock here leaves CONTENDED behind, because it can't know whether another one
    // sleeps. That costs one needless wake at the end of a contention.
    // Acquire: as in `try_lock`.
    while word.swap(CONTENDED, Ordering::Acquire) != UNLOCKED {
        lock.sleep_while(CONTENDED);
    }
}

/// Gives the lock back. Holder only.
#[inline]
pub fn unlock(lock: &impl Parking) {
    // Release: pairs with the Acquire of `try_lock` and `lock_contended`.
    if lock.word().swap(UNLOCKED, Ordering::Release) == CONTENDED {
        lock.wake_one();
    }
}

/// Whether somebody has the lock; a hint.
#[inline]
pub fn is_locked(lock: &impl Parking) -> bool {
    lock.word().load(Ordering::Relaxed) != UNLOCKED
}
