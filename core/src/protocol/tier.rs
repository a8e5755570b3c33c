//! Life of a superslab and the guard against its release. Floor: lift.
//!
//! One word: tier in the two lowest bits, number of pins above.
//!
//! | tier | meaning | who moves it |
//! |---|---|---|
//! | Free | its units belong to the span allocator (also what fresh memory reads) | holder of the pool's lock |
//! | Live | serves new slabs | holder of the pool's lock |
//! | Draining | nearly empty: serves none, so that it becomes empty | holder of the pool's lock |
//!
//! A reader without the lock that wants to look into a superslab pins it first. Invariant: while a
//! pin is held the tier is not Free, so neither the slabs' metadata nor their pages go away.

use crate::sync::{AtomicU32, Ordering};

/// Tier of a superslab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Tier {
    /// Not a superslab, or not any more.
    Free = 0,
    /// Serves new slabs.
    Live = 1,
    /// Serves no new slabs.
    Draining = 2,
}

const TIER_MASK: u32 = 3;
const PIN: u32 = 4;

/// Tier and pins of one superslab.
#[derive(Debug)]
pub struct TierWord {
    word: AtomicU32,
}

/// Keeps a superslab from being released while it lives.
#[derive(Debug)]
pub struct ReleaseGuard<'a> {
    tier: &'a TierWord,
}

impl TierWord {
    /// The word of a free superslab.
    #[must_use]
    pub fn free() -> Self {
        Self { word: AtomicU32::new(0) }
    }

    /// The tier of the moment.
    pub fn get(&self) -> Tier {
        match self.word.load(Ordering::Acquire) & TIER_MASK {
            1 => Tier::Live,
            2 => Tier::Draining,
            _ => Tier::Free,
        }
    }

    /// Keeps the superslab from being released; `None` if it is free already.
    pub fn pin(&self) -> Option<ReleaseGuard<'_>> {
        let mut word = self.word.load(Ordering::Relaxed);
        while word & TIER_MASK != Tier::Free as u32 {
            // Acquire: pairs with the Release of `set`; the superslab's records are set up.
            match self.word.compare_exchange_weak(
                word,
                word + PIN,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Some(ReleaseGuard { tier: self }),
                Err(now) => word = now,
            }
        }
        None
    }

    /// Moves between Live and Draining, or from Free to Live. Pins stay. Lock holder only.
    pub fn set(&self, tier: Tier) {
        let mut word = self.word.load(Ordering::Relaxed);
        // Release: pairs with the Acquire of `pin`.
        while let Err(now) = self.word.compare_exchange_weak(
            word,
            (word & !TIER_MASK) | tier as u32,
            Ordering::Release,
            Ordering::Relaxed,
        ) {
            word = now;
        }
    }

    /// Frees the superslab unless somebody has it pinned. Lock holder only.
    pub fn try_release(&self) -> bool {
        let tier = self.word.load(Ordering::Relaxed) & TIER_MASK;
        // Acquire: pairs with the Release of the last unpin; its reads are over.
        // Expecting the bare tier means expecting no pins.
        self.word.compare_exchange(tier, 0, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }
}

impl Drop for ReleaseGuard<'_> {
    fn drop(&mut self) {
        // Release: pairs with the Acquire of `try_release`; our reads come before the release.
        self.tier.word.fetch_sub(PIN, Ordering::Release);
    }
}
