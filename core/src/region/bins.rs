//! The bins of one region: where free blocks hang, by size. Floor: annex. Every function takes a constant
//! number of steps, but [`Ground::search`].

use super::{
    ground::Ground,
    scale::{Scale, bin_of, bins},
};

const WORD_BITS: usize = usize::BITS as usize;

impl<S: Scale> Ground<S> {
    /// Hangs a free block into its bin. Its bits are the caller's.
    #[cfg_attr(feature = "small-code", inline(never))]
    #[cfg_attr(not(feature = "small-code"), inline)]
    pub fn insert(self, block: usize, granules: usize) {
        let bin = bin_of::<S>(granules);
        let head = Self::head(bin);
        let next = self.follow(head);
        self.set_size(block, granules);
        self.set_next(block, next);
        self.set_place(block, head);
        self.lead(head, block);
        if next == 0 {
            self.set_map(bin / WORD_BITS, self.map(bin / WORD_BITS) | 1 << (bin % WORD_BITS));
        } else {
            self.set_place(next, Self::link_of(block));
        }
    }

    /// Takes a block out of its bin. `false`: links and neighbours disagree (R4), and nothing was changed.
    #[cfg_attr(feature = "small-code", inline(never))]
    #[cfg_attr(not(feature = "small-code"), inline)]
    pub fn unlink(self, block: usize) -> bool {
        let (next, place) = (self.next(block), self.place(block));
        if S::GUARDED {
            let known = next == 0 || self.leads_back(next, block);
            let limit = Self::link_of(self.get(|control| control.limit));
            if !known || place >= limit || self.follow(place) != block {
                return false;
            }
        }
        self.lead(place, next);
        if next != 0 {
            self.set_place(next, place);
            return true;
        }
        let bin = Self::headed(place);
        if bin < bins::<S>() {
            self.set_map(bin / WORD_BITS, self.map(bin / WORD_BITS) & !(1 << (bin % WORD_BITS)));
        }
        true
    }

    /// Whether the block that follows this one in its bin says so too.
    #[inline(always)]
    fn leads_back(self, next: usize, block: usize) -> bool {
        !S::GUARDED || self.inside(next) && self.place(next) == Self::link_of(block)
    }

    /// The first bin from `bin` on that has a block; the number of bins if there is none (R3).
    #[inline]
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
    pub fn search(self, granules: usize, fits: &dyn Fn(usize, usize) -> bool) -> usize {
        let mut bin = self.bin_from(bin_of::<S>(granules));
        while bin != bins::<S>() {
            let mut block = self.follow(Self::head(bin));
            while block != 0 {
                if fits(block, self.size(block)) {
                    return block;
                }
                let next = self.next(block);
                self.expect(next == 0 || self.leads_back(next, block), block);
                block = next;
            }
            bin = self.bin_from(bin + 1);
        }
        0
    }
}
