//! Runs of units: best fit, coalescing, and which free units still hold memory of the system.
//! Floor: 1st. Everything here happens under the pool's lock.
//!
//! Free runs are kept in bins by length (exact up to 64 units, then one bin a doubling). The first
//! and last record of every run say what it is, so neighbours are found without a search:
//! * S1 `span(head)` and `span(head + units - 1)` of a free run carry kind Free and its length.
//! * S2 `span(last)` of a run in use is not Free.
//! * S3 A set dirty bit belongs to a free unit: a unit of a free run, a free unit of a superslab,
//!   or of an empty slab in the warm pool. `dirty_units` counts the set bits.
//! * S4 A dirty unit was in use since it was last purged; so it has memory, if its provider
//!   populates.
//! * S5 A set purged bit belongs to a free unit that is not dirty, and was purged since it was last
//!   in use.

use crate::{arena::Arena, geometry::Geometry, pages::Purged, prefix::NO_UNIT};
use core::cell::Cell;

/// What a run of units is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum SpanKind {
    /// In the middle of a run, or never used.
    Inner = 0,
    /// Free.
    Free = 1,
    /// A large block.
    Large = 2,
    /// A superslab.
    Superslab = 3,
}

/// Record of one unit; meaningful at the first and last unit of a run.
#[derive(Debug)]
pub struct SpanRecord {
    kind: Cell<SpanKind>,
    units: Cell<u32>,
    next: Cell<u32>,
    prev: Cell<u32>,
}

const _: () = assert!(size_of::<SpanRecord>() == 16);

impl SpanRecord {
    /// What the run is that begins here.
    pub fn kind(&self) -> SpanKind {
        self.kind.get()
    }

    /// Length in units of the run that begins here.
    pub fn units(&self) -> u32 {
        self.units.get()
    }

    /// A number that the user of a unit inside a superslab keeps here.
    pub fn count(&self) -> u32 {
        self.next.get()
    }

    /// Sets that number.
    pub fn set_count(&self, count: u32) {
        self.next.set(count);
    }

    /// Usable bytes of the large block that begins here.
    pub fn large_bytes(&self) -> usize {
        debug_assert_eq!(self.kind.get(), SpanKind::Large);
        (u64::from(self.prev.get()) << 32 | u64::from(self.next.get())) as usize
    }

    /// Notes the usable bytes of the large block that begins here.
    pub fn set_large_bytes(&self, bytes: usize) {
        self.next.set(bytes as u32);
        self.prev.set((bytes as u64 >> 32) as u32);
    }
}

/// What units were before they were taken into use; the others were never in use, and read as zero
/// where the provider's memory does ([`crate::PageProvider::ZEROED`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Units that may hold what an earlier user left.
    pub dirty: u32,
    /// Units whose memory was given back to the system and now comes back.
    pub purged: u32,
}

const EXACT_BINS: u32 = 64;
const BINS: usize = 96;
/// Runs that a search looks at in one bin of mixed lengths before it takes the best it saw.
const SEARCH_LIMIT: usize = 256;

/// The free runs, and the count of dirty units.
#[derive(Debug)]
pub struct Spans {
    bins: [u32; BINS],
    filled: u128,
    committed: u32,
    free_units: u32,
    dirty_units: u32,
    /// The least that `dirty_units` was since this was last asked.
    dirty_low: u32,
    /// End of the words of dirty bits in which a purge looks next.
    purge_end: usize,
}

impl Spans {
    /// No runs.
    #[must_use]
    pub const fn new() -> Self {
        let bins = [NO_UNIT; BINS];
        Self {
            bins,
            filled: 0,
            committed: 0,
            free_units: 0,
            dirty_units: 0,
            dirty_low: 0,
            purge_end: 0,
        }
    }

    /// Units committed so far; all below are in some run.
    pub fn committed(&self) -> u32 {
        self.committed
    }

    /// Units of free runs.
    pub fn free_units(&self) -> u32 {
        self.free_units
    }

    /// Free units (S3) that may hold memory of the system.
    pub fn dirty_units(&self) -> u32 {
        self.dirty_units
    }

    /// The least that [`Self::dirty_units`] was since this was last asked.
    pub fn take_low(&mut self) -> u32 {
        core::mem::replace(&mut self.dirty_low, self.dirty_units)
    }

    fn bin_of(units: u32) -> usize {
        if units <= EXACT_BINS {
            units as usize - 1
        } else {
            (EXACT_BINS + units.ilog2() - EXACT_BINS.ilog2()) as usize
        }
    }

