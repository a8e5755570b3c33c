//! `Ghosts`: what would be on the device if a view had always been followed, and what that would have cost.
//! Floor: second.
//!
//! A ghost holds no memory, only who would be there: as much as fits, farthest first out. Each view has one,
//! and all see the same uses; a use of what is not there costs what getting it back takes. Costs fade, so that
//! of two views the one with less was the better one of late. Directories of what is not there are known
//! from ARC (Megiddo and Modha, FAST 2003); comparing by regret over them from LeCaR (Vietri et al.,
//! HotStorage 2018), which draws by weights where this compares whole simulations, as UMON does in hardware
//! (Qureshi and Patt, MICRO 2006).
//!
//! The uses of a step are taken together: what was there before it counts as there, for a program computes
//! with that first, and what goes is chosen when all predictions made in the step are known.
//!
//! Of many states a sample is looked at, chosen by a hash of the slot, against a budget that is as much
//! smaller. When the sample is full, half of it is dropped: SHARDS with a fixed size (Waldspurger et al., FAST
//! 2015). So a use costs O(log of the sample), however many states there are.

use super::{Seen, View};
use crate::order::{Order, Toward};
use alloc::vec::Vec;

/// The views that are compared.
pub(super) const VIEWS: [View; 4] = [View::Hinted, View::OwnGap, View::Recent, View::Any];

/// The sample has fewer states: chosen; a quarter of them on the device are some 500.
const MOST_SAMPLED: usize = 2048;
/// So many uses are taken together at most, whatever a step is.
const MOST_TOGETHER: usize = 256;
/// A use makes former costs fade by one part in this: chosen, see `Ace`.
const WINDOW: u64 = 1024;
const NONE: u32 = u32::MAX;

/// A state of the sample.
#[derive(Clone, Copy, Debug)]
struct Sampled {
    slot: u32,
    bytes: u64,
    cost_ns: u64,
    keys: [u64; VIEWS.len()],
    /// It was used before.
    was_used: bool,
    /// It is among the uses that are not counted yet.
    is_pending: bool,
}

#[derive(Debug)]
struct Ghost {
    there: Order,
    bytes: u64,
    /// What it missed of late, in nanoseconds that fade.
    cost: u64,
}

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Ghosts {
    ghosts: [Ghost; VIEWS.len()],
    /// By place; `slot` is `NONE` where the place is free.
    sample: Vec<Sampled>,
    free: Vec<u32>,
    /// Places by slot.
    places: Vec<u32>,
    /// Slots whose hash begins with so many zeros are in the sample.
    zeros: u32,
    pending: Vec<u32>,
    budget_bytes: u64,
}

impl Ghosts {
    pub fn new() -> Self {
        let there = |_| Order::new(Toward::Farthest, 1);
        Self {
            ghosts: VIEWS.map(|view| Ghost { there: there(view), bytes: 0, cost: 0 }),
            sample: Vec::new(),
            free: Vec::new(),
            places: Vec::new(),
            zeros: 0,
            pending: Vec::new(),
            budget_bytes: 0,
        }
    }

    pub const fn set_budget(&mut self, bytes: u64) {
        self.budget_bytes = bytes;
    }

    /// What following `VIEWS[view]` has cost of late; to be compared with the others only.
    pub const fn cost(&self, view: usize) -> u64 {
        self.ghosts[view].cost
    }

    pub fn moves(&self) -> u64 {
        self.ghosts.iter().map(|ghost| ghost.there.moves()).sum()
    }

    /// Something about a state changed, or it is new.
    pub fn change(&mut self, slot: u32, seen: &Seen) {
        let Some(place) = self.place(slot).or_else(|| self.admit(slot, seen)) else { return };
        let keys = VIEWS.map(|view| seen.key(view));
        self.sample[place as usize].keys = keys;
        for (ghost, key) in self.ghosts.iter_mut().zip(keys) {
            if ghost.there.key(place).is_some() {
                ghost.there.place(place, 0, key);
            }
        }
    }

