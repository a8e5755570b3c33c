//! What a region heap holds. Floor: annex.

use super::{
    RegionHeap,
    ground::{Control, Ground},
    scale::{GRANULE, Scale, bins},
};
/// Snapshot of a region heap, in bytes. Found in a constant number of steps a region, and one for
/// each cached block of which eight bytes at most were used.
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
    /// The least that `free` ever was in each region, summed. Bounded scales don't keep it: what
    /// was claimed.
    pub least_free: usize,
    /// Requests of a cached size that the first region's caches could not serve. Not counted in
    /// bounded scales.
    pub missed: u64,
    /// Frees of a cached size that the caches had no room for. Not counted in bounded scales.
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
            let cached = ground.cached_granules();
            ground.get(|control| {
                stats.regions += 1;
                stats.claimed += control.limit * GRANULE;
                stats.control += control.first * GRANULE;
                stats.live += (control.limit - control.first - control.free - cached) * GRANULE;
                stats.cached += cached * GRANULE;
                stats.free += control.free * GRANULE;
                stats.least_free += control.least() * GRANULE;
                stats.missed += u64::from(control.missed);
                stats.spilled += u64::from(control.spilled);
                stats.refused += u64::from(control.refused);
            });
        }
        stats
    }

    /// The largest free block in bytes, caches left alone. Looks at every bin, and at every block
    /// of the last that has some.
    #[must_use]
    pub fn largest_free(&self) -> usize {
        self.regions().map(Ground::largest).max().unwrap_or(0) * GRANULE
    }
}

impl<S: Scale> Ground<S> {
    fn cached_granules(self) -> usize {
        // Caches count what was used of a block; of the smallest that was one granule less.
        let (used, mut unused) = (self.get(Control::cached), 0);
        let mut block = if S::CACHED > 1 { self.cache(1) } else { 0 };
        while block != 0 {
            self.expect(self.is_cached(block) && unused < used, block);
            (unused, block) = (unused + 1, self.next(block));
        }
        used + unused
    }

    fn largest(self) -> usize {
        let filled = (0..bins::<S>()).rev().find(|bin| self.head(*bin) != 0);
        let (mut most, mut place) = (0, filled.unwrap_or(0));
        loop {
            let block = self.follow(place);
            if block == 0 {
                return most;
            }
            self.expect(self.inside(block) && self.place(block) == place, block);
            most = most.max(self.size(block));
            place = Self::link_of(block);
        }
    }
}