    fn link<G: Geometry>(&mut self, arena: &Arena<G>, head: u32, units: u32) {
        let bin = Self::bin_of(units);
        let next = self.bins[bin];
        for unit in [head, head + units - 1] {
            arena.span(unit).kind.set(SpanKind::Free);
            arena.span(unit).units.set(units);
        }
        let record = arena.span(head);
        record.next.set(next);
        record.prev.set(NO_UNIT);
        if next != NO_UNIT {
            arena.span(next).prev.set(head);
        }
        self.bins[bin] = head;
        self.filled |= 1 << bin;
        self.free_units += units;
    }

    fn unlink<G: Geometry>(&mut self, arena: &Arena<G>, head: u32) {
        let record = arena.span(head);
        let (next, prev) = (record.next.get(), record.prev.get());
        if next != NO_UNIT {
            arena.span(next).prev.set(prev);
        }
        if prev == NO_UNIT {
            let bin = Self::bin_of(record.units());
            self.bins[bin] = next;
            if next == NO_UNIT {
                self.filled &= !(1 << bin);
            }
        } else {
            arena.span(prev).next.set(next);
        }
        self.free_units -= record.units();
    }

    /// Adds freshly committed units as a free run.
    pub fn extend<G: Geometry>(&mut self, arena: &Arena<G>, to: u32) {
        let from = self.committed;
        self.committed = to;
        self.free(arena, from, to - from);
    }

    /// Best fit: a run of `units` whose first byte is aligned to `align` units.
    #[inline(never)]
    pub fn take<G: Geometry>(
        &mut self,
        arena: &Arena<G>,
        units: u32,
        align: u32,
        kind: SpanKind,
    ) -> Option<u32> {
        let (run, head) = self.find(arena, units, align)?;
        let length = arena.span(run).units();
        self.unlink(arena, run);
        if head > run {
            self.link(arena, run, head - run);
        }
        let end = head + units;
        if run + length > end {
            self.link(arena, end, run + length - end);
        }
        Self::occupy(arena, head, units, kind);
        Some(head)
    }

    fn occupy<G: Geometry>(arena: &Arena<G>, head: u32, units: u32, kind: SpanKind) {
        arena.span(head + units - 1).kind.set(SpanKind::Inner);
        arena.span(head).kind.set(kind);
        arena.span(head).units.set(units);
    }

    fn find<G: Geometry>(&self, arena: &Arena<G>, units: u32, align: u32) -> Option<(u32, u32)> {
        // Distance of the heap's first unit from such an address.
        let bias = ((arena.base().addr().get() >> G::UNIT_SHIFT) % align as usize) as u32;
        let mut bins = self.filled >> Self::bin_of(units) << Self::bin_of(units);
        while bins != 0 {
            let bin = bins.trailing_zeros() as usize;
            bins &= bins - 1;
            let mut best: Option<(u32, u32)> = None;
            let mut run = self.bins[bin];
            for _ in 0..SEARCH_LIMIT {
                if run == NO_UNIT {
                    break;
                }
                let length = arena.span(run).units();
                let head = (run + bias).next_multiple_of(align) - bias;
                let fits = head <= run + length && units <= run + length - head;
                if fits && best.is_none_or(|(other, _)| length < arena.span(other).units()) {
                    best = Some((run, head));
                    if length == units || bin < EXACT_BINS as usize {
                        break;
                    }
                }
                run = arena.span(run).next.get();
            }
            if best.is_some() {
                return best;
            }
        }
        None
    }

    /// Makes a run free and joins it with free neighbours.
    #[inline(never)]
    pub fn free<G: Geometry>(&mut self, arena: &Arena<G>, head: u32, units: u32) {
        let (mut head, mut end) = (head, head + units);
        if head > 0 && arena.span(head - 1).kind.get() == SpanKind::Free {
            head -= arena.span(head - 1).units();
            self.unlink(arena, head);
        }
        if end < self.committed && arena.span(end).kind.get() == SpanKind::Free {
            let next = end;
            end += arena.span(next).units();
            self.unlink(arena, next);
        }
        self.link(arena, head, end - head);
    }

