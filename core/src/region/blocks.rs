//! Blocks of one region: taken, given back, resized. Floor: annex.
//!
//! HOT is a cached block of the very size; WARM takes from the bins and joins what is freed with
//! its free neighbours. COLD is the search of [`Ground::scavenge`], which bounded scales don't
//! have; the smallest has nothing else.

use super::{
    ground::{Control, Ground},
    scale::{GRANULE, Link, SMALLEST, Scale, bin_above, bin_of, bins},
};
use crate::misuse::{Misuse, MisuseKind};
use core::ptr::NonNull;

/// The bits of a live block's first two granules, and of a cached one's.
const LIVE: usize = 0b01;
const CACHED: usize = 0b11;
/// At the end of a cached block's first granule, where a block in a bin that ended there would have
/// its size.
pub const MARK: usize = 1;
/// Frees that found the caches full until these are emptied.
const STALE: u32 = 4096;

/// Granules that this many bytes need, which are at most `isize::MAX`. Caches go by these.
#[inline(always)]
#[expect(clippy::manual_div_ceil, reason = "this can't overflow, and is three instructions less")]
pub const fn granules_of(bytes: usize) -> usize {
    let bytes = if bytes == 0 { 1 } else { bytes };
    (bytes + (GRANULE - 1)) / GRANULE
}

/// Granules of the block that so many need.
#[inline(always)]
pub const fn whole(granules: usize) -> usize {
    const { assert!(SMALLEST == 2) }
    // One more where one is too few: without a constant to choose.
    granules + (granules < SMALLEST) as usize
}

impl<S: Scale> Ground<S> {
    /// Takes a cached block for exactly so many granules; 0 if there is none.
    #[inline(always)]
    pub fn pop(self, granules: usize) -> usize {
        if granules >= S::CACHED {
            return 0;
        }
        let block = self.cache(granules);
        if block != 0 {
            self.expect(self.is_cached(block), block);
            self.take_cached(block, granules);
        }
        block
    }

    /// Whether the head of a cache may lead here: the bits are those of a cached block's start.
    #[inline(always)]
    pub fn is_cached(self, block: usize) -> bool {
        self.inside(block) && self.bits(block) & 0b11 == CACHED
    }

    /// Makes the first block of a cache a live one.
    #[inline(always)]
    pub fn take_cached(self, block: usize, granules: usize) {
        self.set_cache(granules, self.next(block));
        self.edit(|control| control.room += granules.cast_signed());
        self.flip(block, CACHED ^ LIVE);
    }

    /// The granule that begins at this address, if it is one of the region's that a block may have:
    /// its number less one. Else something not below the limit.
    #[inline(always)]
    pub fn before(self, address: NonNull<u8>) -> usize {
        let offset = address.addr().get().wrapping_sub(self.base().addr().get());
        // An address inside a granule has low bits, which the rotation makes the highest. Granule
        // 0, control data, is sent after them.
        offset.rotate_right(GRANULE.ilog2()).wrapping_sub(1)
    }

    /// Whether a live block begins here; `bits` are those from the granule before on.
    #[inline(always)]
    pub fn is_live(self, block: usize, bits: usize) -> bool {
        // A last bit is followed by the first of a block that is not in a bin. So 1, 0 is a live
        // block, or, if there is a 1 before it, the second granule of a cached one, which its mark
        // betrays.
        let odd = bits.wrapping_sub(LIVE << 1);
        if S::CACHED == 0 {
            return odd & 0b110 == 0;
        }
        if S::BOUNDED {
            return odd & 0b111 == 0 || odd & 0b110 == 0 && self.size_before(block) != MARK;
        }
        // Whether there is a 1 before is anybody's guess, and a processor's wrong guess is dearer
        // than to look. Where there is none the program's bytes are, which are not the heap's to
        // read: then it looks at the head of a bin, which is no mark, for no block has that number.
        let ends = (bits & 1).wrapping_neg();
        odd & 0b110 == 0 && self.follow((Self::link_of(block) - 1) & ends) != MARK
    }

    /// Puts a live block into the cache for so many granules, if there is room.
    #[inline(always)]
    pub fn push(self, block: usize, granules: usize) -> bool {
        if granules >= S::CACHED {
            return false;
        }
        let room = self.get(|control| control.room) - granules.cast_signed();
        if room < 0 {
            return false;
        }
        self.edit(|control| control.room = room);
        // A block of two granules shows its neighbour a set last bit: this tells it from one in a
        // bin (R2).
        self.set_size_before(block + SMALLEST, 0);
        self.set_size_before(block + 1, MARK);
        self.set_next(block, self.cache(granules));
        self.set_cache(granules, block);
        self.flip(block - 1, (CACHED ^ LIVE) << 1);
        true
    }

