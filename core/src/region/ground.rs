//! One region as raw memory: its control data, its bits, its free blocks. Floor: annex.
//!
//! ```text
//! | heads of bins | Control | words of the map | heads of caches | bits | granules .......... | edge |
//! ```
//!
//! A block is a run of two granules or more. There is one bit a granule:
//!
//! | block | its first bit | its second | its last |
//! |---|---|---|---|
//! | live | 1 | 0 | 0 |
//! | cached: free, but kept as it is | 1 | 1 | 0, or the second |
//! | free, in a bin | 0 | 0 | 1 |
//!
//! Invariants:
//! * R1 Blocks, and nothing else, fill the granules from `first` to `limit`, and no two neighbours
//!   are both in bins. The bit before `first` is 0, and those of the edge and of what would follow
//!   it are 1: neither looks like a free neighbour, nor like a live block.
//! * R2 A block in a bin of size `n` holds, as links: the next block, the place of the link that
//!   leads to this one (in the block before, or the bin's head), `n`; and `n` again at its end. A
//!   cached one: the next; 1 at the end of its first granule; and, if it has but two granules, 0 at
//!   its end.
//! * R3 If there is a map: a bit of it is set if and only if the bin has a block. The bit past the
//!   last bin's always is: there a search ends. No block is in bin 1, and its head is not read.
//! * R4 Between calls every granule number in control data and in free blocks is one of R1's. A
//!   program that writes to memory that it has given up breaks this; what is read there is compared
//!   with the bits, or with the copy at the block's other end, before it is acted upon.

use super::scale::{GRANULE, Link, SMALLEST, Scale, bins};
use crate::ace::Larder;
use core::{marker::PhantomData, mem::replace, ptr::NonNull};

/// What a region knows about itself, at its start. Sizes in granules.
#[repr(C)]
#[derive(Debug)]
pub struct Control<S: Scale> {
    /// The next region of the heap.
    pub next: Option<Ground<S>>,
    /// First granule that blocks may have.
    pub first: usize,
    /// The edge: one past the last.
    pub limit: usize,
    /// In bins.
    pub free: usize,
    /// The least that `free` was before it last grew; not kept in a bounded scale.
    pub low: usize,
    /// The most that the caches may hold.
    pub budget: usize,
    /// What they may have besides what they hold. Less than nothing after the budget has shrunk.
    pub room: isize,
    /// What was taken from that when the caches were found full; 0 while they are open.
    pub withheld: isize,
    /// Requests of a cached size that found no cached block.
    pub missed: u32,
    /// Frees of a cached size that found the caches full.
    pub spilled: u32,
    /// Requests that could not be met at once.
    pub refused: u32,
    /// How ACE sees the region.
    pub larder: Larder,
}

impl<S: Scale> Control<S> {
    /// So many granules come into bins, and so many are taken.
    #[inline(always)]
    pub fn come(&mut self, granules: usize, taken: usize) {
        // `free` is least before it grows.
        self.low = self.least();
        self.free = self.free + granules - taken;
        self.ration();
    }

    /// The least that `free` ever was.
    #[inline(always)]
    pub fn least(&self) -> usize {
        if S::BOUNDED { self.low } else { self.low.min(self.free) }
    }

    /// The caches may hold a part of what is free. A bounded scale does not empty them for a
    /// request that would be refused; there the limit stays as it was set.
    #[inline(always)]
    pub fn ration(&mut self) {
        if !S::BOUNDED && S::CACHED > 0 {
            let before = replace(&mut self.budget, self.free >> self.larder.share());
            self.room += self.budget.cast_signed() - before.cast_signed();
        }
    }

    /// The caches had no room for a block. Full caches are shut until half of what they may hold is
    /// gone: then kept and joined frees come in runs, which a processor can guess, and what is freed
    /// together is joined together.
    #[inline(always)]
    pub fn spill(&mut self) {
        self.spilled = self.spilled.wrapping_add(1);
        let (half, room) = ((self.budget / 2).cast_signed(), self.room + self.withheld);
        self.withheld = if self.withheld == 0 || room < half { half } else { 0 };
        self.room = room - self.withheld;
    }

    /// In caches, as far as it was used.
    pub fn cached(&self) -> usize {
        (self.budget.cast_signed() - self.room - self.withheld).cast_unsigned()
    }
}

/// Where a region is; all that the heap holds of it.
#[derive(Debug)]
#[repr(transparent)]
pub struct Ground<S: Scale> {
    base: NonNull<u8>,
    scale: PhantomData<S>,
}

impl<S: Scale> Clone for Ground<S> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<S: Scale> Copy for Ground<S> {}