    /// Makes the run in use at `head` `units` long: gives its end back, or takes what is missing
    /// from a free run right behind it. `false`: no such run, nothing changed.
    pub fn resize<G: Geometry>(&mut self, arena: &Arena<G>, head: u32, units: u32) -> bool {
        let kind = arena.span(head).kind.get();
        let old = arena.span(head).units();
        let end = head + old;
        if units < old {
            Self::occupy(arena, head, units, kind);
            self.free(arena, head + units, old - units);
        } else if units > old {
            let more = units - old;
            let is_free = end < self.committed && arena.span(end).kind.get() == SpanKind::Free;
            if !is_free || arena.span(end).units() < more {
                return false;
            }
            let spare = arena.span(end).units() - more;
            self.unlink(arena, end);
            if spare > 0 {
                self.link(arena, end + more, spare);
            }
            Self::occupy(arena, head, units, kind);
        }
        true
    }

    /// Notes that these units are free now and may hold memory (S3).
    pub fn soil<G: Geometry>(&mut self, arena: &Arena<G>, head: u32, units: u32) {
        for_words(head, units, |word, mask| {
            let bits = arena.dirty_word(word);
            self.dirty_units += (mask & !bits.get()).count_ones();
            bits.set(bits.get() | mask);
            self.purge_end = self.purge_end.max(word + 1);
        });
    }

    /// Whether all these units are dirty.
    pub fn all_dirty<G: Geometry>(&self, arena: &Arena<G>, head: u32, units: u32) -> bool {
        let mut all = true;
        for_words(head, units, |word, mask| all &= arena.dirty_word(word).get() & mask == mask);
        all
    }

    /// Notes that these units are in use now.
    pub fn unsoil<G: Geometry>(&mut self, arena: &Arena<G>, head: u32, units: u32) -> Taken {
        let mut taken = Taken { dirty: 0, purged: 0 };
        for_words(head, units, |word, mask| {
            let (dirty, purged) = (arena.dirty_word(word), arena.purged_word(word));
            taken.dirty += (mask & dirty.get()).count_ones();
            taken.purged += (mask & purged.get()).count_ones();
            dirty.set(dirty.get() & !mask);
            purged.set(purged.get() & !mask);
        });
        self.dirty_units -= taken.dirty;
        self.dirty_low = self.dirty_low.min(self.dirty_units);
        taken
    }

    /// Gives dirty units back to the system by `give`, which is told the first and the number of
    /// units of a run, until at most `keep` are left. Returns units given back. The highest go
    /// first: slabs come from the lowest superslab that has room, so what stays is what is wanted
    /// next. `forget` is told of each 64 units some of which went: the first, those that are free
    /// and without memory now, and which of them are new among those.
    #[inline(never)]
    pub fn purge<G: Geometry>(
        &mut self,
        arena: &Arena<G>,
        keep: u32,
        mut give: impl FnMut(u32, u32) -> Purged,
        mut forget: impl FnMut(u32, u64, u64),
    ) -> u32 {
        let words = (self.committed as usize).div_ceil(64);
        let mut purged = 0;
        for _ in 0..words {
            if self.dirty_units <= keep {
                break;
            }
            // Round again after what the system did not take.
            let word = self.purge_end.checked_sub(1).unwrap_or(words - 1);
            self.purge_end = word;
            let before = arena.purged_word(word).get();
            while let Some((head, units)) = first_run(arena.dirty_word(word).get(), word) {
                if give(head, units) == Purged::Kept {
                    // The content is still there, so the units are still dirty.
                    return purged;
                }
                self.unsoil(arena, head, units);
                for_words(head, units, |word, mask| {
                    let bits = arena.purged_word(word);
                    bits.set(bits.get() | mask);
                });
                purged += units;
            }
            let free = arena.purged_word(word).get();
            if free != before {
                forget(word as u32 * 64, free, free & !before);
            }
        }
        purged
    }
}

impl Default for Spans {
    fn default() -> Self {
        Self::new()
    }
}

/// The lowest run of set bits in word number `word`, as first unit and length.
fn first_run(bits: u64, word: usize) -> Option<(u32, u32)> {
    (bits != 0).then(|| {
        let low = bits.trailing_zeros();
        let length = (bits >> low).trailing_ones();
        (word as u32 * 64 + low, length)
    })
}

/// Calls `each` with the word number and mask of every word of a bitmap that the run touches.
fn for_words(head: u32, units: u32, mut each: impl FnMut(usize, u64)) {
    let (mut bit, end) = (head, head + units);
    while bit < end {
        let low = bit % 64;
        let count = (64 - low).min(end - bit);
        each((bit / 64) as usize, (u64::MAX >> (64 - count)) << low);
        bit += count;
    }
}
