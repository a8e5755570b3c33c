//! Platforms made for tests: any geometry on `MockPages`, fronts that a test can switch, so that one
//! thread plays many, and misuse that is recorded instead of ending the program.

use crate::pages::MockPages;
use ace_alloc::Heap;
use ace_alloc::geometry::{Geometry, Host, HostTail, Small};
use ace_alloc::ledger::Ledger;
use ace_alloc::platform::{Misuse, Platform, Threads};
use ace_alloc::tiny::Front;
use std::cell::{Cell, RefCell, UnsafeCell};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};

thread_local! {
    static OWN: UnsafeCell<Front> = const { UnsafeCell::new(Front::EMPTY) };
    static SEAT: Cell<*mut Front> = const { Cell::new(ptr::null_mut()) };
    static REFUSE_HEAPS: Cell<bool> = const { Cell::new(false) };
    static MISUSES: RefCell<Vec<Misuse>> = const { RefCell::new(Vec::new()) };
}

/// Fronts in thread-local memory, or in the [`Seat`] that the thread sits in.
#[derive(Debug)]
pub struct TestThreads;

// SAFETY: a thread's own front lives in its thread-local memory, which has no destructor; a seat is
// sat in by one thread at a time (`Seat::sit` borrows it) and its front is boxed, so it never moves.
unsafe impl Threads for TestThreads {
    const INIT: Self = Self;

    #[inline(always)]
    fn front(&self) -> NonNull<Front> {
        let front = match SEAT.get() {
            seat if seat.is_null() => OWN.with(UnsafeCell::get),
            seat => seat,
        };
        NonNull::new(front).expect("thread-local memory is not at null")
    }

    fn on_first_use() -> bool {
        !REFUSE_HEAPS.get()
    }
}

/// A front that any thread can use in place of its own: a pretended thread.
#[derive(Debug)]
pub struct Seat {
    front: NonNull<Front>,
}

// SAFETY: the front behind a seat is used only through `sit`, which borrows the seat exclusively.
unsafe impl Send for Seat {}

impl Seat {
    /// A thread that has not allocated yet.
    #[must_use]
    pub fn new() -> Self {
        Self { front: NonNull::from(Box::leak(Box::new(Front::EMPTY))) }
    }

    /// Runs `work` as the pretended thread.
    pub fn sit<R>(&mut self, work: impl FnOnce() -> R) -> R {
        let before = SEAT.replace(self.front.as_ptr());
        let result = work();
        SEAT.set(before);
        result
    }
}

impl Default for Seat {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        // SAFETY: the box that `new` leaked; nobody sits in the seat while it is being dropped.
        drop(unsafe { Box::from_raw(self.front.as_ptr()) });
    }
}

/// Runs `work` in a thread for which `on_first_use` answers `false`.
pub fn without_heaps<R>(work: impl FnOnce() -> R) -> R {
    REFUSE_HEAPS.set(true);
    let result = work();
    REFUSE_HEAPS.set(false);
    result
}

/// The misuses that this thread's calls reported since the last time.
#[must_use]
pub fn take_misuses() -> Vec<Misuse> {
    MISUSES.with(RefCell::take)
}

/// Geometry `G` on test pages, which are zero when they are fresh, or not.
#[derive(Debug)]
pub struct TestPlatform<G, const ZEROED: bool = true>(PhantomData<G>);

impl<G: Geometry, const ZEROED: bool> Platform for TestPlatform<G, ZEROED> {
    type Geometry = G;
    type Pages = MockPages<ZEROED>;
    type Threads = TestThreads;
    type Lock = spin::Mutex<()>;

    fn misuse(misuse: Misuse) {
        MISUSES.with_borrow_mut(|list| list.push(misuse));
    }
}

/// What a test must know about a geometry, beside the geometry itself.
pub trait Shape: Geometry {
    /// Name for messages.
    const NAME: &'static str;
    /// Bytes that its test heaps may reserve and map. Far more than the scripts use.
    const LIMIT: usize;
    /// Largest block that scripts ask for, but for huge ones.
    const LARGEST: usize;
    /// Pretended threads of a script. More than `MAX_HEAPS` where that is small.
    const SEATS: usize;
}

