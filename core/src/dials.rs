//! The numbers that may change while the heap runs. Floor: window.
//!
//! Read in WARM and COLD only; written by the host's options and by ACE. Every value is clamped to its
//! range when it is set, so readers never see one out of bounds.

use crate::size_class::SizeClass;
use crate::sync::{RelaxedU8, RelaxedU32};

/// Which way a class's requests go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Route {
    /// Magazines first; if the thread's front can't serve, a block of the shared pool.
    TinyFirst = 0,
    /// Magazines only: a thread that can't have a heap gets no memory.
    TinyOnly = 1,
    /// A block of the shared pool, under its lock: slowest, and nothing is put into caches. A thread that
    /// has blocks of the class in its magazine uses those up first.
    PoolOnly = 2,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Dials {
    route: [RelaxedU8; SizeClass::COUNT],
    refill_max: RelaxedU32,
    depot_class_kib: RelaxedU32,
    depot_thread_kib: RelaxedU32,
    outbox_bytes: RelaxedU32,
    warm_prefill: RelaxedU32,
    warm_max: RelaxedU32,
    dirty_floor_kib: RelaxedU32,
    dirty_permille: RelaxedU32,
}

macro_rules! dial {
    ($(#[$doc:meta])* $get:ident, $set:ident, $field:ident, $range:expr) => {
        $(#[$doc])*
        #[must_use]
        pub fn $get(&self) -> u32 {
            self.$field.get()
        }

        /// Sets the dial of the same name; out of range is clamped.
        pub fn $set(&self, value: u32) {
            self.$field.set(value.clamp(*$range.start(), *$range.end()));
        }
    };
}

impl Dials {
    /// First values (measured: docs/decisions/0003-first-dials.md).
    #[must_use]
    pub const fn new() -> Self {
        Self {
            route: [const { RelaxedU8::new(Route::TinyFirst as u8) }; SizeClass::COUNT],
            refill_max: RelaxedU32::new(64),
            depot_class_kib: RelaxedU32::new(1024),
            depot_thread_kib: RelaxedU32::new(4096),
            outbox_bytes: RelaxedU32::new(16 << 10),
            warm_prefill: RelaxedU32::new(3),
            warm_max: RelaxedU32::new(16),
            dirty_floor_kib: RelaxedU32::new(4096),
            dirty_permille: RelaxedU32::new(100),
        }
    }

    dial!(
        /// Most blocks that one refill brings (1 to 127).
        refill_max, set_refill_max, refill_max, 1..=127
    );
    dial!(
        /// Most KiB of blocks in a thread's depot for one class.
        depot_class_kib, set_depot_class_kib, depot_class_kib, 0..=1 << 20
    );
    dial!(
        /// Most KiB of blocks in a thread's depot, all classes together.
        depot_thread_kib, set_depot_thread_kib, depot_thread_kib, 0..=1 << 20
    );
    dial!(
        /// Most bytes of blocks that wait in one outbox before they are sent home.
        outbox_bytes, set_outbox_bytes, outbox_bytes, 16..=1 << 20
    );
    dial!(
        /// Slabs that are carved besides the wanted one when the warm pool is empty.
        warm_prefill, set_warm_prefill, warm_prefill, 0..=16
    );
    dial!(
        /// Most empty slabs of a class that the warm pool keeps.
        warm_max, set_warm_max, warm_max, 0..=64
    );
    dial!(
        /// KiB of free memory that may stay resident, at least.
        dirty_floor_kib, set_dirty_floor_kib, dirty_floor_kib, 0..=1 << 30
    );
    dial!(
        /// Thousandths of the memory in use that may stay resident as free memory.
        dirty_permille, set_dirty_permille, dirty_permille, 0..=10_000
    );

    /// The route of a class.
    #[must_use]
    pub fn route(&self, class: SizeClass) -> Route {
        match self.route[class.index()].get() {
            1 => Route::TinyOnly,
            2 => Route::PoolOnly,
            _ => Route::TinyFirst,
        }
    }

    /// Sets the route of a class.
    pub fn set_route(&self, class: SizeClass, route: Route) {
        self.route[class.index()].set(route as u8);
    }

    /// Free bytes that may stay resident while `used_bytes` are in use.
    #[must_use]
    pub fn dirty_limit(&self, used_bytes: usize) -> usize {
        let share = used_bytes / 1000 * self.dirty_permille() as usize;
        share.max(self.dirty_floor_kib() as usize * 1024)
    }
}

impl Default for Dials {
    fn default() -> Self {
        Self::new()
    }
}
