//! What a stretch of time cost: in time that slow paths took, and in memory that served nobody.
//! Floor: garden.
//!
//! | cost | is |
//! |---|---|
//! | time | nanoseconds of WARM and COLD work per millisecond: parts per million of one thread's time |
//! | memory | resident free memory, per million of what is resident |
//!
//! HOT counts nothing, so the program's own work is not seen. Two stretches are therefore compared
//! twice: by the millisecond, which is right while the program works at the same pace, and by the
//! block that passed a magazine, which is right when its pace changed. Only what both say counts.

use super::Seen;
use crate::stats::Events;

/// Nanoseconds that events take, above what HOT takes. Measured on a 2-core guest (Host geometry,
/// one thread, blocks of 64 and 512 bytes, release build) by loops that do little else: fill 256
/// MiB and free it with refills of 4 and of 64 blocks, bursts that fit the depot, batches freed by
/// another thread, 64 MiB touched, freed and purged.
mod ns {
    /// A refill, whatever it brings.
    pub const REFILL: u64 = 33;
    /// A block that it brings from a slab.
    pub const TAKEN: u64 = 1;
    /// Half a magazine that goes to the depot, or comes from it.
    pub const CHUNK: u64 = 70;
    /// A block that goes back into its slab.
    pub const FLUSHED: u64 = 4;
    /// A block that is sent home.
    pub const SENT: u64 = 5;
    /// A block that came home.
    pub const DRAINED: u64 = 3;
    /// The pool's lock for a slab or a block. Chosen: not told apart by the loops above.
    pub const LOCK: u64 = 200;
    /// A slab that is carved, its prefix and bitmap written. Chosen, as above.
    pub const CARVED: u64 = 500;
    /// 1 MiB given back: 256 pages in one call.
    pub const PURGED_MIB: u64 = 80_000;
    /// 1 MiB taken into use again: 256 faults of 1.5 µs.
    pub const REFAULTED_MIB: u64 = 390_000;
}

/// At equal weights a share of the time is worth this many times that share of the memory. Chosen:
/// who takes a caching allocator pays for time with memory.
const EXCHANGE: u64 = 8;
/// Thousandths of [`crate::Dial::MemoryWeight`] in the whole.
const WHOLE: u64 = 1000;

/// Nanoseconds that the slow paths took.
#[must_use]
pub fn slow_ns(events: &Events) -> u64 {
    let mib = |bytes: u64, ns: u64| (bytes >> 10).saturating_mul(ns) >> 10;
    let terms = [
        (events.refills, ns::REFILL),
        (events.refilled_blocks, ns::TAKEN),
        (events.depot_hits, ns::CHUNK),
        (events.overflows, ns::CHUNK),
        (events.flushed_blocks, ns::FLUSHED),
        (events.remote_sent, ns::SENT),
        (events.remote_drained, ns::DRAINED),
        (events.warm_hits, ns::LOCK),
        (events.warm_misses, ns::LOCK + ns::CARVED),
        (events.adopted_slabs, ns::LOCK),
        (events.pool_frees, ns::LOCK),
        (events.purges, ns::LOCK),
        (events.strays, ns::LOCK),
    ];
    let calls =
        terms.iter().fold(0, |sum: u64, (count, ns)| sum.saturating_add(count.saturating_mul(*ns)));
    calls
        .saturating_add(mib(events.purged_bytes, ns::PURGED_MIB))
        .saturating_add(mib(events.refaulted_bytes, ns::REFAULTED_MIB))
}

/// Some turns, added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Epoch {
    turns: u32,
    span_ms: u64,
    slow_ns: u64,
    blocks: u64,
    /// Milliseconds times parts per million.
    waste: u64,
}

/// What one stretch is against another: how much more it costs, in thousandths. `None`: there is
/// nothing to tell, or the two ways to compare contradict each other.
pub type Difference = Option<i64>;

impl Epoch {
    /// No turns.
    pub const EMPTY: Self = Self { turns: 0, span_ms: 0, slow_ns: 0, blocks: 0, waste: 0 };

    /// Adds a turn.
    pub fn add(&mut self, seen: &Seen) {
        self.turns = self.turns.saturating_add(1);
        self.span_ms = self.span_ms.saturating_add(seen.span_ms);
        self.slow_ns = self.slow_ns.saturating_add(slow_ns(&seen.events));
        let blocks = seen.events.refilled_blocks.saturating_add(seen.events.remote_sent);
        self.blocks = self.blocks.saturating_add(blocks);
        let free = seen.levels.dirty_bytes;
        let resident = seen.levels.used_bytes.saturating_add(free).max(1);
        let ppm = u128::from(free) * 1_000_000 / u128::from(resident);
        self.waste = self.waste.saturating_add((ppm as u64).saturating_mul(seen.span_ms));
    }

