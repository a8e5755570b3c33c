//! Superslabs: aligned runs of units that slabs are carved from, and their tiers.
//! Floor: 1st. Everything but the pins happens under the pool's lock.
//!
//! Slabs come from the lowest superslab that has room, so the upper ones empty themselves. One of
//! which little is used (`Dial::DrainPermille`) while the others have room becomes Draining: it
//! serves no more, and when its last slab goes, its units return to the span allocator. If nobody
//! else has room, a Draining one is revived before the heap grows.
//!
//! A search takes more than the one run that is wanted: the others wait in the *reserve* of their
//! length, which is a word of bits, and serve the next slabs of any class without a search. They
//! cost no memory, because nothing in them is touched. Invariants:
//! * R1 A run of a reserve lies in a Live superslab, is not among its free units, and nothing is in
//!   it.
//! * R2 A reserve keeps nothing alive: a superslab in which there is nothing else gets it back and
//!   is released, one that begins to drain gets it back, and all are given back before a Draining
//!   superslab is revived or the heap grows.

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
    promoted: Cell<bool>,
}

impl Superslab {
    /// Whether nothing is in this unit, counted from the first of the superslab.
    pub fn is_free(&self, unit: u32) -> bool {
        self.free.get() >> unit & 1 != 0
    }

    /// Whether the system was asked to back it with huge pages.
    pub fn is_promoted(&self) -> bool {
        self.promoted.get()
    }

    /// Bitmaps over superslabs: with room for slabs of 1, 2 and 4 units (Live ones only), and
    /// Draining.
    pub const LISTS: usize = 4;
}

const DRAINING: usize = 3;
/// Superslabs that one search for one to promote looks at.
const PROMOTE_LOOK: u32 = 256;

/// Which units of each aligned run of 1, 2 or 4 are all free: the bit of the run's first unit.
const fn runs(free: u64, order: usize) -> u64 {
    let pairs = free & (free >> 1) & 0x5555_5555_5555_5555;
    match order {
        0 => free,
        1 => pairs,
        _ => pairs & (pairs >> 2) & 0x1111_1111_1111_1111,
    }
}

/// Runs of one length that a search took besides the one that was wanted; all in one superslab.
#[derive(Clone, Copy, Debug)]
struct Reserve {
    superslab: u32,
    /// The bit of each run's first unit.
    runs: u64,
}

impl Reserve {
    const NONE: Self = Self { superslab: 0, runs: 0 };

    /// The bits of all its units, if it is in this superslab.
    fn units_in(&self, superslab: u32, order: usize) -> u64 {
        if self.superslab == superslab { self.runs * ones(order) } else { 0 }
    }
}

/// As many ones as a run of this order has units.
const fn ones(order: usize) -> u64 {
    (1 << (1 << order)) - 1
}

/// The superslabs of a heap.
#[derive(Debug)]
pub struct Supers {
    /// First word of each bitmap that may have a set bit; past the end before there is a superslab,
    /// when the bitmaps are not even committed.
    hints: [usize; Superslab::LISTS],
    /// For runs of 1, 2 and 4 units.
    reserves: [Reserve; DRAINING],
    /// Units of Live superslabs that nothing is in; those of the reserves are among them.
    live_free: u32,
    /// Units of Draining ones that nothing is in.
    draining_free: u32,
    /// Where the search for superslabs to promote goes on.
    promote_cursor: u32,
    counts: Superslabs,
}

