//! The bins of one region: where free blocks hang, by size. Floor: annex. Every function takes a
//! constant number of steps, but [`Ground::search`].

use super::{
    blocks::fits,
    ground::Ground,
    scale::{SMALLEST, Scale, bin_of, bins},
};

const WORD_BITS: usize = usize::BITS as usize;

impl<S: Scale> Ground<S> {
    /// The first block of any bin; 0 if there is none.
    pub fn head(self, bin: usize) -> usize {
        if Self::MAPPED && bin == Self::NOWHERE { 0 } else { self.follow(bin) }
    }

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
        if Self::BLIND || next == 0 {
            self.mark_map(bin);
        }
        self.tell_place(next, Self::link_of(block));
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
            let known = self.leads_back(next, block);
            let limit = Self::link_of(self.get(|control| control.limit));
            self.expect(known && place < limit && self.follow(place) == block, block);
        }
        (next, place)
    }

    /// Lets a place lead to what follows.
    #[inline(always)]
    fn join(self, (next, place): (usize, usize)) {
        self.lead(place, next);
        self.tell_place(next, place);
        self.clear_map(place, next == 0 && place < bins::<S>());
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
        self.expect(self.leads_back(next, block), block);
        self.tell_place(next, bin);
        self.clear_map(bin, next == 0);
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

    /// Notes that a bin is empty, if it is; else it may be no bin at all.
    #[inline(always)]
    fn clear_map(self, bin: usize, is_empty: bool) {
        if Self::MAPPED && (Self::BLIND || is_empty) {
            let bin = if is_empty { bin } else { 0 };
            let bit = usize::from(is_empty) << (bin % WORD_BITS);
            self.set_map(bin / WORD_BITS, self.map(bin / WORD_BITS) & !bit);
        }
    }

    /// Tells the block that follows, if there is one, the place that leads to it now. For none it is
    /// [`Ground::NOWHERE`] that is written.
    #[inline(always)]
    fn tell_place(self, next: usize, place: usize) {
        if Self::BLIND || next != 0 {
            self.set_place(next, place);
        }
    }

    /// Whether the block that follows this one in its bin says so too, if there is one.
    #[inline(always)]
    fn leads_back(self, next: usize, block: usize) -> bool {
        let agrees = || (next == 0) | (self.place(next) == Self::link_of(block));
        !S::GUARDED || self.inside(next) && agrees()
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