    /// Both together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self {
            turns: self.turns.saturating_add(other.turns),
            span_ms: self.span_ms.saturating_add(other.span_ms),
            slow_ns: self.slow_ns.saturating_add(other.slow_ns),
            blocks: self.blocks.saturating_add(other.blocks),
            waste: self.waste.saturating_add(other.waste),
        }
    }

    /// Whether it has so many turns, and they took five milliseconds each or more.
    #[must_use]
    pub const fn has(&self, turns: u32) -> bool {
        self.turns >= turns && self.span_ms >= turns as u64 * 5
    }

    /// Parts per million of a thread's time that slow paths took.
    #[must_use]
    pub fn time_ppm(&self) -> u64 {
        self.slow_ns / self.span_ms.max(1)
    }

    /// Parts per million of what is resident that nobody used.
    #[must_use]
    pub fn memory_ppm(&self) -> u64 {
        self.waste / self.span_ms.max(1)
    }

    /// What time counts for where memory weighs `weight` thousandths, and what memory does.
    #[must_use]
    pub fn parts(&self, weight: u32) -> (u64, u64) {
        let weight = u64::from(weight).min(WHOLE);
        let memory = self.memory_ppm() / EXCHANGE;
        (self.time_ppm().saturating_mul(WHOLE - weight) / WHOLE, memory * weight / WHOLE)
    }

    /// How much more it costs than `other`, in thousandths of the larger of what `other` costs and
    /// `least`, which is what does not matter: parts per million of the time.
    #[must_use]
    pub fn against(&self, other: &Self, weight: u32, least: u64) -> Difference {
        let (time, memory) = self.parts(weight);
        let (old_time, old_memory) = other.parts(weight);
        let difference = |time: u64| {
            let (new, old) = (time.saturating_add(memory), old_time.saturating_add(old_memory));
            let thousandths = (i128::from(new) - i128::from(old)) * 1000;
            (thousandths / i128::from(old.max(least).max(1))) as i64
        };
        let by_time = difference(time);
        if self.blocks == 0 || other.blocks == 0 || self.slow_ns == 0 {
            return Some(by_time);
        }
        // What this one would have taken, had as many blocks passed in a millisecond as in the
        // other.
        let ours = u128::from(self.blocks) * u128::from(other.span_ms);
        let theirs = u128::from(other.blocks) * u128::from(self.span_ms);
        let by_block = difference((u128::from(time) * theirs / ours.max(1)) as u64);
        if by_time.signum() * by_block.signum() < 0 {
            return None;
        }
        Some(if by_time.abs() < by_block.abs() { by_time } else { by_block })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(ms: u64, refills: u64, blocks: u64, free: u64) -> Epoch {
        let mut seen = Seen::new();
        seen.span_ms = ms;
        seen.events.refills = refills;
        seen.events.refilled_blocks = blocks;
        seen.levels.used_bytes = 100 << 20;
        seen.levels.dirty_bytes = free << 20;
        let mut epoch = Epoch::EMPTY;
        epoch.add(&seen);
        epoch
    }

    #[test]
    fn twice_the_load_at_the_same_price_is_no_difference() {
        let (calm, busy) = (epoch(100, 10_000, 640_000, 0), epoch(100, 20_000, 1_280_000, 0));
        assert_eq!(busy.against(&calm, 0, 0), Some(0));
        assert_eq!(calm.against(&busy, 0, 0), Some(0));
    }

    #[test]
    fn the_same_blocks_in_smaller_refills_cost_more() {
        let (large, small) = (epoch(100, 10_000, 640_000, 0), epoch(100, 160_000, 640_000, 0));
        assert!(small.against(&large, 0, 0).is_some_and(|worse| worse > 1000));
        assert!(large.against(&small, 0, 0).is_some_and(|worse| worse < -500));
    }

    #[test]
    fn the_weight_decides_between_time_and_memory() {
        let (lean, fast) = (epoch(100, 160_000, 640_000, 0), epoch(100, 10_000, 640_000, 60));
        assert!(fast.against(&lean, 0, 0).is_some_and(|difference| difference < 0));
        assert!(fast.against(&lean, 1000, 0).is_some_and(|difference| difference > 0));
    }

    #[test]
    fn what_does_not_matter_makes_no_difference() {
        let (some, twice) = (epoch(100, 10, 640, 0), epoch(100, 20, 640, 0));
        assert!(twice.against(&some, 0, 10_000).is_some_and(|difference| difference < 10));
    }

    #[test]
    fn counts_beyond_all_measure_do_not_overflow() {
        let mut seen = Seen::new();
        seen.span_ms = u64::from(u32::MAX);
        let most = u64::from(u32::MAX);
        seen.events = Events::of([most; crate::meter::COUNTERS]);
        let mut epoch = Epoch::EMPTY;
        epoch.add(&seen);
        assert!(epoch.with(epoch).against(&epoch, 500, 0).is_some());
    }
}
