//! The layout of the reservation, and making its parts usable. Floor: 1st.

use super::Arena;
use crate::{
    address::align_up,
    geometry::Geometry,
    pages::{OutOfPages, PageProvider, Region},
    prefix::Prefix,
    span::SpanRecord,
    superslab::Superslab,
};
use core::{marker::PhantomData, ptr::NonNull};

/// The heap records that a range is to have room for.
#[derive(Clone, Copy, Debug)]
pub struct Records {
    /// Bytes of one, with its magazines.
    pub bytes: usize,
    /// The most that are of use.
    pub most: u32,
}

/// Sizes and offsets of the tables for a number of units.
struct Plan {
    route: usize,
    spans: usize,
    prefixes: usize,
    bitmaps: usize,
    live: usize,
    memory: usize,
    supers: usize,
    serving: usize,
    heaps: usize,
    heap_count: u32,
    /// Bytes of all tables.
    tables: usize,
}

impl<G: Geometry> Arena<G> {
    const fn plan(units: u32, records: Records, page: usize) -> Plan {
        let n = units as usize;
        let supers_n = n / G::SUPERSLAB_UNITS as usize;
        let tables = if Self::TABLE_PREFIXES { n } else { 0 };
        let route = 0;
        let spans = route + align_up(n * size_of::<u32>(), page);
        let prefixes = spans + align_up(n * size_of::<SpanRecord>(), page);
        let bitmaps = prefixes + align_up(tables * size_of::<Prefix>(), page);
        let live = bitmaps + align_up(tables * Self::BITS_BYTES, page);
        let memory = live + align_up(n * Self::BITS_BYTES, page);
        let supers = memory + align_up(Self::memory_bytes(units), page);
        let serving = supers + align_up(supers_n * size_of::<Superslab>(), page);
        let heaps = serving + align_up(supers_n.div_ceil(64) * 8 * Superslab::LISTS, page);
        // At most an eighth of the range for heap records; threads beyond that share the pool.
        let heap_bytes = align_up(records.bytes, page);
        let heap_count = n * G::UNIT / 8 / heap_bytes;
        let heap_count = if heap_count == 0 { 1 } else { heap_count };
        let most = if records.most < G::MAX_HEAPS { records.most } else { G::MAX_HEAPS };
        let heap_count = if heap_count < most as usize { heap_count as u32 } else { most };
        let after = heaps + heap_count as usize * heap_bytes;
        Plan {
            route,
            spans,
            prefixes,
            bitmaps,
            live,
            memory,
            supers,
            serving,
            heaps,
            heap_count,
            tables: after,
        }
    }

    /// Reserves the range: as many units as the provider grants, halving from the geometry's
    /// maximum.
    ///
    /// # Errors
    /// [`OutOfPages`] if not even the geometry's minimum is to be had.
    pub fn reserve<P: PageProvider>(pages: &P, records: Records) -> Result<Self, OutOfPages> {
        if let Some(region) = pages.fixed() {
            return Self::within(region, records, P::PAGE);
        }
        let step = G::SUPERSLAB_UNITS;
        let mut units = G::MAX_UNITS;
        loop {
            let plan = Self::plan(units, records, P::PAGE);
            let blocks = align_up(plan.tables, G::SUPERSLAB);
            match pages.reserve(blocks + units as usize * G::UNIT, G::SUPERSLAB) {
                Ok(region) => return Ok(Self::over(region.start, blocks, units, &plan)),
                Err(OutOfPages) => units = units / 2 / step * step,
            }
            if units < G::MIN_UNITS {
                return Err(OutOfPages);
            }
        }
    }

