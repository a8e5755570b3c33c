//! Memory for interrupt handlers when nothing else can be had: the lock is taken by whoever was interrupted, or their
//! own front is in use because a handler was interrupted by another. Floor: roof.
//!
//! A block of the heap, cut into granules, and two bits for each: whether it is in use, and whether it is the last of
//! its block. Both are in one word, which changes in one step: a handler that is interrupted here leaves nothing
//! half done, only finds its word changed and looks again. A block lies in one word's granules.

use crate::{
    platform::MisuseKind,
    sync::{AtomicPtr, AtomicU32, AtomicUsize, Ordering},
};
use core::{alloc::Layout, ptr::null_mut};

/// Bytes of a granule, and the alignment of the whole up to which it aligns blocks.
const GRANULE: usize = 128;
const GRANULES: u32 = u32::BITS / 2;
/// Bytes that one word stands for: the largest block, and the largest alignment.
pub const WORD_BYTES: usize = GRANULE * GRANULES as usize;
const WORDS: usize = 16;
/// The most bytes of a reserve.
pub const MOST: usize = WORD_BYTES * WORDS;

/// See the module's documentation.
pub struct Reserve {
    start: AtomicPtr<u8>,
    /// Words that have memory.
    words: AtomicUsize,
    /// Granules in use in the lower halves, the last of their blocks in the upper ones.
    map: [AtomicU32; WORDS],
}

/// Changes a word to what `to` says, which is asked again if somebody was between. Returns what the word was.
fn change<E>(word: &AtomicU32, to: impl Fn(u32) -> Result<u32, E>) -> Result<u32, E> {
    let mut now = word.load(Ordering::Relaxed);
    loop {
        // Acquire and Release: who gets a block sees what its last user did.
        match word.compare_exchange(now, to(now)?, Ordering::AcqRel, Ordering::Relaxed) {
            Ok(old) => return Ok(old),
            Err(other) => now = other,
        }
    }
}

/// A block of `count` granules from `at` on: they are in use, and the last one is the last.
const fn taken(at: u32, count: u32) -> u32 {
    run(at, count) | 1 << (GRANULES + at + count - 1)
}

/// `count` granules from `at` on.
const fn run(at: u32, count: u32) -> u32 {
    (u32::MAX >> (u32::BITS - count)) << at
}

impl Reserve {
    pub const fn new() -> Self {
        Self {
            start: AtomicPtr::new(null_mut()),
            words: AtomicUsize::new(0),
            map: [const { AtomicU32::new(0) }; WORDS],
        }
    }

    /// Has its memory from now on: `bytes` from a multiple of [`WORD_BYTES`]. Once.
    pub fn begin(&self, start: *mut u8, bytes: usize) {
        self.start.store(start, Ordering::Relaxed);
        // Release: pairs with the Acquire of `words`.
        self.words.store((bytes / WORD_BYTES).min(WORDS), Ordering::Release);
    }

    fn words(&self) -> usize {
        self.words.load(Ordering::Acquire)
    }

    /// Whether it has memory.
    pub fn is_there(&self) -> bool {
        self.words() > 0
    }

    /// Whether a block is of the reserve.
    pub fn holds(&self, block: *mut u8) -> bool {
        let bytes = self.words() * WORD_BYTES;
        block.addr().wrapping_sub(self.start.load(Ordering::Relaxed).addr()) < bytes
    }

    /// A block; null if there is no room.
    pub fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() > WORD_BYTES || layout.align() > WORD_BYTES {
            return null_mut();
        }
        let count = layout.size().div_ceil(GRANULE).max(1) as u32;
        let step = layout.align().div_ceil(GRANULE) as u32;
        let free_at = |word: u32| {
            let fits = |at: &u32| at + count <= GRANULES && word & run(*at, count) == 0;
            (0..GRANULES).step_by(step as usize).find(fits).ok_or(())
        };
        for number in 0..self.words() {
            let take = |word| free_at(word).map(|at| word | taken(at, count));
            let Ok(at) = change(&self.map[number], take).and_then(free_at) else { continue };
            let offset = number * WORD_BYTES + at as usize * GRANULE;
            return self.start.load(Ordering::Relaxed).wrapping_add(offset);
        }
        null_mut()
    }

    /// Takes back a block that [`Self::holds`].
    ///
    /// # Errors
    /// It is not one; nothing is changed then.
    pub fn dealloc(&self, block: *mut u8) -> Result<(), MisuseKind> {
        let offset = block.addr() - self.start.load(Ordering::Relaxed).addr();
        let (number, at) = (offset / WORD_BYTES, (offset % WORD_BYTES / GRANULE) as u32);
        let without = |word: u32| {
            let last = word >> GRANULES;
            if word & 1 << at == 0 {
                return Err(MisuseKind::DoubleFree);
            }
            let begins = at == 0 || (last | !word) & 1 << (at - 1) != 0;
            if !offset.is_multiple_of(GRANULE) || !begins {
                return Err(MisuseKind::Interior);
            }
            let count = (last >> at).trailing_zeros() + 1;
            Ok(word & !taken(at, count))
        };
        change(&self.map[number], without).map(drop)
    }

    /// Bytes that it has, and bytes of blocks in use.
    pub fn totals(&self) -> (usize, usize) {
        let granules = |word: &AtomicU32| word.load(Ordering::Relaxed) & run(0, GRANULES);
        let used = |word| granules(word).count_ones() as usize * GRANULE;
        (self.words() * WORD_BYTES, self.map.iter().map(used).sum())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    #[test]
    fn blocks_are_disjoint_aligned_and_come_back() {
        let memory = std::alloc::Layout::from_size_align(2 * WORD_BYTES, WORD_BYTES).unwrap();
        // SAFETY: the layout is not of zero size.
        let start = unsafe { std::alloc::alloc(memory) };
        let reserve = Reserve::new();
        let layout = |bytes, align| Layout::from_size_align(bytes, align).unwrap();
        assert!(reserve.alloc(layout(1, 1)).is_null(), "it has no memory yet");
        reserve.begin(start, 2 * WORD_BYTES);
        for round in 0..3 {
            let mut blocks = Vec::new();
            for bytes in [1, 64, 65, 200, 2048, 512, 100].iter().cycle().skip(round) {
                let block = reserve.alloc(layout(*bytes, 128));
                if block.is_null() {
                    break;
                }
                assert!(reserve.holds(block) && block.addr().is_multiple_of(128));
                for &(other, length) in &blocks {
                    let (other, length): (*mut u8, usize) = (other, length);
                    let apart = block.addr() + bytes <= other.addr()
                        || other.addr() + length <= block.addr();
                    assert!(apart);
                }
                blocks.push((block, *bytes));
            }
            assert!(blocks.len() > 4);
            let (first, bytes) = blocks[0];
            if bytes > GRANULE {
                let inside = reserve.dealloc(first.wrapping_add(GRANULE));
                assert_eq!(inside, Err(MisuseKind::Interior));
            }
            for (block, _) in blocks {
                assert_eq!(reserve.dealloc(block), Ok(()));
                assert_eq!(reserve.dealloc(block), Err(MisuseKind::DoubleFree));
            }
            assert_eq!(reserve.totals(), (2 * WORD_BYTES, 0));
        }
        // SAFETY: allocated above.
        unsafe { std::alloc::dealloc(start, memory) };
    }
}
