//! The numbers that may change while the heap runs. Floor: window.
//!
//! Read in WARM and COLD only; written by the host's options and by ACE. Every value is clamped to
//! its range when it is set, so readers never see one out of bounds. [`Dial`] names them all, with
//! range and first value: options, traces, sweeps and policies speak of them by these names.

use crate::{
    protocol::pair::Pair,
    size_class::SizeClass,
    sync::{RelaxedU8, RelaxedU32},
};

/// Which way a class's requests go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Route {
    /// Magazines first; if the thread's front can't serve, a block of the shared pool.
    TinyFirst = 0,
    /// Magazines only: a thread that can't have a heap gets no memory.
    TinyOnly = 1,
    /// A block of the shared pool, under its lock: slowest, and nothing is put into caches. A
    /// thread that has blocks of the class in its magazine uses those up first.
    PoolOnly = 2,
}

/// What a dial is called and what it may be.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// Its name in options, traces and sweeps; the unit is part of it.
    pub name: &'static str,
    /// Smallest value.
    pub min: u32,
    /// Largest value.
    pub max: u32,
    /// First value (measured: docs/decisions/0003-first-dials.md).
    pub first: u32,
    /// What it does.
    pub doc: &'static str,
}

macro_rules! dials {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $min:literal..=$max:expr, $first:expr, $says:literal;)*) => {
        /// One number of [`Dials`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Dial {
            $(#[doc = $says] $name,)*
        }

        impl Dial {
            /// All of them, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$name),*];
            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();
            const SPECS: [Spec; Self::COUNT] = [
                $(Spec { name: $text, min: $min, max: $max, first: $first, doc: $says }),*
            ];
        }
    };
}

dials! {
    RefillMax = "refill_max", 1..=127, 64,
        "Most blocks that one refill takes from a slab.";
    DepotClassKib = "depot_class_kib", 0..=Pair::MAX, 1024,
        "Most KiB of blocks in a thread's depot for one class.";
    DepotThreadKib = "depot_thread_kib", 0..=Pair::MAX, 4096,
        "Most KiB of blocks in a thread's depot, all classes together.";
    OutboxBytes = "outbox_bytes", 16..=1 << 20, 16 << 10,
        "Most bytes of blocks that wait in one outbox before they are sent home.";
    WarmPrefill = "warm_prefill", 0..=64, 15,
        "Runs of units for slabs that a search takes besides the wanted one; they cost no memory.";
    WarmMax = "warm_max", 0..=64, 16,
        "Most empty slabs of a class that the warm pool keeps.";
    DirtyFloorKib = "dirty_floor_kib", 0..=1 << 30, 4096,
        "KiB of free memory that may stay resident, at least.";
    DirtyPermille = "dirty_permille", 0..=10_000, 100,
        "Thousandths of the memory in use that may stay resident as free memory.";
    DirtyLearnedKib = "dirty_learned_kib", 0..=u32::MAX, 0,
        "KiB of free memory that may stay resident because it was wanted again as soon as it was given back.";
    DrainPermille = "drain_permille", 0..=500, 125,
        "A superslab of which at most this share is used, while others have room, serves no new slabs.";
    PromotePermille = "promote_permille", 0..=1000, 0,
        "A superslab of which this share is used is asked to be backed by huge pages; 0: none.";
    Visits = "visits", 0..=1 << 16, 64,
        "Parcels of a sleeping thread's mail that are delivered for it before the heap grows.";
    IdleMs = "idle_ms", 0..=1 << 20, 500,
        "Milliseconds after which a thread that did nothing slow counts as asleep, and a class that nobody refilled as idle; 0: never.";
    CapThreadKib = "cap_thread_kib", 0..=1 << 20, 16 << 10,
        "KiB of blocks that the magazines of one thread may hold, all classes together, as far as ACE sets their room.";
    CapProcessKib = "cap_process_kib", 0..=1 << 30, 64 << 10,
        "The same for all threads together.";
    MemoryWeight = "memory_weight", 0..=1000, 500,
        "What memory counts against time when profiles are compared, in thousandths: 0 only time, 1000 only memory.";
    Learn = "learn", 0..=1, 1,
        "Whether ACE tries other profiles now and then and keeps the best; 0: the one that the host chose stays.";
}

/// Values that a reader takes together are kept in one word: it sees both old or both new.
const PAIR: [Dial; 2] = [Dial::DepotClassKib, Dial::DepotThreadKib];

impl Dial {
    /// Name, range and first value.
    #[must_use]
    pub const fn spec(self) -> &'static Spec {
        let specs: &'static [Spec; Self::COUNT] = const { &Self::SPECS };
        &specs[self as usize]
    }

    /// The dial of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|dial| dial.spec().name == name)
    }

    /// The nearest value that the dial may have.
    #[must_use]
    pub fn clamp(self, value: u32) -> u32 {
        value.clamp(self.spec().min, self.spec().max)
    }
}

/// A number that each size class has for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ClassDial {
    /// Blocks that a magazine of the class holds, 1 to 127; 0: as many as the geometry says.
    Cap,
    /// Blocks of a parcel, 1 to 63; 0: as many as [`Dial::OutboxBytes`] allows.
    Parcel,
    /// A [`Route`].
    Route,
}

impl ClassDial {
    const COUNT: usize = 3;

