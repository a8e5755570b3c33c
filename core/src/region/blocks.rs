//! Blocks of one region: taken, given back, resized. Floor: annex.
//!
//! HOT is a cached block of the very size; WARM takes from the bins and joins what is freed with its free
//! neighbours. COLD is the search of [`Ground::scavenge`], which bounded scales don't have.

use super::{
    ground::Ground,
    scale::{GRANULE, Link, SMALLEST, Scale, bin_above, bin_of, bins},
};
use crate::misuse::{Misuse, MisuseKind};
use core::ptr::NonNull;

/// The bits of a live block's first two granules, and of a cached one's.
const LIVE: usize = 0b01;
const CACHED: usize = 0b11;
/// At the end of a cached block's first granule, where a block in a bin that ended there would have its size.
pub const MARK: usize = 1;
/// Frees that found the caches full until these are emptied.
const STALE: u32 = 4096;

/// Granules of a block of this many bytes, which are at most `isize::MAX`.
#[inline(always)]
#[expect(clippy::manual_div_ceil, reason = "this can't overflow, and is three instructions less")]
pub const fn granules_of(bytes: usize) -> usize {
    const { assert!(SMALLEST == 2) }
    let bytes = if bytes == 0 { 1 } else { bytes };
    let granules = (bytes + (GRANULE - 1)) / GRANULE;
    // One more where one is too few: without a constant to choose.
    granules + (granules < SMALLEST) as usize
}

impl<S: Scale> Ground<S> {
    /// Takes a cached block of exactly this size; 0 if there is none.
    #[inline(always)]
    pub fn pop(self, granules: usize) -> usize {
        if granules >= S::CACHED {
            return 0;
        }
        let block = self.cache(granules);
        if block == 0 {
            return 0;
        }
        self.expect(self.inside(block) && self.bits(block) & 0b11 == CACHED, block);
        self.set_cache(granules, self.next(block));
        self.edit(|control| control.cached -= granules);
        self.flip(block, CACHED ^ LIVE);
        block
    }

    /// The granule that begins at this address, if it is one of the region's that a block may have: its number
    /// less one. Else something not below the limit.
    #[inline(always)]
    pub fn before(self, address: NonNull<u8>) -> usize {
        let offset = address.addr().get().wrapping_sub(self.base().addr().get());
        // An address inside a granule has low bits, which the rotation makes the highest. Granule 0, control data,
        // is sent after them.
        offset.rotate_right(GRANULE.ilog2()).wrapping_sub(1)
    }

    /// Stops the program unless a live block begins at `address`, after granule `before`; else answers the bits
    /// from there on.
    #[inline(always)]
    pub fn check(self, address: NonNull<u8>, before: usize) -> usize {
        let bits = self.bits(before);
        let block = before + 1;
        // A last bit is followed by the first of a block that is not in a bin. So 1, 0 is a live block, or, if there
        // is a 1 before it, the second granule of a cached one, which its mark betrays.
        let odd = bits.wrapping_sub(LIVE << 1);
        if odd & 0b111 != 0 && (odd & 0b110 != 0 || self.size_before(block) == MARK) {
            self.accuse(address, block);
        }
        bits
    }

    /// Frees the block that begins at `address`, after granule `before`. Stops the program if no live one does.
    #[inline(always)]
    pub fn free(self, address: NonNull<u8>, before: usize, granules: usize) {
        let bits = self.check(address, before);
        let block = before + 1;
        if self.push(block, granules) {
            return;
        }
        if granules < S::CACHED && !S::BOUNDED {
            return self.spill(block, granules);
        }
        self.give(block, granules, bits & 1 != 0);
    }

    /// Puts a live block into the cache of its size, if there is room.
    #[inline(always)]
    fn push(self, block: usize, granules: usize) -> bool {
        if granules >= S::CACHED {
            return false;
        }
        let cached = self.get(|control| control.cached) + granules;
        if cached > self.get(|control| control.budget) {
            return false;
        }
        self.edit(|control| control.cached = cached);
        // A block of two granules shows its neighbour a set last bit: this tells it from one in a bin (R2).
        self.set_size_before(block + SMALLEST, 0);
        self.set_size_before(block + 1, MARK);
        self.set_next(block, self.cache(granules));
        self.set_cache(granules, block);
        self.flip(block - 1, (CACHED ^ LIVE) << 1);
        true
    }

    /// WARM: takes a block of fewer than [`Scale::EXACT`] granules out of the bins; 0 if none will do.
    #[inline(always)]
    pub fn take(self, granules: usize) -> usize {
        self.note_missed(granules);
        let mut block = self.follow(Self::head(granules));
        if block == 0 {
            // Not from the bin in between: a block of one granule could not be told from the others.
            let bin = self.bin_from(bin_above::<S>(granules + SMALLEST));
            if bin == bins::<S>() {
                return 0;
            }
            block = self.follow(Self::head(bin));
        }
        self.carve(block, 0, granules)
    }

    /// Takes a block of any size whose first byte is at a multiple of `align` granules, a power of two.
    #[inline(never)]
    pub fn take_any(self, granules: usize, align: usize) -> usize {
        // What lies before an aligned block is a block too, and so is what lies behind it.
        let spare = if align > 1 { align + 2 * SMALLEST } else { SMALLEST };
        if granules + spare > S::Link::MOST {
            return 0;
        }
        let own = self.follow(Self::head(bin_of::<S>(granules)));
        let mut block = if align > 1 { 0 } else { own };
        if block == 0 || granules >= S::EXACT && !fits(self.size(block), granules) {
            let bin = self.bin_from(bin_above::<S>(granules + spare));
            if bin == bins::<S>() {
                return 0;
            }
            block = self.follow(Self::head(bin));
        }
        self.carve_any(block, self.gap(block, align), granules)
    }

