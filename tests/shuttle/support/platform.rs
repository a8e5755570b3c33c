//! What the heap stands on under the explorer: geometries so small that everything runs out at once, a
//! lock that is a scheduling point, fronts of the explorer's threads, and bugs that can be planted.

use ace_alloc::Geometry;
use ace_alloc::geometry::Placement;
use ace_alloc::platform::{Misuse, Platform, Threads};
use ace_alloc::tiny::Front;
use ace_alloc_tests::pages::MockPages;
use shuttle::sync::{Mutex, MutexGuard};
use std::cell::{Cell, RefCell, UnsafeCell};
use std::marker::PhantomData;
use std::mem;
use std::ptr::NonNull;
use std::sync::{OnceLock, PoisonError};

/// A bug that a test can plant to see that the explorer finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// None.
    None,
    /// The pool's lock excludes nobody.
    Lock,
    /// A thread ends without its exit hook.
    Exit,
    /// All threads share one front.
    Front,
    /// The slots through which threads swap blocks can be emptied by two at once.
    Slot,
    /// A thread writes to a block that it has handed to another.
    Touch,
}

impl Bug {
    /// All that can be planted, by the names that `ACE_SHUTTLE_BUG` knows.
    pub const ALL: [(&str, Self); 5] = [
        ("lock", Self::Lock),
        ("exit", Self::Exit),
        ("front", Self::Front),
        ("slot", Self::Slot),
        ("touch", Self::Touch),
    ];

    /// Whether this is the bug that was planted.
    ///
    /// # Panics
    /// If `ACE_SHUTTLE_BUG` names none.
    #[must_use]
    pub fn planted(self) -> bool {
        static PLANTED: OnceLock<Bug> = OnceLock::new();
        self == *PLANTED.get_or_init(|| {
            let Ok(name) = std::env::var("ACE_SHUTTLE_BUG") else { return Self::None };
            let bug = Self::ALL.iter().find(|(known, _)| *known == name);
            bug.unwrap_or_else(|| panic!("ACE_SHUTTLE_BUG: there is no bug {name:?}")).1
        })
    }
}

