//! Under `cfg(shuttle)`: atomics of which every access is a point where the schedule explorer may
//! let another thread run. Floor: cellar.
//!
//! Shuttle's own atomics are larger than the integers they hold, and not valid when all bytes are
//! zero. The heap's tables are laid over fresh pages that read as zero, so these here keep the
//! layout of `core`'s. The meaning is the same: shuttle runs one thread at a time and treats every
//! ordering as `SeqCst` (weaker orders are what the loom models are for).

pub use core::sync::atomic::Ordering;
use core::{sync::atomic, time::Duration};

/// Lets another thread run, if the schedule says so.
fn point() {
    // Shuttle models no time: its `sleep` is the bare scheduling point.
    shuttle::thread::sleep(Duration::ZERO);
}

macro_rules! scheduled {
    ($name:ident, $value:ty) => {
        /// The atomic of the same name, with a scheduling point before each access.
        #[repr(transparent)]
        #[derive(Debug, Default)]
        pub struct $name(atomic::$name);

        impl $name {
            /// Holds `value`.
            #[must_use]
            pub const fn new(value: $value) -> Self {
                Self(atomic::$name::new(value))
            }

            /// As the atomic's.
            pub fn load(&self, order: Ordering) -> $value {
                point();
                self.0.load(order)
            }

            /// As the atomic's.
            pub fn store(&self, value: $value, order: Ordering) {
                point();
                self.0.store(value, order);
            }

            /// As the atomic's.
            pub fn swap(&self, value: $value, order: Ordering) -> $value {
                point();
                self.0.swap(value, order)
            }

            /// As the atomic's.
            ///
            /// # Errors
            /// The value that was found instead of `current`.
            pub fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                point();
                self.0.compare_exchange(current, new, success, failure)
            }

            /// As the atomic's, but never fails without cause, so that a schedule can be repeated.
            ///
            /// # Errors
            /// The value that was found instead of `current`.
            pub fn compare_exchange_weak(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                self.compare_exchange(current, new, success, failure)
            }
        }
    };
}

scheduled!(AtomicBool, bool);
scheduled!(AtomicU32, u32);
scheduled!(AtomicUsize, usize);

impl AtomicU32 {
    /// As the atomic's.
    pub const fn as_ptr(&self) -> *mut u32 {
        self.0.as_ptr()
    }

    /// As the atomic's.
    pub fn fetch_add(&self, more: u32, order: Ordering) -> u32 {
        point();
        self.0.fetch_add(more, order)
    }

    /// As the atomic's.
    pub fn fetch_sub(&self, less: u32, order: Ordering) -> u32 {
        point();
        self.0.fetch_sub(less, order)
    }
}
