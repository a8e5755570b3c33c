//! What a region heap holds. Floor: annex.

use super::{
    RegionHeap,
    ground::Ground,
    scale::{GRANULE, Scale, bins},
};
use core::iter::successors;

/// Snapshot of a region heap, in bytes. Found in a constant number of steps a region.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RegionStats {
    /// Regions.
    pub regions: usize,
    /// Memory claimed.
    pub claimed: usize,
    /// Of it, control data.
    pub control: usize,
    /// Of it, blocks in the program's hands.
    pub live: usize,
    /// Of it, blocks kept for the next request of their size.
    pub cached: usize,
    /// Of it, free blocks in bins.
    pub free: usize,
    /// The least that `free` ever was in each region, summed.
    pub least_free: usize,
    /// Requests of a cached size that the caches could not serve.
    pub missed: u64,
    /// Frees of a cached size that the caches had no room for.
    pub spilled: u64,
    /// Requests that no region could serve at once.
    pub refused: u64,
}

impl<S: Scale> RegionHeap<S> {
    /// What the heap holds.
    #[must_use]
    pub fn stats(&self) -> RegionStats {
        let mut stats = RegionStats::default();
        for ground in self.regions() {
            ground.get(|control| {
                stats.regions += 1;
                stats.claimed += control.limit * GRANULE;
                stats.control += control.first * GRANULE;
                stats.live +=
                    (control.limit - control.first - control.free - control.cached) * GRANULE;
                stats.cached += control.cached * GRANULE;
                stats.free += control.free * GRANULE;
                stats.least_free += control.low * GRANULE;
                stats.missed += u64::from(control.missed);
                stats.spilled += u64::from(control.spilled);
                stats.refused += u64::from(control.refused);
            });
        }
        stats
    }

    /// The largest free block in bytes, caches left alone. Looks at every free block of the last bin.
    #[must_use]
    pub fn largest_free(&self) -> usize {
        self.regions().map(Ground::largest).max().unwrap_or(0) * GRANULE
    }
}

impl<S: Scale> Ground<S> {
    fn largest(self) -> usize {
        let filled = |bin| Some(self.bin_from(bin + 1)).filter(|next| *next != bins::<S>());
        let last = successors(filled(0), |bin| filled(*bin)).last();
        let first = last.map_or(0, |bin| self.follow(Self::head(bin)));
        let blocks = successors(Some(first).filter(|block| *block != 0), |block| {
            Some(self.next(*block)).filter(|next| *next != 0)
        });
        blocks.map(|block| self.size(block)).max().unwrap_or(0)
    }
}