impl Shape for Host {
    const NAME: &'static str = "Host";
    const LIMIT: usize = 4 << 30;
    const LARGEST: usize = 3 << 20;
    const SEATS: usize = 4;
}

impl Shape for HostTail {
    const NAME: &'static str = "HostTail";
    const LIMIT: usize = 4 << 30;
    const LARGEST: usize = 3 << 20;
    const SEATS: usize = 4;
}

impl Shape for Small {
    const NAME: &'static str = "Small";
    const LIMIT: usize = 96 << 20;
    const LARGEST: usize = 200 << 10;
    const SEATS: usize = 12;
}

/// A heap's own account, held against what its pages count. Exact while no other thread is inside a call
/// of the heap.
///
/// # Panics
/// If something does not come out.
pub fn audited<P: Platform, const ZEROED: bool>(
    heap: &Heap<P>,
    pages: &MockPages<ZEROED>,
) -> Ledger {
    let (ledger, pages) = (heap.ledger(), pages.ledger());
    if let Err(imbalance) = ledger.audit() {
        panic!("{imbalance}: {ledger:?}");
    }
    let committed = ledger.committed_bytes + ledger.metadata_bytes;
    // A commit that fails half-way leaves pages committed that nobody uses yet.
    let exact = pages.faults > 0 || committed == pages.committed;
    assert!(
        exact && committed <= pages.committed,
        "{committed} bytes committed by the heap's account, {} by the pages'",
        pages.committed
    );
    assert_eq!((ledger.huge.blocks, ledger.huge.bytes), (pages.maps, pages.mapped), "huge");
    ledger
}

/// A heap on its own pages, which are unmapped when it is dropped.
pub struct TestHeap<G: Geometry, const ZEROED: bool = true> {
    heap: ManuallyDrop<Box<Heap<TestPlatform<G, ZEROED>>>>,
    /// The provider behind the heap.
    pub pages: MockPages<ZEROED>,
}

impl<G: Geometry, const ZEROED: bool> TestHeap<G, ZEROED> {
    /// A heap that may use `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        let pages = MockPages::new(limit);
        Self { heap: ManuallyDrop::new(Box::new(Heap::new(pages.clone()))), pages }
    }

    /// [`audited`] of this heap.
    pub fn audited(&self) -> Ledger {
        audited(self, &self.pages)
    }

    /// [`Self::audited`], and nothing is left of what was allocated: for a heap whose threads are gone.
    ///
    /// # Panics
    /// If something does not come out, or is not back.
    pub fn audited_empty(&self) {
        let ledger = self.audited();
        if let Err(imbalance) = ledger.audit_empty() {
            panic!("{imbalance}; {}: {ledger:?}", self.live_in_words());
        }
    }

    /// Blocks in the program's hands, of every kind.
    #[must_use]
    pub fn live_blocks(&self) -> u64 {
        let stats = self.stats();
        let small: u64 = stats.classes.iter().map(|class| class.live_blocks).sum();
        small + stats.large.blocks as u64 + stats.huge.blocks as u64
    }

    /// What [`Self::live_blocks`] counted, in words for a message.
    #[must_use]
    pub fn live_in_words(&self) -> String {
        let stats = self.stats();
        let live = stats.classes.iter().filter(|class| class.live_blocks > 0);
        let small: Vec<_> = live
            .map(|class| format!("{} of {} bytes", class.live_blocks, class.block_bytes))
            .collect();
        format!(
            "{}; {:?} large; {:?} huge; {:?}",
            small.join(", "),
            stats.large,
            stats.huge,
            stats.events
        )
    }
}

impl<G: Geometry, const ZEROED: bool> std::ops::Deref for TestHeap<G, ZEROED> {
    type Target = Heap<TestPlatform<G, ZEROED>>;

    fn deref(&self) -> &Self::Target {
        &self.heap
    }
}

impl<G: Geometry, const ZEROED: bool> Drop for TestHeap<G, ZEROED> {
    fn drop(&mut self) {
        // SAFETY: `heap` is not used after this; the pages it may read in its own drop are still there.
        unsafe { ManuallyDrop::drop(&mut self.heap) };
        // SAFETY: the tests end their threads before they drop the heap, and keep no block.
        unsafe { self.pages.unmap_all() };
    }
}