    /// A use of the state begins.
    pub fn use_it(&mut self, slot: u32) {
        let Some(place) = self.place(slot) else { return };
        if !core::mem::replace(&mut self.sample[place as usize].is_pending, true) {
            self.pending.push(place);
        }
        if self.pending.len() >= MOST_TOGETHER {
            self.count();
        }
    }

    /// A step begins: what was used in the step before is counted.
    pub fn step(&mut self, step: u64) {
        self.count();
        for ghost in &mut self.ghosts {
            ghost.there.advance(step);
        }
    }

    /// The state is there no more.
    pub fn forget(&mut self, slot: u32) {
        if let Some(place) = self.place(slot) {
            self.drop_place(place);
        }
    }

    fn place(&self, slot: u32) -> Option<u32> {
        self.places.get(slot as usize).copied().filter(|place| *place != NONE)
    }

    const fn is_sampled(&self, slot: u32) -> bool {
        // Fibonacci hashing: slots are small numbers in a row, and their hashes are spread evenly.
        let hash = (slot as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        hash.leading_zeros() >= self.zeros
    }

    fn admit(&mut self, slot: u32, seen: &Seen) -> Option<u32> {
        while self.is_sampled(slot) && self.sample.len() - self.free.len() >= MOST_SAMPLED {
            self.zeros += 1;
            for place in (0u32..).take(self.sample.len()) {
                let sampled = self.sample[place as usize].slot;
                if sampled != NONE && !self.is_sampled(sampled) {
                    self.drop_place(place);
                }
            }
        }
        if !self.is_sampled(slot) {
            return None;
        }
        let new = Sampled {
            slot,
            bytes: seen.bytes,
            cost_ns: seen
                .recompute_ns
                .map_or(seen.reload_ns, |cost_ns| cost_ns.min(seen.reload_ns)),
            keys: [u64::MAX; VIEWS.len()],
            was_used: false,
            is_pending: false,
        };
        let place = if let Some(place) = self.free.pop() {
            self.sample[place as usize] = new;
            place
        } else {
            self.sample.push(new);
            u32::try_from(self.sample.len() - 1).expect("a sample is small")
        };
        if self.places.len() <= slot as usize {
            self.places.resize(slot as usize + 1, NONE);
        }
        self.places[slot as usize] = place;
        Some(place)
    }

    fn drop_place(&mut self, place: u32) {
        let sampled = &mut self.sample[place as usize];
        for ghost in &mut self.ghosts {
            if ghost.there.key(place).is_some() {
                ghost.there.remove(place);
                ghost.bytes -= sampled.bytes;
            }
        }
        if sampled.is_pending {
            self.pending.retain(|pending| *pending != place);
        }
        self.places[sampled.slot as usize] = NONE;
        sampled.slot = NONE;
        self.free.push(place);
    }

    /// Counts the pending uses: who misses what, and who is there then.
    fn count(&mut self) {
        let budget_bytes = self.budget_bytes >> self.zeros;
        for (view, ghost) in self.ghosts.iter_mut().enumerate() {
            for place in &self.pending {
                let sampled = &self.sample[*place as usize];
                let mut cost_ns = 0;
                if ghost.there.key(*place).is_none() {
                    // The first use costs the same whoever is followed.
                    cost_ns = if sampled.was_used { sampled.cost_ns } else { 0 };
                    ghost.bytes += sampled.bytes;
                    ghost.there.place(*place, 0, sampled.keys[view]);
                }
                ghost.cost -= ghost.cost.div_ceil(WINDOW);
                ghost.cost = ghost.cost.saturating_add(cost_ns);
            }
            while ghost.bytes > budget_bytes
                && let Some((_, place)) = ghost.there.top(0)
            {
                ghost.there.remove(place);
                ghost.bytes -= self.sample[place as usize].bytes;
            }
        }
        for place in self.pending.drain(..) {
            let sampled = &mut self.sample[place as usize];
            (sampled.was_used, sampled.is_pending) = (true, false);
        }
    }
}

#[cfg(test)]
mod tests;