impl<S: Scale> Ground<S> {
    const LINK: usize = size_of::<S::Link>();
    const WORD: usize = size_of::<usize>();
    /// Heads come first: so a bin's number is that of its head's place.
    const CONTROL: usize = (bins::<S>() * Self::LINK).next_multiple_of(align_of::<Control<S>>());
    const MAP: usize = Self::CONTROL + size_of::<Control<S>>();
    /// Whether each request searches. A scale without caches is for the least code, and that is the
    /// least.
    pub const SEARCHES: bool = S::CACHED == 0 && !S::BOUNDED;
    /// Whether a map says which bins have blocks.
    pub const MAPPED: bool = !Self::SEARCHES;
    /// The bin that no block is in, for one granule is too few: its head's place is where granule 0,
    /// which is none of a block's, would note the place that leads to it.
    pub const NOWHERE: usize = {
        assert!(SMALLEST > 1 && GRANULE / size_of::<S::Link>() > 1);
        1
    };
    /// Whether links and the map are written without asking whether there is a next block: that is
    /// anybody's guess, and a processor's wrong guess is dearer than to write what nobody reads. It
    /// takes more instructions, which a bounded scale counts.
    pub const BLIND: bool = Self::MAPPED && !S::BOUNDED;
    /// Words of the map: it has one bit more than there are bins.
    pub const WORDS: usize = if Self::MAPPED { bins::<S>() / usize::BITS as usize + 1 } else { 0 };
    const CACHES: usize = Self::MAP + Self::WORDS * Self::WORD;
    /// Bytes that one bit is read and written with; several with two at any address.
    const CELL: usize = if S::BOUNDED { Self::WORD } else { 1 };
    const BITS: usize = (Self::CACHES + S::CACHED * Self::LINK).next_multiple_of(Self::CELL);

    /// Granules of control data of a region with so many granules, those of edge and control
    /// included. What is read or written with the edge's bit ends a cell after its byte at most.
    pub const fn control_granules(granules: usize) -> usize {
        (Self::BITS + granules / 8 + 1 + Self::CELL).div_ceil(GRANULE)
    }

    /// Granules of the least region: one block's, and control data.
    pub const LEAST: usize = {
        // Each granule more needs a bit more at most: the first that is enough is the least.
        let mut granules = SMALLEST;
        while granules < Self::control_granules(granules) + SMALLEST {
            granules += 1;
        }
        granules
    };

    /// The region that begins here.
    ///
    /// # Safety
    /// From `base`, which is aligned to a granule and a word, there is memory enough for a region's
    /// control data and its granules, and it belongs to nobody else while the region is used. All
    /// other functions of `Ground` rest on this, and on what is asked of them staying between R1's
    /// bounds.
    pub unsafe fn at(base: NonNull<u8>) -> Self {
        Self { base, scale: PhantomData }
    }

    /// First byte.
    #[inline(always)]
    pub fn base(self) -> NonNull<u8> {
        self.base
    }

    #[inline(always)]
    fn byte(self, offset: usize) -> NonNull<u8> {
        // SAFETY: `at`: the region's memory; callers stay inside.
        unsafe { self.base.add(offset) }
    }

    /// Control data.
    #[inline(always)]
    pub fn control(self) -> NonNull<Control<S>> {
        self.byte(Self::CONTROL).cast()
    }

    /// A copy of a field of the control data, or of all.
    #[inline(always)]
    pub fn get<T: Copy>(self, field: impl FnOnce(&Control<S>) -> T) -> T {
        // SAFETY: `at`; `claim` wrote it, and there is no reference to it but within `get` and
        // `edit`, which call nothing that touches the region.
        field(unsafe { self.control().as_ref() })
    }

    /// Changes control data.
    #[inline(always)]
    pub fn edit(self, change: impl FnOnce(&mut Control<S>)) {
        // SAFETY: as for `get`; a `Ground` is used only by whoever holds the heap mutably, or its
        // lock's guard.
        change(unsafe { self.control().as_mut() });
    }

    /// First byte of a granule.
    #[inline(always)]
    pub fn start(self, granule: usize) -> NonNull<u8> {
        self.byte(granule * GRANULE)
    }

    /// Word `k` of the map.
    #[inline(always)]
    pub fn map(self, word: usize) -> usize {
        debug_assert!(word < Self::WORDS);
        // SAFETY: `at`; the map has WORDS aligned words.
        unsafe { self.byte(Self::MAP).cast::<usize>().add(word).read() }
    }

    /// Writes it.
    #[inline(always)]
    pub fn set_map(self, word: usize, value: usize) {
        debug_assert!(word < Self::WORDS);
        // SAFETY: as for `map`.
        unsafe { self.byte(Self::MAP).cast::<usize>().add(word).write(value) };
    }

    #[inline(always)]
    fn link(self, at: NonNull<u8>) -> usize {
        // SAFETY: callers name a link's place in the region, aligned to a link.
        unsafe { at.cast::<S::Link>().read() }.number()
    }

    #[inline(always)]
    fn set_link(self, at: NonNull<u8>, granule: usize) {
        // SAFETY: as for `link`.
        unsafe { at.cast::<S::Link>().write(S::Link::to(granule)) };
    }

    /// Where a free block's link to the next one is.
    #[inline(always)]
    pub fn link_of(block: usize) -> usize {
        block * const { GRANULE / Self::LINK }
    }

    /// The block that the link at this place leads to; 0 for none.
    #[inline(always)]
    pub fn follow(self, place: usize) -> usize {
        self.link(self.byte(place * Self::LINK))
    }