impl Supers {
    /// None.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            hints: [usize::MAX; Superslab::LISTS],
            reserves: [Reserve::NONE; DRAINING],
            live_free: 0,
            draining_free: 0,
            promote_cursor: 0,
            counts: Superslabs {
                live: 0,
                draining: 0,
                promoted: 0,
                released: 0,
                drained: 0,
                revived: 0,
            },
        }
    }

    /// Superslabs by tier.
    pub fn counts(&self) -> Superslabs {
        self.counts
    }

    /// Units of Live superslabs that nothing is in.
    pub fn live_free_units(&self) -> u32 {
        self.live_free
    }

    /// Units of all superslabs that nothing is in.
    pub fn free_units(&self) -> u32 {
        self.live_free + self.draining_free
    }

    /// Units of the reserves.
    pub fn reserved_units(&self) -> u32 {
        let units = |(order, reserve): (usize, &Reserve)| reserve.runs.count_ones() << order;
        self.reserves.iter().enumerate().map(units).sum()
    }

    /// Whether this unit is in a reserve.
    pub fn is_reserved<G: Geometry>(&self, unit: u32) -> bool {
        let reserved = self.reserved_in(unit / G::SUPERSLAB_UNITS);
        reserved >> (unit % G::SUPERSLAB_UNITS) & 1 != 0
    }

    fn reserved_in(&self, number: u32) -> u64 {
        let units = |(order, reserve): (usize, &Reserve)| reserve.units_in(number, order);
        self.reserves.iter().enumerate().map(units).fold(0, |all, units| all | units)
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

    /// Takes an aligned run of `units` (1, 2 or 4) out of their reserve. `None`: it is empty.
    pub fn take_reserved<G: Geometry>(&mut self, units: u32) -> Option<u32> {
        let reserve = &mut self.reserves[units.trailing_zeros() as usize];
        if reserve.runs == 0 {
            return None;
        }
        let at = reserve.runs.trailing_zeros();
        reserve.runs &= reserve.runs - 1;
        self.live_free -= units;
        Some(reserve.superslab * G::SUPERSLAB_UNITS + at)
    }

    /// Takes an aligned run of `units` (1, 2 or 4) from the lowest superslab that has one, and up
    /// to `besides` more from there into their reserve, which is empty.
    pub fn take<G: Geometry>(&mut self, arena: &Arena<G>, units: u32, besides: u32) -> Option<u32> {
        let order = units.trailing_zeros() as usize;
        debug_assert_eq!(self.reserves[order].runs, 0);
        let number = self
            .first(arena, order)
            .or_else(|| {
                self.give_reserves_back(arena);
                self.first(arena, order)
            })
            .or_else(|| self.revive(arena, order))?;
        let superslab = arena.superslab(number);
        let all = runs(superslab.free.get(), order);
        let rest = (0..=besides).fold(all, |rest, _| rest & rest.wrapping_sub(1));
        let taken = all & !rest;
        superslab.free.set(superslab.free.get() & !(taken * ones(order)));
        self.reserves[order] = Reserve { superslab: number, runs: taken & (taken - 1) };
        self.live_free -= units;
        self.relist(arena, number);
        Some(number * G::SUPERSLAB_UNITS + taken.trailing_zeros())
    }

    /// Empties all reserves (R2).
    pub fn give_reserves_back<G: Geometry>(&mut self, arena: &Arena<G>) {
        for order in 0..DRAINING {
            let number = self.reserves[order].superslab;
            if self.reserves[order].runs != 0 {
                self.unreserve(arena, number);
                self.relist(arena, number);
            }
        }
    }

    /// Gives what the reserves have of this superslab back to it. The caller lists it anew.
    fn unreserve<G: Geometry>(&mut self, arena: &Arena<G>, number: u32) {
        let free = &arena.superslab(number).free;
        free.set(free.get() | self.reserved_in(number));
        for reserve in self.reserves.iter_mut().filter(|reserve| reserve.superslab == number) {
            reserve.runs = 0;
        }
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
        self.counts.revived += 1;
        let free = arena.superslab(number).free.get().count_ones();
        self.draining_free -= free;
        self.live_free += free;
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

    /// Takes a slab's units back. If that empties the superslab and nobody has it pinned, returns
    /// the first unit of the whole, which is the caller's to free. A superslab of which at most
    /// `drain_permille` are used then serves no more, while the others have room.
    pub fn give<G: Geometry>(
        &mut self,
        arena: &Arena<G>,
        unit: u32,
        units: u32,
        drain_permille: u32,
    ) -> Option<u32> {
        let number = unit / G::SUPERSLAB_UNITS;
        let superslab = arena.superslab(number);
        let mask = ((1_u64 << units) - 1) << (unit % G::SUPERSLAB_UNITS);
        let reserved = self.reserved_in(number);
        debug_assert_eq!(
            (superslab.free.get() | reserved) & mask,
            0,
            "units were given back twice"
        );
        superslab.free.set(superslab.free.get() | mask);
        let free = (superslab.free.get() | reserved).count_ones();
        let live = superslab.tier.get() == Tier::Live;
        if live {
            self.live_free += units;
        } else {
            self.draining_free += units;
        }
        let used = G::SUPERSLAB_UNITS - free;
        let elsewhere = if live { self.live_free - free } else { 0 };
        if used == 0 && superslab.tier.try_release() {
            if live {
                self.live_free -= free;
                self.counts.live -= 1;
                self.unreserve(arena, number);
            } else {
                self.draining_free -= free;
                self.counts.draining -= 1;
            }
            self.counts.released += 1;
            self.relist(arena, number);
            return Some(number * G::SUPERSLAB_UNITS);
        }
        if live
            && drain_permille > 0
            && used * 1000 <= G::SUPERSLAB_UNITS * drain_permille
            && elsewhere >= G::SUPERSLAB_UNITS / 2
        {
            self.unreserve(arena, number);
            superslab.tier.set(Tier::Draining);
            self.counts.live -= 1;
            self.counts.draining += 1;
            self.counts.drained += 1;
            self.live_free -= free;
            self.draining_free += free;
        }
        self.relist(arena, number);
        None
    }

    /// The next Live superslab, of the first `numbers`, of which at least `permille` are used and
    /// that is not promoted. Looks at a few only: the next call goes on where this one stopped.
    pub fn next_to_promote<G: Geometry>(
        &mut self,
        arena: &Arena<G>,
        numbers: u32,
        permille: u32,
    ) -> Option<u32> {
        for _ in 0..numbers.min(PROMOTE_LOOK) {
            let number = if self.promote_cursor < numbers { self.promote_cursor } else { 0 };
            self.promote_cursor = number + 1;
            let superslab = arena.superslab(number);
            let free = (superslab.free.get() | self.reserved_in(number)).count_ones();
            if superslab.tier.get() == Tier::Live
                && !superslab.promoted.get()
                && (G::SUPERSLAB_UNITS - free) * 1000 >= G::SUPERSLAB_UNITS * permille
            {
                return Some(number);
            }
        }
        None
    }

    /// Notes whether the system was asked to back this superslab with huge pages.
    pub fn set_promoted<G: Geometry>(&mut self, arena: &Arena<G>, number: u32, promoted: bool) {
        if arena.superslab(number).promoted.replace(promoted) != promoted {
            let count = &mut self.counts.promoted;
            *count = if promoted { *count + 1 } else { *count - 1 };
        }
    }
}

impl Default for Supers {
    fn default() -> Self {
        Self::new()
    }
}
