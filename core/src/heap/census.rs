//! Counting what is where: [`Heap::stats`]. Floor: roof.

use super::Heap;
use crate::{
    arena::{Arena, Entry},
    gate::tier_of,
    geometry::{Geometry, shape_of},
    platform::Platform,
    size_class::SizeClass,
    slab::Slab,
    stats::{BlockStats, ClassStats, Events, Stats, Superslabs},
    tiny::cold,
};

impl<P: Platform> Heap<P> {
    /// Counts what the heap holds and did. Walks all slabs without stopping the threads that use
    /// them.
    pub fn stats(&self) -> Stats {
        let mut stats = Stats {
            classes: [ClassStats::default(); SizeClass::COUNT],
            large: BlockStats::default(),
            huge: BlockStats::default(),
            events: Events::default(),
            superslabs: Superslabs::default(),
            reserved_bytes: 0,
            committed_bytes: 0,
            dirty_bytes: 0,
            threads: 0,
        };
        for class in SizeClass::all() {
            stats.classes[class.index()].block_bytes = class.bytes() as u32;
        }
        let Some(arena) = self.shared.arena() else { return stats };
        let mut heaps = 0;
        if let Some(pool) = self.shared.lock() {
            stats.large = pool.large_blocks();
            stats.huge = pool.huge_blocks();
            stats.superslabs = pool.supers.counts();
            stats.dirty_bytes = pool.spans.dirty_units() as usize * P::Geometry::UNIT;
            stats.threads = pool.threads;
            pool.meter.add_to(&mut stats.events);
            pool.dead.add_to(&mut stats.events);
            heaps = pool.heaps_made;
        }
        cold::add_meters::<P>(arena, heaps, &mut stats.events);
        stats.reserved_bytes = arena.reserved_bytes();
        let committed = self.shared.committed();
        stats.committed_bytes = committed as usize * P::Geometry::UNIT;
        for superslab in 0..committed / P::Geometry::SUPERSLAB_UNITS {
            count_superslab(arena, superslab * P::Geometry::SUPERSLAB_UNITS, &mut stats.classes);
        }
        stats
    }
}

fn count_superslab<G: Geometry>(arena: &Arena<G>, first: u32, classes: &mut [ClassStats]) {
    // Pinned, it stays a superslab while we read.
    let Some(_guard) = tier_of(arena, first).pin() else { return };
    let mut unit = first;
    while unit < first + G::SUPERSLAB_UNITS {
        let entry = arena.route(unit);
        if entry == Entry::NONE || entry.owner() == Entry::LARGE {
            unit += 1;
            continue;
        }
        let class = entry.class();
        let units = shape_of::<G>(class).units;
        if arena.slab_head(unit, units) != unit {
            // The slab is changing hands this moment, and of its entries we saw the first before
            // and this one after (or the other way round). Read from here it would end beyond its
            // superslab.
            unit += 1;
            continue;
        }
        let slab = Slab::at(arena, unit, class);
        let (used, live) = (u64::from(slab.prefix.used.get()), slab.live_blocks());
        // A prefix in a slab's tail is something else's bytes as soon as the slab is gone.
        if arena.route(unit) == entry {
            let sum = &mut classes[class.index()];
            sum.slabs += 1;
            sum.live_blocks += live;
            sum.cached_blocks += used.saturating_sub(live);
        }
        unit += u32::from(units);
    }
}