/// The shape of all heaps here, but for where their prefixes lie: 4 KiB units, 8 of them a superslab;
/// slabs of 4 to 64 blocks, magazines of 2 to 7, parcels of 3; three heap records.
macro_rules! tiny_geometry {
    ($(#[$doc:meta])* $name:ident, $placement:ident) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name;

        impl Geometry for $name {
            const UNIT_SHIFT: u32 = 12;
            const SUPERSLAB_UNITS: u32 = 8;
            const MAX_UNITS: u32 = 192;
            const MIN_UNITS: u32 = 8;
            const COMMIT_UNITS: u32 = 8;
            const MAGAZINE_SLOTS: usize = 8;
            const MAGAZINE_BYTES: usize = 4 << 10;
            const MAX_HEAPS: u32 = 3;
            const CLASS_MAX: usize = 4 << 10;
            const HUGE_MIN: usize = 64 << 10;
            const PREFIX: Placement = Placement::$placement;
        }
    };
}

tiny_geometry!(
    /// Prefixes in a table, as on hosts.
    Tables,
    Table
);
tiny_geometry!(
    /// Prefixes in the slabs' tails.
    Tails,
    SlabTail
);

/// Geometry `G` under the explorer.
#[derive(Debug)]
pub struct Explored<G>(PhantomData<G>);

impl<G: Geometry> Platform for Explored<G> {
    type Geometry = G;
    type Pages = MockPages;
    type Threads = ExploredThreads;
    type Lock = ExploredLock;

    fn now_ms() -> Option<u64> {
        CLOCK.set(CLOCK.get() + 1);
        Some(CLOCK.get())
    }

    fn misuse(misuse: Misuse) {
        assert!(TOLERANT.get(), "misuse reported: {misuse:x?}");
        MISUSES.with_borrow_mut(|list| list.push(misuse));
    }
}

thread_local! {
    // The explorer runs all threads of a schedule on one thread of the system, so these belong to
    // the schedule.
    static CLOCK: Cell<u64> = const { Cell::new(0) };
    static TOLERANT: Cell<bool> = const { Cell::new(false) };
    static MISUSES: RefCell<Vec<Misuse>> = const { RefCell::new(Vec::new()) };
    static SHARED: Cell<Option<NonNull<Front>>> = const { Cell::new(None) };
}

/// Begins a schedule: the clock starts again, and misuse ends the schedule unless it is `tolerated`.
pub fn begin(tolerated: bool) {
    CLOCK.set(0);
    TOLERANT.set(tolerated);
    MISUSES.take();
    SHARED.set(None);
}

/// The misuses that were tolerated since the last time.
#[must_use]
pub fn take_misuses() -> Vec<Misuse> {
    MISUSES.take()
}

/// A thread's front, and whether its exit hook is to run.
#[derive(Debug)]
struct Seat {
    front: UnsafeCell<Front>,
    hooked: Cell<bool>,
    refuses: Cell<bool>,
}

shuttle::thread_local! {
    static SEAT: Seat = Seat {
        front: UnsafeCell::new(Front::EMPTY),
        hooked: Cell::new(false),
        refuses: Cell::new(false),
    };
}

/// Fronts in the thread-local memory of the explorer's threads.
#[derive(Debug)]
pub struct ExploredThreads;

// SAFETY: each thread of the explorer has its own seat, which is boxed (so it never moves) and outlives
// the thread's own code. (`Bug::Front` breaks this promise on purpose.)
unsafe impl Threads for ExploredThreads {
    const INIT: Self = Self;

    fn front(&self) -> NonNull<Front> {
        let own = SEAT.with(|seat| NonNull::new(seat.front.get()));
        let own = own.expect("a seat is not at null");
        if Bug::Front.planted() {
            let shared = SHARED.get().unwrap_or(own);
            SHARED.set(Some(shared));
            return shared;
        }
        own
    }

    fn on_first_use() -> bool {
        SEAT.with(|seat| {
            seat.hooked.set(!seat.refuses.get());
            seat.hooked.get()
        })
    }
}

/// Whether the calling thread's exit hook was registered; it is not any more afterwards.
#[must_use]
pub fn take_hook() -> bool {
    SEAT.with(|seat| seat.hooked.take()) && !Bug::Exit.planted()
}

/// From now on the calling thread can't register an exit hook, so it gets no heap.
pub fn refuse_heap() {
    SEAT.with(|seat| seat.refuses.set(true));
}

/// A lock by the explorer's mutex: who waits is not scheduled, and a deadlock is found.
pub struct ExploredLock {
    mutex: Mutex<()>,
    guard: UnsafeCell<Option<MutexGuard<'static, ()>>>,
}

// SAFETY: the cell is written by the holder of the mutex alone.
unsafe impl Sync for ExploredLock {}
// SAFETY: as above.
unsafe impl Send for ExploredLock {}

// SAFETY: from `lock` or a `try_lock` that succeeded to `unlock` the guard of the mutex is kept.
// (`Bug::Lock` breaks this promise on purpose.)
unsafe impl lock_api::RawMutex for ExploredLock {
    const INIT: Self = Self { mutex: Mutex::new(()), guard: UnsafeCell::new(None) };
    type GuardMarker = lock_api::GuardNoSend;

    fn lock(&self) {
        if Bug::Lock.planted() {
            return shuttle::thread::yield_now();
        }
        let guard = self.mutex.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the guard is dropped in `unlock` or with this lock, so before the mutex.
        let guard = unsafe { mem::transmute::<MutexGuard<'_, ()>, MutexGuard<'static, ()>>(guard) };
        // SAFETY: we hold the mutex.
        unsafe { *self.guard.get() = Some(guard) };
    }

    fn try_lock(&self) -> bool {
        let Ok(guard) = self.mutex.try_lock() else { return false };
        // SAFETY: as in `lock`.
        let guard = unsafe { mem::transmute::<MutexGuard<'_, ()>, MutexGuard<'static, ()>>(guard) };
        // SAFETY: we hold the mutex.
        unsafe { *self.guard.get() = Some(guard) };
        true
    }

    unsafe fn unlock(&self) {
        // SAFETY: the caller holds the lock.
        let guard = unsafe { (*self.guard.get()).take() };
        drop(guard);
    }
}
