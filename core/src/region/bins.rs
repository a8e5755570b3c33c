//! The bins of one region: where free blocks hang, by size. Floor: annex. Every function takes a constant
//! number of steps, but [`Ground::search`].

use super::{
    ground::Ground,
    scale::{Scale, bin_of, bins},
};

const WORD_BITS: usize = usize::BITS as usize;

impl<S: Scale> Ground<S> {
    /// Hangs a free block into its bin. Its bits are the caller's.
    #[inline(always)]
    pub fn insert(self, block: usize, granules: usize) {
        let bin = bin_of::<S>(granules);
        let next = self.head(bin);
        self.set_size(block, granules);
        self.set_next(block, next);
        self.set_previous(block, 0);
        self.set_head(bin, block);
        if granules >= S::EXACT {
            self.set_bin(block, bin);
        }
        if next == 0 {
            self.set_map(bin / WORD_BITS, self.map(bin / WORD_BITS) | 1 << (bin % WORD_BITS));
        } else {
            self.set_previous(next, block);
        }
    }

    /// Takes a block out of its bin. `false`: links and neighbours disagree (R4), and nothing was changed.
    #[inline(always)]
    pub fn unlink(self, block: usize, granules: usize) -> bool {
        let (next, previous) = (self.next(block), self.previous(block));
        if previous == 0 {
            let bin = if granules < S::EXACT { granules } else { self.bin(block) };
            return (!S::GUARDED || self.head(bin) == block) && self.unlink_first(bin, block, next);
        }
        if S::GUARDED && self.next(previous) != block {
            return false;
        }
        if next != 0 {
            if S::GUARDED && self.previous(next) != block {
                return false;
            }
            self.set_previous(next, previous);
        }
        self.set_next(previous, next);
        true
    }

    /// Takes the first block out of its bin, and `next` after it; as [`Ground::unlink`].
    #[inline(always)]
    pub fn unlink_first(self, bin: usize, block: usize, next: usize) -> bool {
        if next == 0 {
            self.set_map(bin / WORD_BITS, self.map(bin / WORD_BITS) & !(1 << (bin % WORD_BITS)));
        } else {
            if S::GUARDED && self.previous(next) != block {
                return false;
            }
            self.set_previous(next, 0);
        }
        self.set_head(bin, next);
        true
    }

    /// The first bin from `bin` on that has a block; the number of bins if there is none (R3).
    #[inline(always)]
    pub fn bin_from(self, bin: usize) -> usize {
        let mut word = bin / WORD_BITS;
        let mut found = self.map(word) >> (bin % WORD_BITS) << (bin % WORD_BITS);
        while found == 0 {
            word += 1;
            found = self.map(word);
        }
        word * WORD_BITS + found.trailing_zeros() as usize
    }

    /// The first block, by bins, that `fits` says yes to; 0 if there is none. As long as there are blocks.
    pub fn search(self, granules: usize, fits: impl Fn(usize, usize) -> bool) -> usize {
        let mut bin = self.bin_from(bin_of::<S>(granules));
        while bin != bins::<S>() {
            let mut block = self.head(bin);
            while block != 0 {
                if fits(block, self.size(block)) {
                    return block;
                }
                block = self.next(block);
            }
            bin = self.bin_from(bin + 1);
        }
        0
    }
}
