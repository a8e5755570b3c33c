//! Blocks of one region: taken, given back, resized. Floor: annex.
//!
//! HOT is a cached block of the very size; WARM takes from the bins and joins what is freed with its free
//! neighbours. COLD is the search of [`Ground::scavenge`], which bounded scales don't have.

use super::{
    ground::Ground,
    scale::{GRANULE, SMALLEST, Scale, bin_of},
};
use crate::misuse::{Misuse, MisuseKind};
use core::ptr::NonNull;

/// The bits of a live block's first two granules, and of a cached one's.
const LIVE: usize = 0b01;
const CACHED: usize = 0b11;
/// Frees that found the caches full until these are emptied.
const STALE: u32 = 4096;

/// Granules of a block of this many bytes, which are at most `isize::MAX`.
#[inline(always)]
#[expect(clippy::manual_div_ceil, reason = "this can't overflow, and is three instructions less")]
pub const fn granules_of(bytes: usize) -> usize {
    let granules = (bytes + (GRANULE - 1)) / GRANULE;
    if granules < SMALLEST { SMALLEST } else { granules }
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
        self.expect(block < self.get(|control| control.limit), block);
        self.expect(self.bits(block) & 0b11 == CACHED, block);
        self.set_cache(granules, self.next(block));
        self.edit(|control| control.cached -= granules);
        self.flip(block, CACHED ^ LIVE);
        block
    }

    /// Puts a live block into the cache of its size, if there is room.
    #[inline(always)]
    pub fn push(self, block: usize, granules: usize) -> bool {
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
        self.set_next(block, self.cache(granules));
        self.set_cache(granules, block);
        self.flip(block, CACHED ^ LIVE);
        true
    }

    /// Number of the granule that begins at this address; beyond the limit for all others.
    #[inline(always)]
    pub fn granule_at(self, address: NonNull<u8>) -> usize {
        let offset = address.addr().get().wrapping_sub(self.base().addr().get());
        // An address inside a granule has low bits, which the rotation makes the highest.
        offset.rotate_right(GRANULE.ilog2())
    }

    /// Frees the block that begins at `address`, which is granule `block`.
    #[inline(always)]
    pub fn free(self, address: NonNull<u8>, block: usize, granules: usize) {
        self.check(address, block);
        if !self.push(block, granules) {
            self.give_spilled(block, granules);
        }
    }

    /// Stops the program unless a live block begins here.
    #[inline(always)]
    pub fn check(self, address: NonNull<u8>, block: usize) {
        if !self.is_live(block) {
            self.accuse(address, block);
        }
    }

    /// Whether a live block begins here.
    #[inline(always)]
    fn is_live(self, block: usize) -> bool {
        // A last bit is followed by the first of a block that is not in a bin: only a live block has 1, 0.
        self.bits(block) & 0b11 == LIVE
    }

    /// Takes a block out of the bins; 0 if none will do.
    #[inline(always)]
    pub fn take(self, granules: usize) -> usize {
        if granules >= S::EXACT {
            return self.take_long(granules);
        }
        let first = self.head(granules);
        if first != 0 {
            return self.carve(granules, first, 0, granules);
        }
        // Not from the bin in between: a block of one granule could not be told from the others.
        self.find(granules + SMALLEST).map_or(0, |(bin, block)| self.carve(bin, block, 0, granules))
    }

    #[inline(never)]
    fn take_long(self, granules: usize) -> usize {
        let own = bin_of::<S>(granules);
        let first = self.head(own);
        if first != 0 && fits(self.size(first), granules) {
            return self.carve(own, first, 0, granules);
        }
        self.find(granules + SMALLEST).map_or(0, |(bin, block)| self.carve(bin, block, 0, granules))
    }

    /// Takes a block whose first byte is at a multiple of `align` granules, a power of two above 1.
    #[inline(never)]
    pub fn take_aligned(self, granules: usize, align: usize) -> usize {
        // What lies before the block is a block too, and so is what lies behind it.
        let found = self.find(granules + align + 2 * SMALLEST);
        found.map_or(0, |(bin, block)| self.carve(bin, block, self.gap(block, align), granules))
    }

    /// Looks at every free block that is large enough.
    #[cold]
    pub fn scavenge(self, granules: usize, align: usize) -> usize {
        let behind = |block, size| {
            let gap = self.gap(block, align);
            gap <= size && fits(size - gap, granules)
        };
        let block = self.search(granules, behind);
        if block == 0 {
            return 0;
        }
        let size = self.size(block);
        self.expect(self.size_before(block + size) == size && self.unlink(block, size), block);
        self.cut(block, size, self.gap(block, align), granules)
    }

    /// Granules from a free block's start to the first place that is aligned and leaves a whole block before it,
    /// or none.
    fn gap(self, block: usize, align: usize) -> usize {
        let first = self.start(block).addr().get() / GRANULE;
        let gap = first.wrapping_neg() & (align - 1);
        if gap == 1 { gap + align } else { gap }
    }

    /// Makes a live block inside the first one of a bin.
    #[inline(always)]
    fn carve(self, bin: usize, block: usize, gap: usize, granules: usize) -> usize {
        let size = self.size(block);
        let intact = self.size_before(block + size) == size;
        self.expect(intact && self.unlink_first(bin, block, self.next(block)), block);
        self.cut(block, size, gap, granules)
    }

    /// Makes a live block inside a free one that is in no bin any more: `gap` granules stay free before it, the
    /// rest behind it.
    #[inline(always)]
    fn cut(self, block: usize, size: usize, gap: usize, granules: usize) -> usize {
        self.edit(|control| {
            control.free -= granules;
            control.low = control.low.min(control.free);
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

    /// Gives a live block back to the bins, joined with its free neighbours.
    #[inline(always)]
    pub fn give(self, block: usize, granules: usize) {
        let (mut first, mut end) = (block, block + granules);
        self.edit(|control| control.free += granules);
        // The bit before the block, and its own.
        let mut flip = 0b10;
        if self.bits(block - 1) & 1 != 0 {
            let size = self.size_before(block);
            if size != 0 {
                first = block.wrapping_sub(size);
                self.expect(
                    size < block && self.size(first) == size && self.unlink(first, size),
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
            self.expect(self.size_before(end) == size && self.unlink(free, size), free);
        } else {
            self.flip_one(end - 1);
        }
        self.insert(first, end - first);
    }

    /// Makes a live block longer or shorter where it is. `false`: it stays as it was.
    pub fn resize(self, block: usize, old: usize, new: usize) -> bool {
        let end = block + old;
        let next = if self.bits(end) & 1 == 0 { self.size(end) } else { 0 };
        if old == new {
            return true;
        }
        if new > old && !fits(next, new - old) || new < old && old - new < SMALLEST && next == 0 {
            return false;
        }
        if next != 0 {
            self.expect(self.size_before(end + next) == next && self.unlink(end, next), end);
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
            control.low = control.low.min(control.free);
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
                self.give(block, granules);
            }
        }
    }

    /// WARM: [`Ground::take`] for a size whose cache was empty.
    #[inline(always)]
    pub fn take_missed(self, granules: usize) -> usize {
        if granules < S::CACHED {
            self.edit(|control| control.missed = control.missed.wrapping_add(1));
        }
        self.take(granules)
    }

    /// WARM: [`Ground::give`] for a size whose cache was full. In a scale that is not bounded, blocks that are
    /// cached but not asked for make way now and then.
    #[inline(never)]
    pub fn give_spilled(self, block: usize, granules: usize) {
        if granules < S::CACHED {
            self.edit(|control| control.spilled = control.spilled.wrapping_add(1));
            if !S::BOUNDED && self.get(|control| control.spilled).is_multiple_of(STALE) {
                self.flush();
            }
        }
        self.give(block, granules);
    }

    /// Stops the program: this is not the start of a live block.
    #[cold]
    #[inline(never)]
    fn accuse(self, address: NonNull<u8>, granule: usize) -> ! {
        let around = |block: usize, size: usize| block <= granule && granule < block + size;
        let kind = if self.bits(granule) & 0b11 == CACHED || self.search(SMALLEST, around) != 0 {
            MisuseKind::DoubleFree
        } else {
            MisuseKind::Interior
        };
        S::misuse(Misuse { kind, address: address.addr().get(), block_bytes: 0, owner: 0 })
    }

    /// Stops the program if what free memory holds has been overwritten.
    #[inline(always)]
    fn expect(self, intact: bool, block: usize) {
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
