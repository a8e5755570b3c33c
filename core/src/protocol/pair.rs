//! Two numbers that belong together, in one word: a reader sees both old or both new. Floor: lift.
//!
//! | who | may |
//! |---|---|
//! | the writer of the moment: the host while it sets the heap up, then whoever holds ACE's turn | `set`, `set_first`, `set_second` |
//! | any thread | `get` |
//!
//! Invariant: what `get` returns was the pair at one moment.

use crate::sync::RelaxedU32;

const HALF: u32 = 16;

/// See the module's documentation.
#[derive(Debug)]
pub struct Pair {
    word: RelaxedU32,
}

impl Pair {
    /// The largest number that either of the two may be; larger ones become it.
    pub const MAX: u32 = (1 << HALF) - 1;

    /// A pair that lies in `word`, which [`Self::join`] made.
    #[must_use]
    pub const fn of(word: RelaxedU32) -> Self {
        Self { word }
    }

    /// Both numbers as one.
    #[must_use]
    pub const fn join(first: u32, second: u32) -> u32 {
        let first = if first > Self::MAX { Self::MAX } else { first };
        let second = if second > Self::MAX { Self::MAX } else { second };
        first << HALF | second
    }

    /// Both numbers.
    #[inline]
    pub fn get(&self) -> (u32, u32) {
        let word = self.word.get();
        (word >> HALF, word & Self::MAX)
    }

    /// Replaces both.
    pub fn set(&self, first: u32, second: u32) {
        self.word.set(Self::join(first, second));
    }

    /// Replaces the first.
    pub fn set_first(&self, first: u32) {
        self.set(first, self.get().1);
    }

    /// Replaces the second.
    pub fn set_second(&self, second: u32) {
        self.set(self.get().0, second);
    }
}