    /// The most whole superslabs that fit a region beside their tables, which fill the place before
    /// the first.
    fn within(region: Region, records: Records, page: usize) -> Result<Self, OutOfPages> {
        let start = region.start.addr().get();
        let blocks = |units| {
            let end = start.checked_add(Self::plan(units, records, page).tables)?;
            Some(end.checked_next_multiple_of(G::SUPERSLAB)? - start)
        };
        let step = G::SUPERSLAB_UNITS;
        let (mut most, mut too_many) = (0, G::MAX_UNITS / step + 1);
        while too_many - most > 1 {
            let middle = most + (too_many - most) / 2;
            let bytes = (middle * step) as usize * G::UNIT;
            let room = blocks(middle * step).and_then(|blocks| region.bytes.checked_sub(blocks));
            if room.is_some_and(|room| bytes <= room) { most = middle } else { too_many = middle }
        }
        let units = most * step;
        match blocks(units) {
            Some(blocks) if units >= G::MIN_UNITS => {
                let plan = Self::plan(units, records, page);
                Ok(Self::over(region.start, blocks, units, &plan))
            }
            _ => Err(OutOfPages),
        }
    }

    fn over(meta: NonNull<u8>, blocks: usize, units: u32, plan: &Plan) -> Self {
        // SAFETY: the tables end before the blocks, and those inside the region.
        let at = |offset: usize| unsafe { meta.add(offset) };
        Self {
            meta,
            base: at(blocks),
            units,
            heap_count: plan.heap_count,
            route: at(plan.route).cast(),
            spans: at(plan.spans).cast(),
            prefixes: at(plan.prefixes).cast(),
            bitmaps: at(plan.bitmaps),
            live: at(plan.live),
            memory: at(plan.memory).cast(),
            supers: at(plan.supers).cast(),
            serving: at(plan.serving).cast(),
            heaps: at(plan.heaps),
            geometry: PhantomData,
        }
    }

    /// The tables that grow with the units, each with the bytes that 64 units need.
    fn growing(&self) -> [(NonNull<u8>, usize); 6] {
        let tables = usize::from(Self::TABLE_PREFIXES);
        let per_super = (size_of::<Superslab>() * 64).div_ceil(G::SUPERSLAB_UNITS as usize);
        [
            (self.route.cast(), 64 * size_of::<u32>()),
            (self.spans.cast(), 64 * size_of::<SpanRecord>()),
            (self.prefixes.cast(), 64 * size_of::<Prefix>() * tables),
            (self.bitmaps, 64 * Self::BITS_BYTES * tables),
            (self.live, 64 * Self::BITS_BYTES),
            (self.supers.cast(), per_super),
        ]
    }

    /// Bytes of the dirty and the purged bits of so many units.
    const fn memory_bytes(units: u32) -> usize {
        (units as usize).div_ceil(64) * 2 * size_of::<u64>()
    }

    /// The two small tables that searches use from their first to their last word, and their bytes.
    fn searched(&self, page: usize) -> [(NonNull<u8>, usize); 2] {
        let memory = Self::memory_bytes(self.units);
        let serving = self.serving_words() * 8 * Superslab::LISTS;
        [
            (self.memory.cast(), align_up(memory, page)),
            (self.serving.cast(), align_up(serving, page)),
        ]
    }

    /// Bytes of a growing table that are committed for the units below `to`.
    fn grown(bytes_per_64: usize, to: u32, page: usize) -> usize {
        align_up((to as usize * bytes_per_64).div_ceil(64), page)
    }

    /// Bytes of tables that are committed while `units` units are.
    pub fn table_bytes(&self, units: u32, page: usize) -> usize {
        if units == 0 {
            return 0;
        }
        let growing: usize =
            self.growing().iter().map(|&(_, bytes)| Self::grown(bytes, units, page)).sum();
        growing + self.searched(page).iter().map(|&(_, bytes)| bytes).sum::<usize>()
    }

    /// Commits blocks and tables for the units `from..to`.
    ///
    /// # Errors
    /// [`OutOfPages`]; what was committed on the way stays so, and committing again is harmless.
    pub fn commit<P: PageProvider>(&self, pages: &P, from: u32, to: u32) -> Result<(), OutOfPages> {
        for (table, bytes_per_64) in self.growing() {
            let grown = |units| Self::grown(bytes_per_64, units, P::PAGE);
            Self::commit_table(pages, table, grown(from), grown(to))?;
        }
        if from == 0 {
            for (table, bytes) in self.searched(P::PAGE) {
                Self::commit_table(pages, table, 0, bytes)?;
            }
        }
        if !P::TOUCHABLE {
            // Each block's units are populated when they are taken into use.
            return Ok(());
        }
        Self::commit_bytes(pages, self.base, from as usize * G::UNIT, to as usize * G::UNIT)
    }