    /// Name in traces.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cap => "cap",
            Self::Parcel => "parcel",
            Self::Route => "route",
        }
    }

    /// Largest value; the smallest is 0.
    #[must_use]
    pub const fn max(self) -> u8 {
        match self {
            Self::Cap => 127,
            Self::Parcel => 63,
            Self::Route => Route::PoolOnly as u8,
        }
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Dials {
    values: [RelaxedU32; Dial::COUNT],
    depot: Pair,
    /// A bit for each dial that stays where the host put it.
    pinned: RelaxedU32,
    classes: [[RelaxedU8; SizeClass::COUNT]; ClassDial::COUNT],
}

impl Dials {
    /// First values.
    #[must_use]
    pub const fn new() -> Self {
        let mut values = [const { RelaxedU32::new(0) }; Dial::COUNT];
        let mut dial = 0;
        while dial < Dial::COUNT {
            values[dial] = RelaxedU32::new(Dial::SPECS[dial].first);
            dial += 1;
        }
        let [class, thread] = PAIR;
        const { assert!(Dial::COUNT <= 32) };
        Self {
            values,
            pinned: RelaxedU32::new(0),
            depot: Pair::of(RelaxedU32::new(Pair::join(class.spec().first, thread.spec().first))),
            classes: [const { [const { RelaxedU8::new(0) }; SizeClass::COUNT] }; ClassDial::COUNT],
        }
    }

    /// The dial's value.
    #[inline]
    #[must_use]
    pub fn get(&self, dial: Dial) -> u32 {
        match dial {
            Dial::DepotClassKib => self.depot.get().0,
            Dial::DepotThreadKib => self.depot.get().1,
            _ => self.values[dial as usize].get(),
        }
    }

    /// Sets the dial to the nearest value that it may have.
    pub fn set(&self, dial: Dial, value: u32) {
        let value = dial.clamp(value);
        match dial {
            Dial::DepotClassKib => self.depot.set_first(value),
            Dial::DepotThreadKib => self.depot.set_second(value),
            _ => self.values[dial as usize].set(value),
        }
    }

    /// Sets the dial like [`Self::set`], for good: ACE leaves it there. For what a user asked for
    /// by name. What ACE learns ([`Dial::DirtyLearnedKib`]) is only given a start.
    pub fn pin(&self, dial: Dial, value: u32) {
        self.set(dial, value);
        if dial != Dial::DirtyLearnedKib {
            self.pinned.set(self.pinned.get() | 1 << dial as u32);
        }
    }

    /// Whether the host wants this dial to stay.
    #[must_use]
    pub fn is_pinned(&self, dial: Dial) -> bool {
        self.pinned.get() >> dial as u32 & 1 != 0
    }

    /// KiB that a thread's depot may hold: of one class, and of all.
    #[inline]
    #[must_use]
    pub fn depot_kib(&self) -> (u32, u32) {
        self.depot.get()
    }

    /// The class's value of a dial that each class has.
    #[inline]
    #[must_use]
    pub fn of_class(&self, class: SizeClass, dial: ClassDial) -> u8 {
        self.classes[dial as usize][class.index()].get()
    }

    /// Sets it to the nearest value that it may have.
    pub fn set_of_class(&self, class: SizeClass, dial: ClassDial, value: u8) {
        self.classes[dial as usize][class.index()].set(value.min(dial.max()));
    }

    /// The route of a class.
    #[must_use]
    pub fn route(&self, class: SizeClass) -> Route {
        match self.of_class(class, ClassDial::Route) {
            1 => Route::TinyOnly,
            2 => Route::PoolOnly,
            _ => Route::TinyFirst,
        }
    }

    /// Sets the route of a class.
    pub fn set_route(&self, class: SizeClass, route: Route) {
        self.set_of_class(class, ClassDial::Route, route as u8);
    }

    /// Free bytes that may stay resident while `used_bytes` are in use.
    #[must_use]
    pub fn dirty_limit(&self, used_bytes: usize) -> usize {
        let learned = (self.get(Dial::DirtyLearnedKib) as usize).saturating_mul(1024);
        self.dirty_share(used_bytes).max(learned)
    }

    /// [`Self::dirty_limit`] without what was learned.
    #[must_use]
    pub fn dirty_share(&self, used_bytes: usize) -> usize {
        let floor = (self.get(Dial::DirtyFloorKib) as usize).saturating_mul(1024);
        let share = (used_bytes / 1000).saturating_mul(self.get(Dial::DirtyPermille) as usize);
        share.max(floor)
    }

    /// How far below `limit` a purge goes that was due because there was more: a superslab's worth,
    /// so that it gives back long runs and the next one is not soon; but not all of a small limit.
    #[inline(always)]
    #[must_use]
    pub const fn hysteresis(limit: usize, superslab_bytes: usize) -> usize {
        let most = limit / 4 * 3;
        if superslab_bytes < most { superslab_bytes } else { most }
    }
}

impl Default for Dials {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dial_begins_in_its_range_and_stays_there() {
        let dials = Dials::new();
        for (number, &dial) in Dial::ALL.iter().enumerate() {
            let spec = dial.spec();
            assert_eq!(dial as usize, number);
            assert_eq!(Dial::named(spec.name), Some(dial));
            assert_eq!(dials.get(dial), spec.first, "{}", spec.name);
            for value in [0, spec.min, spec.first, spec.max, u32::MAX] {
                dials.set(dial, value);
                assert_eq!(dials.get(dial), value.clamp(spec.min, spec.max), "{}", spec.name);
            }
        }
    }

    #[test]
    fn the_depots_two_limits_do_not_disturb_each_other() {
        let dials = Dials::new();
        dials.set(Dial::DepotClassKib, 7);
        assert_eq!(dials.depot_kib(), (7, Dial::DepotThreadKib.spec().first));
        dials.set(Dial::DepotThreadKib, u32::MAX);
        assert_eq!(dials.depot_kib(), (7, Pair::MAX));
    }
}
