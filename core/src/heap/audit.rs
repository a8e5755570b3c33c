//! The walk behind [`Heap::ledger`]. Floor: roof.

use super::Heap;
use crate::{
    address::align_up,
    arena::Entry,
    geometry::Geometry,
    ledger::{Chunks, ClassLedger, Counted, Ledger, Uses},
    pages::PageProvider,
    platform::Platform,
    pool::{Locked, Shared},
    protocol::tier::Tier,
    size_class::SizeClass,
    slab::Slab,
    span::SpanKind,
    stats::BlockStats,
    tiny::heap_bytes,
};

impl<P: Platform> Heap<P> {
    /// Walks the heap and accounts for every committed byte and every block, holding the pool's
    /// lock meanwhile. For tests and reports.
    pub fn ledger(&self) -> Ledger {
        ledger_of(&self.shared)
    }
}

pub(super) fn ledger_of<P: Platform>(shared: &Shared<P>) -> Ledger {
    let mut ledger = Ledger {
        committed_bytes: 0,
        metadata_bytes: 0,
        uses: Uses::default(),
        counted: Counted::default(),
        classes: [ClassLedger::default(); SizeClass::COUNT],
        large: BlockStats::default(),
        huge: BlockStats::default(),
        chunks: Chunks::default(),
        threads: 0,
    };
    for class in SizeClass::all() {
        ledger.classes[class.index()].block_bytes = class.bytes() as u32;
    }
    // A heap that has no range yet has nothing to account for, and asking must not make it one.
    if shared.arena().is_some()
        && let Some(pool) = shared.lock()
    {
        read_counters(&pool, &mut ledger);
        walk_spans(&pool, &mut ledger);
        // What is in use inside superslabs, and is neither routed, in reserve nor warm, holds
        // chunks.
        ledger.uses.chunks = ledger.uses.chunks.saturating_sub(ledger.uses.warm);
        let (spare, untouched, in_a_unit) = pool.chunk_counts();
        let room = ledger.uses.chunks / P::Geometry::UNIT * in_a_unit;
        ledger.chunks = Chunks { room, spare, untouched };
    }
    ledger
}

fn read_counters<P: Platform>(pool: &Locked<'_, P>, ledger: &mut Ledger) {
    let unit = P::Geometry::UNIT;
    let page = <P::Pages as PageProvider>::PAGE;
    let committed = pool.spans.committed();
    let records = pool.heaps_made as usize * align_up(heap_bytes::<P::Geometry>(), page);
    ledger.committed_bytes = committed as usize * unit;
    ledger.metadata_bytes = pool.arena.table_bytes(committed, page) + records;
    ledger.huge = pool.huge_blocks();
    ledger.threads = pool.threads;
    ledger.counted.free = pool.spans.free_units() as usize * unit;
    ledger.counted.large_blocks = pool.large_blocks().blocks;
    ledger.counted.reserved = pool.supers.reserved_units() as usize * unit;
    ledger.counted.chunks = pool.chunk_units() as usize * unit;
    ledger.counted.live_unused = pool.supers.live_free_units() as usize * unit;
    for class in SizeClass::all() {
        let bytes = usize::from(P::Geometry::CLASSES[class.index()].units) * unit;
        let (counted, listed) = pool.warm_slabs(class);
        ledger.counted.warm += counted * bytes;
        ledger.uses.warm += listed * bytes;
    }
}

fn walk_spans<P: Platform>(pool: &Locked<'_, P>, ledger: &mut Ledger) {
    let arena = pool.arena;
    let mut unit = 0;
    while unit < pool.spans.committed() {
        let record = arena.span(unit);
        let bytes = record.units() as usize * P::Geometry::UNIT;
        let uses = &mut ledger.uses;
        match record.kind() {
            SpanKind::Free => uses.free += bytes,
            SpanKind::Large if arena.route(unit) == Entry::LARGE_HEAD => {
                uses.large += bytes;
                ledger.large.blocks += 1;
                ledger.large.bytes += record.large_bytes();
            }
            SpanKind::Large => uses.huge_table += bytes,
            SpanKind::Superslab => walk_superslab(pool, unit, ledger),
            // No run begins here: the walk lost its way, and the sum will not come out.
            SpanKind::Inner => return,
        }
        unit += record.units();
    }
}

fn walk_superslab<P: Platform>(pool: &Locked<'_, P>, first: u32, ledger: &mut Ledger) {
    let arena = pool.arena;
    let end = first + P::Geometry::SUPERSLAB_UNITS;
    let superslab = arena.superslab(first / P::Geometry::SUPERSLAB_UNITS);
    let tier = superslab.tier.get();
    if tier == Tier::Free {
        return;
    }
    let mut unit = first;
    while unit < end {
        let entry = arena.route(unit);
        if entry != Entry::NONE {
            let slab = Slab::at(arena, unit, entry.class());
            let class = &mut ledger.classes[entry.class().index()];
            class.slabs += 1;
            class.capacity += u64::from(slab.prefix.capacity.get());
            class.used += u64::from(slab.prefix.used.get());
            class.live += slab.live_blocks();
            class.free += slab.free_blocks();
            ledger.uses.slabs += slab.units() as usize * P::Geometry::UNIT;
            unit += slab.units();
            continue;
        }
        let uses = &mut ledger.uses;
        let free = superslab.is_free(unit - first);
        let reserved = pool.supers.is_reserved::<P::Geometry>(unit);
        let place = match (free, reserved, tier) {
            (true, false, Tier::Live) => &mut uses.unused,
            (true, false, _) => &mut uses.draining,
            (false, true, Tier::Live) => &mut uses.reserved,
            // R1 is broken if it is in reserve: the reserve's counter will tell.
            _ => &mut uses.chunks,
        };
        *place += P::Geometry::UNIT;
        unit += 1;
    }
}