    /// WARM: takes a block of fewer than [`Scale::EXACT`] granules out of the bins.
    #[inline(always)]
    pub fn take(self, granules: usize) -> Option<NonNull<u8>> {
        self.note_missed(granules);
        let block = self.follow(granules);
        if block != 0 {
            self.unlink_exact(block, granules);
            self.edit(|control| control.free -= granules);
            self.flip_one(block);
            self.flip_one(block + granules - 1);
            return Some(self.start(block));
        }
        // Not from the bin in between: a block of one granule could not be told from the others.
        let bin = self.bin_from(bin_above::<S>(granules + SMALLEST));
        if bin == bins::<S>() {
            return None;
        }
        let block = self.follow(bin);
        let size = self.unlink_first(block, bin);
        Some(self.start(self.carve(block, size, 0, granules)))
    }

    /// Takes a block of any size whose first byte is at a multiple of `align` granules, a power of
    /// two.
    #[inline(never)]
    pub fn take_any(self, granules: usize, align: usize) -> usize {
        // What lies before an aligned block is a block too, and so is what lies behind it.
        let spare = if align > 1 { align + 1 + SMALLEST } else { SMALLEST };
        if granules + spare > S::Link::MOST {
            return 0;
        }
        let own = self.follow(bin_of::<S>(granules));
        let mut block = if align > 1 { 0 } else { own };
        if block == 0 || granules >= S::EXACT && !fits(self.size(block), granules) {
            let bin = self.bin_from(bin_above::<S>(granules + spare));
            if bin == bins::<S>() {
                return 0;
            }
            block = self.follow(bin);
        }
        self.carve_any(block, self.gap(block, align), granules)
    }

    /// Looks at every free block that may be large enough.
    #[inline(never)]
    pub fn scavenge(self, granules: usize, align: usize) -> usize {
        let (block, gap) = self.search(granules, align);
        if block == 0 { 0 } else { self.carve_any(block, gap, granules) }
    }

    /// Granules from a free block's start to the first place that is aligned and leaves a whole
    /// block before it, or none.
    pub fn gap(self, block: usize, align: usize) -> usize {
        let first = self.start(block).addr().get() / GRANULE;
        let gap = first.wrapping_neg() & (align - 1);
        if gap == 1 { gap + align } else { gap }
    }

    fn carve_any(self, block: usize, gap: usize, granules: usize) -> usize {
        let size = self.unlink(block);
        self.carve(block, size, gap, granules)
    }

    /// Makes a live block inside one that was just in a bin: `gap` granules stay free before it,
    /// the rest behind it.
    #[inline(always)]
    fn carve(self, block: usize, size: usize, gap: usize, granules: usize) -> usize {
        self.edit(|control| {
            control.free -= granules;
            control.ration();
        });
        let live = block + gap;
        if gap > 0 {
            self.insert(block, gap);
            self.flip_one(live - 1);
        }
        self.flip_one(live);
        let rest = size - gap - granules;
        if rest == 0 {
            self.flip_one(block + size - 1);
        } else {
            self.insert(live + granules, rest);
        }
        live
    }

    /// Clears the first bit of a live block, and that before it if it is the last of a free one,
    /// whose size is the answer; else zero. `bits`: from the granule before the block on.
    #[inline(always)]
    pub fn uproot(self, block: usize, bits: usize) -> usize {
        // Zero, too, if what ends there is cached.
        let before = if bits & 1 == 0 { 0 } else { self.size_before(block) };
        let joins = if S::CACHED == 0 { bits & 1 != 0 } else { before != 0 };
        self.expect(!S::GUARDED || joins == (before != 0), block);
        self.flip(block - 1, if joins { 0b11 } else { 0b10 });
        before
    }

    /// WARM: [`Ground::give`] for a block of which so many granules were used, and that its cache
    /// has no room for.
    #[inline(always)]
    pub fn settle(self, block: usize, granules: usize, before: usize) {
        if cfg!(feature = "small-code") && !S::BOUNDED {
            self.give(block, whole(granules), before);
        } else {
            self.give_here(block, whole(granules), before);
        }
        if S::BOUNDED {
            return;
        }
        if granules < S::CACHED {
            self.edit(Control::spill);
            if self.get(|control| control.spilled).is_multiple_of(STALE) {
                // Blocks that are cached but not asked for make way now and then.
                self.edit(|control| control.larder.ease(S::CACHE_SHIFT as u8));
                self.flush();
            }
        }
    }