    /// Looks at every free block that is large enough.
    #[cold]
    pub fn scavenge(self, granules: usize, align: usize) -> usize {
        if granules > S::Link::MOST {
            return 0;
        }
        let behind = |block, size| {
            let gap = self.gap(block, align);
            gap <= size && fits(size - gap, granules)
        };
        let block = self.search(granules, &behind);
        if block == 0 {
            return 0;
        }
        self.carve_any(block, self.gap(block, align), granules)
    }

    /// Granules from a free block's start to the first place that is aligned and leaves a whole block before it,
    /// or none.
    fn gap(self, block: usize, align: usize) -> usize {
        let first = self.start(block).addr().get() / GRANULE;
        let gap = first.wrapping_neg() & (align - 1);
        if gap == 1 { gap + align } else { gap }
    }

    #[inline(never)]
    fn carve_any(self, block: usize, gap: usize, granules: usize) -> usize {
        self.carve(block, gap, granules)
    }

    /// Makes a live block inside one in a bin: `gap` granules stay free before it, the rest behind it.
    #[inline(always)]
    fn carve(self, block: usize, gap: usize, granules: usize) -> usize {
        let size = self.size(block);
        self.expect(self.agrees(block, size) && self.unlink(block), block);
        self.edit(|control| {
            control.free -= granules;
            control.note();
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

    /// Gives a live block back to the bins, joined with its free neighbours. `joins`: the bit before it is set.
    #[inline(never)]
    pub fn give(self, block: usize, granules: usize, joins: bool) {
        let (mut first, mut end) = (block, block + granules);
        self.edit(|control| {
            control.free += granules;
            control.note();
        });
        // The bit before the block, and its own.
        let mut flip = 0b10;
        if joins {
            let size = self.size_before(block);
            if size != 0 {
                first = block.wrapping_sub(size);
                self.expect(
                    self.inside(first)
                        && (!S::GUARDED || self.size(first) == size)
                        && self.unlink(first),
                    block,
                );
                flip = 0b11;
            }
        }
        self.flip(block - 1, flip);
        if self.bits(end) & 1 == 0 {
            let size = self.size(end);
            let free = end;
            end += size;
            self.expect(self.agrees(free, size) && self.unlink(free), free);
        } else {
            self.flip_one(end - 1);
        }
        self.insert(first, end - first);
    }

    /// Makes a live block longer or shorter where it is. `false`: it stays as it was.
    pub fn resize(self, block: usize, old: usize, new: usize) -> bool {
        let end = block + old;
        let mut next = 0;
        if self.bits(end) & 1 == 0 {
            next = self.size(end);
            self.expect(self.agrees(end, next), end);
        }
        if old == new {
            return true;
        }
        if new > old && !fits(next, new - old) || new < old && old - new < SMALLEST && next == 0 {
            return false;
        }
        if next != 0 {
            self.expect(self.unlink(end), end);
        } else {
            self.flip_one(end - 1);
        }
        let rest = old + next - new;
        if rest == 0 {
            self.flip_one(end + next - 1);
        } else {
            self.insert(block + new, rest);
        }
        self.edit(|control| {
            control.free = control.free + old - new;
            control.note();
        });
        true
    }

    /// Puts everything cached into the bins.
    #[cold]
    pub fn flush(self) {
        for granules in SMALLEST..S::CACHED {
            loop {
                let block = self.pop(granules);
                if block == 0 {
                    break;
                }
                self.give(block, granules, self.bits(block - 1) & 1 != 0);
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

    /// WARM: [`Ground::give`] for a size whose cache was full. Now and then blocks that are cached but not asked for
    /// make way.
    #[inline(never)]
    fn spill(self, block: usize, granules: usize) {
        self.edit(|control| control.spilled = control.spilled.wrapping_add(1));
        if self.get(|control| control.spilled).is_multiple_of(STALE) {
            self.flush();
        }
        self.give(block, granules, self.bits(block - 1) & 1 != 0);
    }

    /// Stops the program: this is not the start of a live block.
    #[cold]
    #[inline(never)]
    fn accuse(self, address: NonNull<u8>, granule: usize) -> ! {
        let kind = if granule == self.get(|control| control.limit) {
            MisuseKind::Foreign
        } else if self.is_free(granule) {
            MisuseKind::DoubleFree
        } else {
            MisuseKind::Interior
        };
        S::misuse(Misuse { kind, address: address.addr().get(), block_bytes: 0, owner: 0 })
    }

    /// Whether a block in a bin has this granule, or a cached one begins with it.
    fn is_free(self, granule: usize) -> bool {
        let mut end = granule;
        while self.bits(end) & 1 == 0 {
            end += 1;
        }
        // What is found is the last of a block in a bin, or the first of another: 1, 1 if that is cached, and then
        // its mark is what is read.
        let is_edge = end == self.get(|control| control.limit);
        !is_edge && self.bits(end) & 0b11 == 0b11 && self.size_before(end + 1) > end - granule
    }

    /// Whether the size at a free block's end is the one at its start.
    #[inline(always)]
    fn agrees(self, block: usize, size: usize) -> bool {
        !S::GUARDED
            || size >= SMALLEST
                && size <= self.get(|control| control.limit) - block
                && self.size_before(block + size) == size
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
        let address = self.base().addr().get().wrapping_add(block.wrapping_mul(GRANULE));
        S::misuse(Misuse { kind: MisuseKind::Corrupt, address, block_bytes: 0, owner: 0 })
    }
}

/// Whether a free block of `size` can hold one of this many granules, and what is left is none or a block.
#[inline(always)]
const fn fits(size: usize, granules: usize) -> bool {
    size == granules || size >= granules + SMALLEST
}
