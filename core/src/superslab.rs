//! Superslabs: aligned runs of units that slabs are carved from, and their tiers.
//! Floor: 1st. Everything but the pins happens under the pool's lock.
//!
//! Slabs come from the lowest superslab that has room, so the upper ones empty themselves. One that is
//! used by an eighth or less while the others have room becomes Draining: it serves no more, and when
//! its last slab goes, its units return to the span allocator. If nobody else has room, a Draining one
//! is revived before the heap grows.

use crate::{
    arena::Arena,
    geometry::Geometry,
    protocol::tier::{Tier, TierWord},
    stats::Superslabs,
};
use core::cell::Cell;

/// Record of one superslab.
#[derive(Debug)]
pub struct Superslab {
    free: Cell<u64>,
    /// Tier and pins.
    pub tier: TierWord,
}

impl Superslab {
    /// Whether nothing is in this unit, counted from the first of the superslab.
    pub fn is_free(&self, unit: u32) -> bool {
        self.free.get() >> unit & 1 != 0
    }

    /// Bitmaps over superslabs: with room for slabs of 1, 2 and 4 units (Live ones only), and Draining.
    pub const LISTS: usize = 4;
}

const DRAINING: usize = 3;

/// Which units of each aligned run of 1, 2 or 4 are all free: the bit of the run's first unit.
const fn runs(free: u64, order: usize) -> u64 {
    let pairs = free & (free >> 1) & 0x5555_5555_5555_5555;
    match order {
        0 => free,
        1 => pairs,
        _ => pairs & (pairs >> 2) & 0x1111_1111_1111_1111,
    }
}

/// The superslabs of a heap.
#[derive(Debug)]
pub struct Supers {
    /// First word of each bitmap that may have a set bit; past the end before there is a superslab, when
    /// the bitmaps are not even committed.
    hints: [usize; Superslab::LISTS],
    /// Free units of Live superslabs.
    live_free: u32,
    counts: Superslabs,
}

impl Supers {
    /// None.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            hints: [usize::MAX; Superslab::LISTS],
            live_free: 0,
            counts: Superslabs { live: 0, draining: 0, released: 0 },
        }
    }

    /// Free units of Live superslabs.
    pub fn live_free(&self) -> u32 {
        self.live_free
    }

    /// Superslabs by tier.
    pub fn counts(&self) -> Superslabs {
        self.counts
    }

    fn whole<G: Geometry>() -> u64 {
        u64::MAX >> (64 - G::SUPERSLAB_UNITS)
    }

    fn list_bit<G: Geometry>(&mut self, arena: &Arena<G>, list: usize, number: u32, on: bool) {
        let (word, mask) = (number as usize / 64, 1 << (number % 64));
        let bits = arena.serving(list, word);
        if on {
            bits.set(bits.get() | mask);
            self.hints[list] = self.hints[list].min(word);
        } else {
            bits.set(bits.get() & !mask);
        }
    }

    fn relist<G: Geometry>(&mut self, arena: &Arena<G>, number: u32) {
        let superslab = arena.superslab(number);
        let tier = superslab.tier.get();
        for order in 0..DRAINING {
            let serves = tier == Tier::Live && runs(superslab.free.get(), order) != 0;
            self.list_bit(arena, order, number, serves);
        }
        self.list_bit(arena, DRAINING, number, tier == Tier::Draining);
    }

    fn first<G: Geometry>(&mut self, arena: &Arena<G>, list: usize) -> Option<u32> {
        for word in self.hints[list]..arena.serving_words() {
            let bits = arena.serving(list, word).get();
            if bits != 0 {
                self.hints[list] = word;
                return Some(word as u32 * 64 + bits.trailing_zeros());
            }
        }
        self.hints[list] = arena.serving_words();
        None
    }

    /// Takes an aligned run of `units` (1, 2 or 4) from the lowest superslab that has one.
    pub fn take<G: Geometry>(&mut self, arena: &Arena<G>, units: u32) -> Option<u32> {
        let order = units.trailing_zeros() as usize;
        let number = self.first(arena, order).or_else(|| self.revive(arena, order))?;
        let superslab = arena.superslab(number);
        let at = runs(superslab.free.get(), order).trailing_zeros();
        let mask = ((1_u64 << units) - 1) << at;
        superslab.free.set(superslab.free.get() & !mask);
        self.live_free -= units;
        self.relist(arena, number);
        Some(number * G::SUPERSLAB_UNITS + at)
    }

    fn revive<G: Geometry>(&mut self, arena: &Arena<G>, order: usize) -> Option<u32> {
        for word in self.hints[DRAINING]..arena.serving_words() {
            let mut bits = arena.serving(DRAINING, word).get();
            while bits != 0 {
                let number = word as u32 * 64 + bits.trailing_zeros();
                bits &= bits - 1;
                if runs(arena.superslab(number).free.get(), order) != 0 {
                    self.set_live(arena, number);
                    return Some(number);
                }
            }
        }
        None
    }

    fn set_live<G: Geometry>(&mut self, arena: &Arena<G>, number: u32) {
        arena.superslab(number).tier.set(Tier::Live);
        self.counts.live += 1;
        self.counts.draining -= 1;
        self.live_free += arena.superslab(number).free.get().count_ones();
        self.relist(arena, number);
    }

    /// Makes a superslab of the units that begin at `unit`.
    pub fn found<G: Geometry>(&mut self, arena: &Arena<G>, unit: u32) {
        let number = unit / G::SUPERSLAB_UNITS;
        let superslab = arena.superslab(number);
        debug_assert_eq!(superslab.tier.get(), Tier::Free);
        superslab.free.set(Self::whole::<G>());
        superslab.tier.set(Tier::Live);
        self.counts.live += 1;
        self.live_free += G::SUPERSLAB_UNITS;
        self.relist(arena, number);
    }

    /// Takes a slab's units back. If that empties the superslab and nobody has it pinned, returns the
    /// first unit of the whole, which is the caller's to free.
    pub fn give<G: Geometry>(&mut self, arena: &Arena<G>, unit: u32, units: u32) -> Option<u32> {
        let number = unit / G::SUPERSLAB_UNITS;
        let superslab = arena.superslab(number);
        let mask = ((1_u64 << units) - 1) << (unit % G::SUPERSLAB_UNITS);
        debug_assert_eq!(superslab.free.get() & mask, 0, "units were given back twice");
        superslab.free.set(superslab.free.get() | mask);
        let free = superslab.free.get().count_ones();
        let live = superslab.tier.get() == Tier::Live;
        if live {
            self.live_free += units;
        }
        if free == G::SUPERSLAB_UNITS && superslab.tier.try_release() {
            if live {
                self.live_free -= free;
                self.counts.live -= 1;
            } else {
                self.counts.draining -= 1;
            }
            self.counts.released += 1;
            self.relist(arena, number);
            return Some(number * G::SUPERSLAB_UNITS);
        }
        let used = G::SUPERSLAB_UNITS - free;
        let elsewhere = if live { self.live_free - free } else { 0 };
        if live && used * 8 <= G::SUPERSLAB_UNITS && elsewhere >= G::SUPERSLAB_UNITS / 2 {
            superslab.tier.set(Tier::Draining);
            self.counts.live -= 1;
            self.counts.draining += 1;
            self.live_free -= free;
        }
        self.relist(arena, number);
        None
    }
}

impl Default for Supers {
    fn default() -> Self {
        Self::new()
    }
}