    /// Gives back a block that was uprooted, joined with its free neighbours. `before`: the size of
    /// the one before it, or zero.
    #[inline(never)]
    pub fn give(self, block: usize, granules: usize, before: usize) {
        self.give_here(block, granules, before);
    }

    #[inline(always)]
    fn give_here(self, block: usize, granules: usize, before: usize) {
        self.edit(|control| control.come(granules, 0));
        let first = block.wrapping_sub(before);
        if before != 0 {
            self.expect(self.inside(first), block);
            self.unlink_sized(first, before);
        }
        let mut end = block + granules;
        if self.bit(end) {
            self.flip_one(end - 1);
        } else {
            end += self.unlink(end);
        }
        self.insert(first, end - first);
    }

    /// Makes a live block longer or shorter where it is. `false`: it stays as it was.
    pub fn resize(self, block: usize, old: usize, new: usize) -> bool {
        if old == new {
            return true;
        }
        let end = block + old;
        let next = if self.bit(end) { 0 } else { self.size(end) };
        if new > old && !fits(next, new - old) || new < old && old - new < SMALLEST && next == 0 {
            return false;
        }
        if next == 0 {
            self.flip_one(end - 1);
        } else {
            self.unlink(end);
        }
        let rest = old + next - new;
        if rest == 0 {
            self.flip_one(end + next - 1);
        } else {
            self.insert(block + new, rest);
        }
        self.edit(|control| control.come(old, new));
        true
    }

    /// For a request that found no room: puts everything cached into the bins, and if that may be
    /// why, the caches may hold less from now on.
    #[cold]
    pub fn make_room(self) {
        self.edit(|control| {
            if control.cached() > 0 {
                control.larder.deny();
            }
        });
        self.flush();
    }

    /// Puts everything cached into the bins.
    #[cold]
    pub fn flush(self) {
        for granules in 1..S::CACHED {
            loop {
                let block = self.pop(granules);
                if block == 0 {
                    break;
                }
                let before = self.uproot(block, self.bits(block - 1));
                self.give(block, whole(granules), before);
            }
        }
    }

    /// Notes that a request of a cached size found its cache empty.
    #[inline(always)]
    fn note_missed(self, granules: usize) {
        if granules < S::CACHED && !S::BOUNDED {
            self.edit(|control| control.missed = control.missed.wrapping_add(1));
        }
    }

    /// What it is to take this granule for the first of a live block.
    #[cold]
    pub fn mistake(self, granule: usize) -> MisuseKind {
        if self.is_free(granule) { MisuseKind::DoubleFree } else { MisuseKind::Interior }
    }

    /// Whether a block in a bin has this granule, or a cached one begins with it.
    fn is_free(self, granule: usize) -> bool {
        let mut end = granule;
        while !self.bit(end) {
            end += 1;
        }
        // What is found is the last of a block in a bin, or the first of another: 1, 1 if that is
        // cached, and then its mark is what is read.
        let is_edge = end == self.get(|control| control.limit);
        !is_edge && self.bits(end) & 0b11 == 0b11 && self.size_before(end + 1) > end - granule
    }

    /// Whether a link leads to where blocks can be.
    #[inline(always)]
    pub fn inside(self, block: usize) -> bool {
        !S::GUARDED || block < self.get(|control| control.limit)
    }

    /// Stops the program if what free memory holds has been overwritten.
    #[inline(always)]
    pub fn expect(self, intact: bool, block: usize) {
        if !intact {
            self.corrupt(block);
        }
    }

    #[cold]
    #[inline(never)]
    fn corrupt(self, block: usize) -> ! {
        let offset = block.wrapping_mul(GRANULE);
        accuse::<S>(MisuseKind::Corrupt, self.base().map_addr(|base| base.saturating_add(offset)))
    }
}

/// Stops the program.
#[cold]
#[inline(never)]
pub fn accuse<S: Scale>(kind: MisuseKind, address: NonNull<u8>) -> ! {
    S::misuse(Misuse { kind, address: address.addr().get(), block_bytes: 0, owner: 0 })
}

/// Whether a free block of `size` can hold one of this many granules, and what is left is none or a
/// block.
#[inline(always)]
pub const fn fits(size: usize, granules: usize) -> bool {
    size == granules || size >= granules + SMALLEST
}