    /// Makes a part of a table usable, and has it read as zero (A2).
    fn commit_table<P: PageProvider>(
        pages: &P,
        table: NonNull<u8>,
        low: usize,
        high: usize,
    ) -> Result<(), OutOfPages> {
        Self::commit_bytes(pages, table, low, high)?;
        if !P::ZEROED {
            // SAFETY: just committed, and not in use before this call succeeds.
            unsafe { table.add(low).write_bytes(0, high.saturating_sub(low)) };
        }
        Ok(())
    }

    fn commit_bytes<P: PageProvider>(
        pages: &P,
        table: NonNull<u8>,
        low: usize,
        high: usize,
    ) -> Result<(), OutOfPages> {
        if high <= low {
            return Ok(());
        }
        // SAFETY: `low..high` lies inside the table, so inside the reservation.
        let range = Region { start: unsafe { table.add(low) }, bytes: high - low };
        // SAFETY: the range is part of the region that `reserve` returned.
        unsafe { pages.commit(range) }
    }

    /// Units that share a page of the bit tables; a word of the unit bitmaps covers whole pages or
    /// none.
    const fn page_units(page: usize) -> u32 {
        (page / Self::BITS_BYTES) as u32
    }

    /// Gives back the pages of live bits and bitmaps that belong to free units alone: `free` has a
    /// bit for each of the 64 units from `first` on that is free, and `fresh` for those that became
    /// so. Live bits of free units are zero, as the pages read afterwards; what slabs there wrote
    /// into their bitmaps is forgotten.
    pub fn forget<P: PageProvider>(&self, pages: &P, first: u32, free: u64, fresh: u64) {
        let share = Self::page_units(P::PAGE);
        if !P::TOUCHABLE || !(1..=64).contains(&share) {
            return;
        }
        let group = u64::MAX >> (64 - share);
        let goes = |at: u32| at < 64 && free >> at & group == group && fresh >> at & group != 0;
        let mut at = 0;
        while at < 64 {
            let from = at;
            while goes(at) {
                at += share;
            }
            if at > from {
                self.forget_units(pages, first + from, at - from);
            }
            at += share;
        }
    }

    fn forget_units<P: PageProvider>(&self, pages: &P, first: u32, units: u32) {
        for table in [Some(self.live), Self::TABLE_PREFIXES.then_some(self.bitmaps)] {
            let Some(table) = table else { continue };
            // SAFETY: the units are committed, so their places in the table are (A1).
            let start = unsafe { table.add(first as usize * Self::BITS_BYTES) };
            let range = Region { start, bytes: units as usize * Self::BITS_BYTES };
            // SAFETY: nobody needs the content: see `forget`.
            unsafe { pages.purge(range) };
        }
        if Self::TABLE_PREFIXES {
            let formatted = |unit: u32| &self.prefix(unit, 1).formatted;
            let slabs = (first..first + units).filter(|&unit| formatted(unit).get() != 0);
            slabs.for_each(|unit| formatted(unit).set(0));
        }
    }

    /// Commits the memory of heap `number` (from 0).
    ///
    /// # Errors
    /// [`OutOfPages`]
    pub fn commit_heap<P: PageProvider>(
        &self,
        pages: &P,
        number: u32,
        heap_bytes: usize,
    ) -> Result<NonNull<u8>, OutOfPages> {
        let stride = align_up(heap_bytes, P::PAGE);
        let low = number as usize * stride;
        Self::commit_table(pages, self.heaps, low, low + stride)?;
        // SAFETY: number < heap_count, so the place is inside the heaps' table.
        Ok(unsafe { self.heaps.add(low) })
    }

    /// The memory of heap `number`, committed before.
    pub fn heap_start<P: PageProvider>(&self, number: u32, heap_bytes: usize) -> NonNull<u8> {
        debug_assert!(number < self.heap_count);
        // SAFETY: as in `commit_heap`.
        unsafe { self.heaps.add(number as usize * align_up(heap_bytes, P::PAGE)) }
    }
}
