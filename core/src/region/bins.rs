//! The bins of one region: where free blocks hang, by size. Floor: annex. Every function takes a
//! constant number of steps, but [`Ground::search`].

use super::{
    blocks::fits,
    ground::Ground,
    scale::{SMALLEST, Scale, bin_of, bins},
};

const WORD_BITS: usize = usize::BITS as usize;

impl<S: Scale> Ground<S> {
    /// Hangs a free block into its bin. Its bits are the caller's.
    #[cfg_attr(feature = "small-code", inline(never))]
    #[cfg_attr(not(feature = "small-code"), inline)]
    pub fn insert(self, block: usize, granules: usize) {
        let bin = bin_of::<S>(granules);
        let next = self.follow(bin);
        self.set_size(block, granules);
        self.set_next(block, next);
        self.set_place(block, bin);
        self.lead(bin, block);
        if next == 0 {
            self.mark_map(bin);
        } else {
            self.set_place(next, Self::link_of(block));
        }
    }

    /// Takes a block out of its bin, and answers its size. Stops the program if links, sizes and
    /// neighbours disagree (R4).
    #[cfg_attr(feature = "small-code", inline(never))]
    #[cfg_attr(not(feature = "small-code"), inline)]
    pub fn unlink(self, block: usize) -> usize {
        let links = self.checked_links(block);
        let size = self.checked_size(block);
        self.join(links);
        size
    }

    /// Likewise one whose size its end has told.
    #[inline(always)]
    pub fn unlink_sized(self, block: usize, size: usize) {
        if cfg!(feature = "small-code") {
            let known = self.unlink(block);
            self.expect(!S::GUARDED || known == size, block + size);
            return;
        }
        self.expect(!S::GUARDED || self.size(block) == size, block + size);
        self.join(self.checked_links(block));
    }

    /// The block that follows this one in its bin, and the place that leads to it, if both know of
    /// it. Else stops the program.
    #[inline(always)]
    fn checked_links(self, block: usize) -> (usize, usize) {
        let (next, place) = (self.next(block), self.place(block));
        if S::GUARDED {
            let known = next == 0 || self.leads_back(next, block);
            let limit = Self::link_of(self.get(|control| control.limit));
            self.expect(known && place < limit && self.follow(place) == block, block);
        }
        (next, place)
    }

    /// Lets a place lead to what follows.
    #[inline(always)]
    fn join(self, (next, place): (usize, usize)) {
        self.lead(place, next);
        if next != 0 {
            self.set_place(next, place);
        } else if Self::MAPPED && place < bins::<S>() {
            self.clear_map(place);
        }
    }

    /// Likewise the first of this bin, and answers its size.
    #[inline(always)]
    pub fn unlink_first(self, block: usize, bin: usize) -> usize {
        self.expect(self.inside(block), block);
        let size = self.checked_size(block);
        self.detach_first(block, bin);
        size
    }

    /// Likewise where all blocks have the same size.
    #[inline(always)]
    pub fn unlink_exact(self, block: usize, size: usize) {
        self.expect(self.inside(block) && (!S::GUARDED || self.size(block) == size), block);
        self.detach_first(block, size);
    }

    #[inline(always)]
    fn detach_first(self, block: usize, bin: usize) {
        self.expect(!S::GUARDED || self.place(block) == bin, block);
        let next = self.next(block);
        self.lead(bin, next);
        if next == 0 {
            self.clear_map(bin);
        } else {
            self.expect(self.leads_back(next, block), block);
            self.set_place(next, bin);
        }
    }

    /// The size of a free block, if it has the same at both ends. Else stops the program.
    #[inline(always)]
    fn checked_size(self, block: usize) -> usize {
        let size = self.size(block);
        if S::GUARDED {
            let end = block + size;
            let fits = size >= SMALLEST && end <= self.get(|control| control.limit);
            self.expect(fits && self.size_before(end) == size, block);
        }
        size
    }

    #[inline(always)]
    fn mark_map(self, bin: usize) {
        if Self::MAPPED {
            let bit = 1 << (bin % WORD_BITS);
            self.set_map(bin / WORD_BITS, self.map(bin / WORD_BITS) | bit);
        }
    }

    #[inline(always)]
    fn clear_map(self, bin: usize) {
        let bit = 1 << (bin % WORD_BITS);
        self.set_map(bin / WORD_BITS, self.map(bin / WORD_BITS) & !bit);
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

    /// The first block, by bins, that has room for so many granules from where it is aligned on,
    /// and how many are before that; 0 if there is none. As long as there are blocks.
    pub fn search(self, granules: usize, align: usize) -> (usize, usize) {
        let mut bin = bin_of::<S>(granules);
        loop {
            if Self::MAPPED {
                bin = self.bin_from(bin);
            }
            if bin >= bins::<S>() {
                return (0, 0);
            }
            let mut place = bin;
            loop {
                let block = self.follow(place);
                if block == 0 {
                    break;
                }
                self.expect(self.inside(block) && self.place(block) == place, block);
                let (size, gap) = (self.size(block), self.gap(block, align));
                if size >= gap && fits(size - gap, granules) {
                    return (block, gap);
                }
                place = Self::link_of(block);
            }
            bin += 1;
        }
    }
}