    /// Lets it lead to this block.
    #[inline(always)]
    pub fn lead(self, place: usize, block: usize) {
        self.set_link(self.byte(place * Self::LINK), block);
    }

    /// First cached block of this size; 0 if there is none.
    #[inline(always)]
    pub fn cache(self, granules: usize) -> usize {
        debug_assert!(granules < S::CACHED);
        self.link(self.byte(Self::CACHES + granules * Self::LINK))
    }

    /// Writes it.
    #[inline(always)]
    pub fn set_cache(self, granules: usize, block: usize) {
        debug_assert!(granules < S::CACHED);
        self.set_link(self.byte(Self::CACHES + granules * Self::LINK), block);
    }

    /// A free block's link to the next one.
    #[inline(always)]
    pub fn next(self, block: usize) -> usize {
        self.link(self.start(block))
    }

    /// Writes it.
    #[inline(always)]
    pub fn set_next(self, block: usize, next: usize) {
        self.set_link(self.start(block), next);
    }

    /// The place of the link that leads to a block in a bin.
    #[inline(always)]
    pub fn place(self, block: usize) -> usize {
        self.link(self.byte(block * GRANULE + Self::LINK))
    }

    /// Writes it.
    #[inline(always)]
    pub fn set_place(self, block: usize, place: usize) {
        self.set_link(self.byte(block * GRANULE + Self::LINK), place);
    }

    /// Size of a block in a bin.
    #[inline(always)]
    pub fn size(self, block: usize) -> usize {
        self.link(self.byte(block * GRANULE + 2 * Self::LINK))
    }

    /// Size of the block in a bin that ends before granule `end`; 0 if what ends there is cached.
    #[inline(always)]
    pub fn size_before(self, end: usize) -> usize {
        self.link(self.byte(end * GRANULE - Self::LINK))
    }

    /// Writes the size of a free block at both ends.
    #[inline(always)]
    pub fn set_size(self, block: usize, granules: usize) {
        self.set_link(self.byte(block * GRANULE + 2 * Self::LINK), granules);
        self.set_size_before(block + granules, granules);
    }

    /// Writes it at the end only.
    #[inline(always)]
    pub fn set_size_before(self, end: usize, granules: usize) {
        self.set_link(self.byte(end * GRANULE - Self::LINK), granules);
    }

    /// Some bits, of which the lowest is that of `granule`: nine of them at least are right.
    #[inline(always)]
    pub fn bits(self, granule: usize) -> usize {
        let at = self.byte(Self::BITS + granule / 8).cast::<u16>();
        // SAFETY: `at`; the bits end two bytes after the edge's byte.
        let word = u16::from_le(unsafe { at.read_unaligned() });
        usize::from(word) >> (granule % 8)
    }

    /// Flips the bits of `granule` and after it that are set in `flip`, which has nine bits at
    /// most.
    #[inline(always)]
    pub fn flip(self, granule: usize, flip: usize) {
        let at = self.byte(Self::BITS + granule / 8).cast::<u16>();
        // SAFETY: as for `bits`.
        let word = u16::from_le(unsafe { at.read_unaligned() });
        let word = word ^ (flip << (granule % 8)) as u16;
        // SAFETY: as for `bits`.
        unsafe { at.write_unaligned(word.to_le()) };
    }

    /// The word of the bits that has this granule's, in a bounded scale: a look at a byte takes two
    /// instructions more.
    #[inline(always)]
    fn word_of_bits(self, granule: usize) -> NonNull<usize> {
        // SAFETY: `at`; callers stay inside, and the bits fill whole cells.
        unsafe { self.byte(Self::BITS).cast().add(granule / usize::BITS as usize) }
    }

    /// One bit.
    #[inline(always)]
    pub fn bit(self, granule: usize) -> bool {
        if S::BOUNDED {
            // SAFETY: as for `word_of_bits`.
            let word = usize::from_le(unsafe { self.word_of_bits(granule).read() });
            return word & (1 << (granule % usize::BITS as usize)) != 0;
        }
        // A processor takes what was just written from its store buffer only if nothing else is in
        // what it reads: so no more than a byte.
        // SAFETY: `at`; callers stay inside.
        let byte = unsafe { self.byte(Self::BITS + granule / 8).read() };
        byte & (1 << (granule % 8)) != 0
    }

    /// Flips one bit.
    #[cfg_attr(feature = "small-code", inline(never))]
    #[cfg_attr(not(feature = "small-code"), inline(always))]
    pub fn flip_one(self, granule: usize) {
        if S::BOUNDED {
            let at = self.word_of_bits(granule);
            // SAFETY: as for `bit`.
            let word = usize::from_le(unsafe { at.read() });
            let word = word ^ (1 << (granule % usize::BITS as usize));
            // SAFETY: as for `bit`.
            unsafe { at.write(word.to_le()) };
            return;
        }
        let at = self.byte(Self::BITS + granule / 8);
        // SAFETY: as for `bit`.
        let byte = unsafe { at.read() } ^ (1 << (granule % 8));
        // SAFETY: as for `bit`.
        unsafe { at.write(byte) };
    }
}
