//! What a thread's WARM and COLD code did, for reports and for ACE. Floor: window.
//!
//! One meter a heap, written by its thread alone; HOT writes none of it. Every so often the thread
//! adds what is new to the [`Board`], which ACE reads: one place, however many threads there are.

use crate::{
    size_class::SizeClass,
    stats::Events,
    sync::{AtomicU32, Ordering, RelaxedU64},
};

macro_rules! meter {
    ($($field:ident),* $(,)?) => {
        /// Counters of one heap; the meanings stand at [`Events`].
        #[derive(Debug)]
        pub struct Meter { $(pub $field: RelaxedU64),* }

        /// Number of counters.
        pub const COUNTERS: usize = NAMES.len();
        /// Their names, in the order in which they are declared.
        pub const NAMES: &[&str] = &[$(stringify!($field)),*];

        impl Meter {
            /// All zero.
            #[must_use]
            pub const fn new() -> Self {
                Self { $($field: RelaxedU64::new(0)),* }
            }

            /// The counts, in the order in which the counters are declared.
            pub fn counts(&self) -> [u64; COUNTERS] {
                [$(self.$field.get()),*]
            }

            /// Adds the counts to `sum`.
            pub fn add_to(&self, sum: &mut Events) {
                $(sum.$field += self.$field.get();)*
            }

            /// Adds the counts to `other` and starts again from zero: for a heap that is given up.
            /// Writer of both only.
            pub fn hand_over(&self, other: &Self) {
                $(other.$field.add(self.$field.get()); self.$field.set(0);)*
            }
        }

        impl Events {
            /// No events.
            pub const NONE: Self = Self { $($field: 0),* };

            /// Events from counts in the order of [`Meter::counts`].
            #[must_use]
            pub fn of(counts: [u64; COUNTERS]) -> Self {
                let [$($field),*] = counts;
                Self { $($field),* }
            }

            /// The counts, in the order of [`NAMES`].
            #[must_use]
            pub const fn counts(&self) -> [u64; COUNTERS] {
                [$(self.$field),*]
            }
        }

        impl Default for Meter {
            fn default() -> Self {
                Self::new()
            }
        }
    };
}

meter!(
    refills,
    refilled_blocks,
    depot_hits,
    overflows,
    flushed_blocks,
    warm_hits,
    warm_misses,
    remote_sent,
    remote_drained,
    pool_frees,
    adopted_slabs,
    purges,
    purged_bytes,
    refaulted_bytes,
    strays,
);

/// What a class did that ACE wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum ClassEvent {
    /// A magazine was found empty.
    Refill,
    /// A magazine was found full.
    Overflow,
    /// A parcel was sent to another thread.
    Parcel,
    /// A block in it.
    Sent,
}

/// Kinds of [`ClassEvent`].
pub const CLASS_EVENTS: usize = 4;

/// What all threads told since ACE last looked. Sums; nothing is lost between `tell` and `take`.
#[derive(Debug)]
pub struct Board {
    counts: [AtomicU32; COUNTERS],
    classes: [[AtomicU32; CLASS_EVENTS]; SizeClass::COUNT],
}

impl Board {
    /// Nothing told.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            counts: [const { AtomicU32::new(0) }; COUNTERS],
            classes: [const { [const { AtomicU32::new(0) }; CLASS_EVENTS] }; SizeClass::COUNT],
        }
    }

    /// Adds what the counts grew by since `told`, which becomes the counts.
    pub fn tell(&self, counts: [u64; COUNTERS], told: &mut [u64; COUNTERS]) {
        for (sum, (count, told)) in self.counts.iter().zip(counts.into_iter().zip(told)) {
            add(sum, count.wrapping_sub(*told) as u32);
            *told = count;
        }
    }

    /// Adds what a class did.
    pub fn tell_class(&self, class: SizeClass, events: [u32; CLASS_EVENTS]) {
        for (sum, more) in self.classes[class.index()].iter().zip(events) {
            add(sum, more);
        }
    }

    /// Takes all counts away.
    pub fn take(&self) -> [u64; COUNTERS] {
        core::array::from_fn(|count| u64::from(take(&self.counts[count])))
    }

    /// Takes a class's counts away.
    pub fn take_class(&self, class: SizeClass) -> [u32; CLASS_EVENTS] {
        core::array::from_fn(|event| take(&self.classes[class.index()][event]))
    }
}

// Relaxed: sums that guard nothing.
fn add(sum: &AtomicU32, more: u32) {
    if more > 0 {
        sum.fetch_add(more, Ordering::Relaxed);
    }
}

fn take(sum: &AtomicU32) -> u32 {
    if sum.load(Ordering::Relaxed) == 0 { 0 } else { sum.swap(0, Ordering::Relaxed) }
}

impl Default for Board {
    fn default() -> Self {
        Self::new()
    }
}
