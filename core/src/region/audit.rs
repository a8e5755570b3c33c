//! Whether a region is what R1 to R3 say: for tests. Floor: annex.
//!
//! Live blocks have no size here, so what they cover is known only by what is left over: a test
//! that knows its blocks compares [`Audit`] with them.

use super::{
    RegionHeap,
    blocks::{MARK, whole},
    ground::Ground,
    scale::{SMALLEST, Scale, bin_of, bins},
};

/// What an audit counted, in all regions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Live blocks.
    pub live: usize,
    /// Blocks in caches.
    pub cached: usize,
    /// Blocks in bins.
    pub binned: usize,
}

/// What is wrong, and at which granule, bin or size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken(pub &'static str, pub usize);

fn hold(holds: bool, rule: &'static str, at: usize) -> Result<(), Broken> {
    if holds { Ok(()) } else { Err(Broken(rule, at)) }
}

impl<S: Scale> RegionHeap<S> {
    /// Checks all that can be checked from inside. As long as the regions are.
    ///
    /// # Errors
    /// The first thing found wrong.
    #[doc(hidden)]
    pub fn audit(&self) -> Result<Audit, Broken> {
        let mut found = Audit::default();
        for ground in self.regions() {
            ground.audit(&mut found)?;
        }
        Ok(found)
    }
}

impl<S: Scale> Ground<S> {
    fn audit(self, found: &mut Audit) -> Result<(), Broken> {
        let (first, limit) = self.get(|control| (control.first, control.limit));
        hold((0..first).all(|granule| !self.bit(granule)), "a bit of control data is set", 0)?;
        hold(self.bits(limit) & 0b11 == 0b11, "the edge is not marked", limit)?;
        let binned = self.audit_bins()?;
        let cached = self.audit_caches()?;
        let set = (first..limit).filter(|&granule| self.bit(granule)).count();
        hold(set >= binned + 2 * cached, "bits are missing", set)?;
        found.live += set - binned - 2 * cached;
        found.cached += cached;
        found.binned += binned;
        Ok(())
    }

    fn audit_bins(self) -> Result<usize, Broken> {
        let (mut blocks, mut granules) = (0, 0);
        for bin in 0..bins::<S>() {
            let mut place = bin;
            let mut block = self.head(bin);
            let holds = !Self::MAPPED || self.is_mapped(bin) == (block != 0);
            hold(holds, "the map disagrees with the bin", bin)?;
            while block != 0 {
                hold(self.place(block) == place, "a link does not lead back", block)?;
                let size = self.audit_binned(block, bin)?;
                (blocks, granules) = (blocks + 1, granules + size);
                (place, block) = (Self::link_of(block), self.next(block));
            }
        }
        let end = bins::<S>();
        hold(!Self::MAPPED || self.is_mapped(end), "the map has no end", end)?;
        hold(granules == self.get(|control| control.free), "free memory is miscounted", granules)?;
        Ok(blocks)
    }

    fn is_mapped(self, bin: usize) -> bool {
        self.map(bin / usize::BITS as usize) >> (bin % usize::BITS as usize) & 1 != 0
    }

    /// Size of a block in a bin.
    fn audit_binned(self, block: usize, bin: usize) -> Result<usize, Broken> {
        let (first, limit) = self.get(|control| (control.first, control.limit));
        hold(first <= block && block < limit, "a free block is outside", block)?;
        let size = self.size(block);
        let end = block + size;
        hold(size >= SMALLEST && end <= limit, "a size is out of bounds", block)?;
        hold(bin_of::<S>(size) == bin, "a block is in the wrong bin", block)?;
        hold(self.size_before(end) == size, "the sizes at both ends differ", block)?;
        let inner = (block..end - 1).all(|granule| !self.bit(granule));
        hold(inner && self.bit(end - 1), "a free block has wrong bits", block)?;
        hold(self.bit(end), "two free blocks were not joined", end)?;
        Ok(size)
    }

    fn audit_caches(self) -> Result<usize, Broken> {
        let (first, limit) = self.get(|control| (control.first, control.limit));
        let (mut blocks, mut granules) = (0, 0);
        for used in 0..S::CACHED {
            let (mut block, size) = (self.cache(used), whole(used));
            hold(block == 0 || used > 0, "a cache of no size has a block", used)?;
            while block != 0 {
                hold(first <= block && block + size <= limit, "a cached block is outside", block)?;
                let start = self.bit(block) && self.bit(block + 1);
                let rest = (block + SMALLEST..block + size).all(|granule| !self.bit(granule));
                hold(start && rest, "a cached block has wrong bits", block)?;
                hold(self.size_before(block + 1) == MARK, "a cached block has no mark", block)?;
                let short = size == SMALLEST && self.size_before(block + SMALLEST) != 0;
                hold(!short, "a short cached block looks binned", block)?;
                (blocks, granules) = (blocks + 1, granules + used);
                hold(granules <= limit, "a cache has no end", used)?;
                block = self.next(block);
            }
        }
        hold(granules == self.get(|control| control.cached()), "caches are miscounted", granules)?;
        Ok(blocks)
    }
}
