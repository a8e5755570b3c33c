//! What a thread's WARM and COLD code did, for reports and for ACE. Floor: window.
//!
//! One meter a heap, written by its thread alone; HOT writes none of it.

use crate::stats::Events;
use crate::sync::RelaxedU64;

macro_rules! meter {
    ($($field:ident),* $(,)?) => {
        /// Counters of one heap; the meanings stand at [`Events`].
        #[derive(Debug)]
        pub struct Meter { $(pub $field: RelaxedU64),* }

        impl Meter {
            /// All zero.
            #[must_use]
            pub const fn new() -> Self {
                Self { $($field: RelaxedU64::new(0)),* }
            }

            /// Adds the counts to `sum`.
            pub fn add_to(&self, sum: &mut Events) {
                $(sum.$field += self.$field.get();)*
            }

            /// Adds the counts to `other` and starts again from zero: a batch is published when a
            /// heap is given up. Writer of both only.
            pub fn publish(&self, other: &Self) {
                $(other.$field.add(self.$field.get()); self.$field.set(0);)*
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
    strays,
);
