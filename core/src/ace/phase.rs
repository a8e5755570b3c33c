//! Which phase the program is in: what it allocates, for whom, and how much it holds.
//! Floor: garden.
//!
//! A print is what the dials hardly change: the shares that groups of size classes have in the
//! misses, the share of blocks that travel, and the order of magnitude of what is in use. A turn
//! whose print is far from that of its phase is left out of every comparison; some of them in a
//! row, near each other, are a new phase.

use super::Seen;
use crate::size_class::SizeClass;

const FEATURES: usize = 7;
/// Largest block of a group, in bytes; what is larger is the next group.
const GROUPS: [usize; 3] = [128, 1024, 8192];
/// Features behind the groups of classes.
const LARGE: usize = 4;
const REMOTE: usize = 5;
const LEVEL: usize = 6;
/// What one doubling of the memory in use counts, in thousandths.
const DOUBLING: i32 = 100;
/// Misses and parcels below which a turn is no sample of anything.
const LEAST: u64 = 16;
/// A turn that took longer was mostly sleep.
const LONGEST_MS: u64 = 200;
/// Prints that differ by more are of two phases.
const FAR: u32 = 500;
/// Turns in a row that make a phase.
const TURNS: u8 = 3;

/// See the module's documentation. In thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Print([i32; FEATURES]);

impl Print {
    /// The print of a turn; `None`: too little happened.
    #[must_use]
    pub fn of(seen: &Seen) -> Option<Self> {
        if seen.span_ms > LONGEST_MS {
            return None;
        }
        let mut misses = [0_u64; LARGE];
        for class in SizeClass::all() {
            let group = GROUPS.iter().filter(|&&most| class.bytes() > most).count();
            let told = &seen.classes[class.index()];
            misses[group] += u64::from(told.refills) + u64::from(told.overflows);
        }
        let mut features = [0; FEATURES];
        let sum: u64 = misses.iter().sum();
        let sent = seen.events.remote_sent;
        if sum.saturating_add(sent / 16) >= LEAST {
            for (feature, misses) in features.iter_mut().zip(misses) {
                *feature = share(misses, sum);
            }
            features[REMOTE] = share(sent, sent.saturating_add(seen.events.refilled_blocks));
        } else if seen.grown_units > 0
            || seen.events.purged_bytes > 0
            || seen.events.refaulted_bytes > 0
        {
            features[LARGE] = 1000;
        } else {
            return None;
        }
        features[LEVEL] = magnitude(seen.levels.used_bytes);
        Some(Self(features))
    }

    /// How far apart two prints are.
    #[must_use]
    pub fn distance(&self, other: &Self) -> u32 {
        self.0.iter().zip(other.0).map(|(one, other)| one.abs_diff(other)).sum()
    }

    /// Whether both can be of one phase.
    #[must_use]
    pub fn is_near(&self, other: &Self) -> bool {
        self.distance(other) <= FAR
    }

    fn follow(&mut self, other: &Self) {
        for (own, other) in self.0.iter_mut().zip(other.0) {
            *own += (other - *own) / 8;
        }
    }
}

fn share(part: u64, whole: u64) -> i32 {
    part.saturating_mul(1000).checked_div(whole).map_or(0, |share| share as i32)
}

/// The binary logarithm of MiB, times [`DOUBLING`]. Below 4 MiB all is one.
fn magnitude(bytes: u64) -> i32 {
    let bytes = bytes.max(4 << 20);
    let whole = bytes.ilog2();
    let rest = ((bytes >> (whole - 10)) & 1023) as i32;
    (whole as i32 - 20) * DOUBLING + rest * DOUBLING / 1024
}

/// What a turn says about the phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Nothing: too little happened.
    Idle,
    /// The phase goes on.
    Same,
    /// It may be at its end: the turn is no sample of it.
    Unsure,
    /// Another one has begun.
    New(Print),
}

/// The phase that the program is in.
#[derive(Debug)]
pub struct Phases {
    centre: Option<Print>,
    other: Option<Print>,
    turns: u8,
}

impl Phases {
    /// None yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { centre: None, other: None, turns: 0 }
    }

    /// The phase's print, which follows the program slowly.
    #[must_use]
    pub const fn centre(&self) -> Option<&Print> {
        self.centre.as_ref()
    }

    /// Looks at a turn.
    pub fn look(&mut self, seen: &Seen) -> Look {
        let Some(print) = Print::of(seen) else { return Look::Idle };
        if let Some(centre) = &mut self.centre
            && centre.is_near(&print)
        {
            centre.follow(&print);
            self.other = None;
            return Look::Same;
        }
        match &mut self.other {
            Some(other) if other.is_near(&print) => {
                other.follow(&print);
                self.turns += 1;
            }
            other => {
                *other = Some(print);
                self.turns = 1;
            }
        }
        if self.turns < TURNS {
            return Look::Unsure;
        }
        self.centre = self.other.take();
        Look::New(print)
    }
}

impl Default for Phases {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(class: usize, refills: u32, sent: u64, used: u64) -> Seen {
        let mut seen = Seen::new();
        seen.span_ms = 20;
        seen.classes[class].refills = refills;
        seen.events.refilled_blocks = u64::from(refills) * 32;
        seen.events.remote_sent = sent;
        seen.levels.used_bytes = used;
        seen
    }

    fn looks(phases: &mut Phases, seen: &Seen, turns: usize) -> usize {
        (0..turns).filter(|_| matches!(phases.look(seen), Look::New(_))).count()
    }

    #[test]
    fn another_size_another_direction_and_another_magnitude_are_new_phases() {
        let small = SizeClass::tiny(64).index();
        let mid = SizeClass::mid(16 << 10).index();
        let mut phases = Phases::new();
        for seen in [
            turn(small, 1000, 0, 8 << 20),
            turn(mid, 1000, 0, 8 << 20),
            turn(small, 1000, 100_000, 8 << 20),
            turn(small, 1000, 100_000, 1 << 30),
        ] {
            assert_eq!(looks(&mut phases, &seen, 50), 1);
        }
    }

    #[test]
    fn rate_noise_rests_and_slow_growth_are_not() {
        let small = SizeClass::tiny(64).index();
        let mut phases = Phases::new();
        let mut used = 4 << 20;
        let mut begun = 0;
        for round in 0..2000_u64 {
            let busy = 100 + (round * 7919 % 1000) as u32;
            begun += looks(&mut phases, &turn(small, busy, 0, used), 1);
            begun += looks(&mut phases, &turn(small, 1, 0, used), 1);
            used += used / 100;
        }
        assert_eq!(begun, 1);
    }

    #[test]
    fn a_single_odd_turn_is_left_out_and_changes_nothing() {
        let small = SizeClass::tiny(64).index();
        let mid = SizeClass::mid(16 << 10).index();
        let mut phases = Phases::new();
        looks(&mut phases, &turn(small, 1000, 0, 8 << 20), 10);
        for _ in 0..20 {
            assert_eq!(phases.look(&turn(mid, 1000, 0, 8 << 20)), Look::Unsure);
            assert_eq!(phases.look(&turn(small, 1000, 0, 8 << 20)), Look::Same);
        }
    }
}
