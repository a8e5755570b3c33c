//! Atomics of the house, and cells that one thread writes while others may look. Floor: cellar.
//!
//! The only place (with `lib.rs`) that knows about loom and shuttle: the house takes its atomics
//! from here, so that the model checker and the schedule explorer run the production text.

#[cfg(shuttle)]
mod scheduled;
mod spinning;

#[cfg(shuttle)]
#[cfg(shuttle)]
pub use core::sync::atomic::AtomicPtr;
#[cfg(not(any(loom, shuttle, feature = "portable-atomic")))]
pub use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Ordering};
#[cfg(loom)]
pub use loom::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
#[cfg(all(feature = "portable-atomic", not(any(loom, shuttle))))]
pub use portable_atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Ordering};
#[cfg(shuttle)]
pub use scheduled::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

#[cfg(target_has_atomic = "64")]
pub use cells::RelaxedU64;
pub use cells::{RelaxedU8, RelaxedU16, RelaxedU32};
#[cfg(not(target_has_atomic = "64"))]
pub use halves::RelaxedU64;
pub use spinning::SpinLock;

mod cells {
    // The cells that others act upon have 32 bits: route entries, live bits, a chunk's link. Under
    // the schedule explorer they are scheduling points; counters and bitmaps stay plain.
    use crate::sync::{
        AtomicU32,
        Ordering::{Acquire, Relaxed, Release},
    };
    #[cfg(all(not(loom), target_has_atomic = "64"))]
    use core::sync::atomic::AtomicU64;
    #[cfg(not(loom))]
    use core::sync::atomic::{AtomicU8, AtomicU16};
    #[cfg(loom)]
    use loom::sync::atomic::{AtomicU8, AtomicU16, AtomicU64};

    macro_rules! relaxed_cell {
        ($name:ident, $atomic:ident, $int:ty) => {
            /// A cell with one writer at a time and any number of readers, who see some recent
            /// value. Compiles to plain loads and stores.
            #[repr(transparent)]
            #[derive(Debug, Default)]
            pub struct $name($atomic);

            impl $name {
                /// A cell that holds `value`.
                #[cfg(not(loom))]
                #[must_use]
                pub const fn new(value: $int) -> Self {
                    Self($atomic::new(value))
                }

                /// A cell that holds `value`. Loom numbers its atomics, so this can't be constant.
                #[cfg(loom)]
                #[must_use]
                pub fn new(value: $int) -> Self {
                    Self($atomic::new(value))
                }

                /// The current value.
                #[inline(always)]
                pub fn get(&self) -> $int {
                    self.0.load(Relaxed)
                }

                /// Replaces the value. Only the writer of the moment calls this.
                #[inline(always)]
                pub fn set(&self, value: $int) {
                    self.0.store(value, Relaxed);
                }

                /// Replaces the value, and with it shows what was written before to whoever sees it
                /// by [`Self::observe`]. Only the writer of the moment calls this.
                #[inline(always)]
                pub fn publish(&self, value: $int) {
                    self.0.store(value, Release);
                }

                /// The current value; what its writer had written before it was published can be
                /// seen.
                #[inline(always)]
                pub fn observe(&self) -> $int {
                    self.0.load(Acquire)
                }

                /// Adds to the value (two steps: only the writer of the moment calls this).
                #[inline(always)]
                pub fn add(&self, more: $int) {
                    self.set(self.get().wrapping_add(more));
                }

                /// Subtracts from the value, likewise.
                #[inline(always)]
                pub fn sub(&self, less: $int) {
                    self.set(self.get().wrapping_sub(less));
                }
            }
        };
    }

    relaxed_cell!(RelaxedU8, AtomicU8, u8);
    relaxed_cell!(RelaxedU16, AtomicU16, u16);
    relaxed_cell!(RelaxedU32, AtomicU32, u32);
    #[cfg(target_has_atomic = "64")]
    relaxed_cell!(RelaxedU64, AtomicU64, u64);
}

#[cfg(not(target_has_atomic = "64"))]
mod halves {
    use crate::sync::RelaxedU32;

    /// As the cells of fewer bits. Who reads while it is being written may see one half of the old
    /// value and one of the new: a bit of a bitmap is in one half, and a count that others read is
    /// one of statistics.
    #[derive(Debug, Default)]
    #[repr(C, align(8))]
    pub struct RelaxedU64 {
        low: RelaxedU32,
        high: RelaxedU32,
    }

    impl RelaxedU64 {
        /// A cell that holds `value`.
        #[must_use]
        pub const fn new(value: u64) -> Self {
            Self { low: RelaxedU32::new(value as u32), high: RelaxedU32::new((value >> 32) as u32) }
        }

        /// The current value.
        #[inline(always)]
        pub fn get(&self) -> u64 {
            u64::from(self.high.get()) << 32 | u64::from(self.low.get())
        }

        /// Replaces the value. Only the writer of the moment calls this.
        #[inline(always)]
        pub fn set(&self, value: u64) {
            self.low.set(value as u32);
            self.high.set((value >> 32) as u32);
        }

        /// Adds to the value, likewise.
        #[inline(always)]
        pub fn add(&self, more: u64) {
            self.set(self.get().wrapping_add(more));
        }

        /// Subtracts from the value, likewise.
        #[inline(always)]
        pub fn sub(&self, less: u64) {
            self.set(self.get().wrapping_sub(less));
        }
    }
}
