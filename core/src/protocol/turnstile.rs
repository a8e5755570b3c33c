//! A door that one at a time goes through, and nobody waits at. Verbs: try_enter, leave.
//! Floor: lift.
//!
//! | who | may |
//! |---|---|
//! | any thread | `try_enter` |
//! | who is inside | `leave`, once |
//!
//! Invariant: at most one is inside, and who enters sees all that those before did inside. Who
//! finds somebody inside goes on with something else: it has a way to do without.

use crate::sync::{AtomicU32, Ordering};

const FREE: u32 = 0;
const TAKEN: u32 = 1;

/// See the module's documentation. Zeroed memory is a turnstile with nobody inside.
#[derive(Debug)]
pub struct Turnstile {
    word: AtomicU32,
}

impl Turnstile {
    /// Nobody inside; `word` is zero.
    #[must_use]
    pub const fn of(word: AtomicU32) -> Self {
        Self { word }
    }

    /// Enters if nobody is inside.
    #[inline]
    pub fn try_enter(&self) -> bool {
        // Acquire: pairs with the Release of `leave`; what was done inside before is ours to see.
        self.word.compare_exchange(FREE, TAKEN, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Leaves.
    #[inline]
    pub fn leave(&self) {
        // Release: pairs with the Acquire of `try_enter`.
        self.word.store(FREE, Ordering::Release);
    }
}
