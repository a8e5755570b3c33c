//! A heap with its shadow and its ledger: every live block is owned by one thread and filled, and when
//! all threads are gone the heap holds what an empty one holds.

use crate::platform::{self, Bug, Explored};
use ace_alloc::geometry::Placement;
use ace_alloc::{Dial, Geometry, Heap, Misuse, Stats};
use ace_alloc_tests::pages::{Fault, MockPages};
use ace_alloc_tests::platforms::audited;
use ace_alloc_tests::shadow::{Shadow, assert_zero};
use shuttle::rand::Rng;
use shuttle::thread::{Scope, ScopedJoinHandle};
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes that a heap may reserve and map: the range of the geometries, and a little for huge blocks.
const LIMIT: usize = 4 << 20;

/// A number below `bound`, chosen with the schedule.
#[must_use]
pub fn below(bound: usize) -> usize {
    shuttle::rand::thread_rng().gen_range(0..bound)
}

/// One of these, chosen with the schedule.
#[must_use]
pub fn one_of<T: Copy>(choices: &[T]) -> T {
    choices[below(choices.len())]
}

/// A live block on its way from thread to thread. The shadow knows its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parcel(*mut u8);

// SAFETY: whoever holds the parcel owns the block.
unsafe impl Send for Parcel {}

impl Parcel {
    /// Where the block starts.
    #[must_use]
    pub fn address(self) -> usize {
        self.0.addr()
    }
}

/// See the module's documentation.
pub struct House<G: Geometry> {
    heap: ManuallyDrop<Box<Heap<Explored<G>>>>,
    /// The provider behind the heap.
    pub pages: MockPages,
    shadow: Mutex<Shadow>,
    /// Whether somebody looked into superslabs while others worked.
    looked: AtomicBool,
}

impl<G: Geometry> House<G> {
    /// An empty heap whose dials are chosen with the schedule. Misuse ends the schedule.
    #[must_use]
    pub fn new() -> Self {
        platform::begin(false);
        let house = Self::plain();
        let dials = house.heap.dials();
        dials.set(Dial::WarmMax, one_of(&[0, 1, 16]));
        dials.set(Dial::WarmPrefill, one_of(&[0, 3]));
        dials.set(Dial::OutboxBytes, one_of(&[16, 4096, 16 << 10]));
        dials.set(Dial::DepotClassKib, one_of(&[0, 4, 1024]));
        dials.set(Dial::Visits, one_of(&[0, 1, 16]));
        dials.set(Dial::DirtyFloorKib, one_of(&[0, 64, 4096]));
        house
    }

    /// An empty heap of which misuse is noted: [`Self::close_with`] hands it out.
    #[must_use]
    pub fn tolerant() -> Self {
        platform::begin(true);
        Self::plain()
    }

    fn plain() -> Self {
        let pages = MockPages::new(LIMIT);
        Self {
            heap: ManuallyDrop::new(Box::new(Heap::new(pages.clone()))),
            pages,
            shadow: Mutex::default(),
            looked: AtomicBool::new(false),
        }
    }

    fn shadow(&self) -> MutexGuard<'_, Shadow> {
        self.shadow.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A thread that does `work` and then runs its exit hook, if it got one.
    pub fn thread<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        work: impl FnOnce() + Send + 'scope,
    ) -> ScopedJoinHandle<'scope, ()> {
        scope.spawn(move || {
            work();
            self.leave();
        })
    }

    /// Runs the calling thread's exit hook.
    pub fn leave(&self) {
        if platform::take_hook() {
            self.heap.thread_exit();
        }
    }

    /// A block, checked and filled; `None` without memory.
    #[must_use]
    pub fn take(&self, bytes: usize) -> Option<Parcel> {
        let ptr = self.heap.malloc(bytes);
        self.note(ptr, bytes)
    }

    /// A block, checked and filled, where memory is plenty.
    #[must_use]
    pub fn must_take(&self, bytes: usize) -> Parcel {
        self.take(bytes).expect("memory is plenty")
    }

    /// As [`Self::take`], and it has to read as zero.
    #[must_use]
    pub fn take_zeroed(&self, bytes: usize) -> Option<Parcel> {
        let ptr = self.heap.calloc(bytes);
        if !ptr.is_null() {
            // SAFETY: a fresh block of at least this many bytes.
            unsafe { assert_zero(ptr, bytes) };
        }
        self.note(ptr, bytes)
    }

    fn note(&self, ptr: *mut u8, bytes: usize) -> Option<Parcel> {
        if ptr.is_null() {
            return None;
        }
        // SAFETY: a fresh block of at least this many bytes.
        unsafe { self.shadow().adopt(ptr, bytes, 16, None) };
        Some(Parcel(ptr))
    }

    fn forget(&self, parcel: Parcel) -> usize {
        let mut shadow = self.shadow();
        let index = shadow.find(parcel.0).expect("the shadow knows the block");
        shadow.surrender(index).bytes
    }

    /// Checks a block and frees it.
    pub fn give(&self, parcel: Parcel) {
        self.forget(parcel);
        // SAFETY: a live block, freed once.
        unsafe { self.heap.free(parcel.0) };
    }

    /// Checks a block, frees it in the shadow only, and hands out what frees it in the heap: for
    /// crimes.
    #[must_use]
    pub fn surrender(&self, parcel: Parcel) -> Parcel {
        self.forget(parcel);
        parcel
    }

    /// Frees an address in the heap, whatever it is.
    pub fn free_raw(&self, parcel: Parcel, offset: usize) {
        // SAFETY: not kept, on purpose: the heap has to notice. It touches no memory at the address.
        unsafe { self.heap.free(parcel.0.wrapping_add(offset)) };
    }

    /// Checks a block and changes its length; the old one without memory.
    pub fn resize(&self, parcel: Parcel, bytes: usize) -> Parcel {
        let old = self.forget(parcel);
        // SAFETY: a live block, which the shadow does not know while it may move.
        let ptr = unsafe { self.heap.realloc(parcel.0, bytes) };
        if ptr.is_null() {
            return self.note(parcel.0, old).expect("not null");
        }
        self.note(ptr, bytes).expect("not null")
    }

    /// Writes to a block that another thread owns by now, if that bug was planted.
    pub fn touch(&self, parcel: Parcel) {
        if Bug::Touch.planted() && self.shadow().find(parcel.0).is_some() {
            // SAFETY: a live block of the shadow; that it is another's is the bug.
            unsafe { parcel.0.write(parcel.0.read().wrapping_add(2)) };
        }
    }

    /// Ends a heap of which all threads are gone and all blocks were freed: it serves once more, and then
    /// the ledger comes out and is empty.
    ///
    /// # Panics
    /// If something is left.
    pub fn close(self) {
        assert_eq!(self.close_with_misuses(), [], "misuse was reported");
    }

    /// As [`Self::close`]; returns the misuse that was tolerated.
    ///
    /// # Panics
    /// If something is left.
    #[must_use]
    pub fn close_with_misuses(self) -> Vec<Misuse> {
        assert!(self.shadow().is_empty(), "the promise freed all its blocks");
        self.pages.set_fault(Fault::Never);
        shuttle::thread::scope(|scope| {
            self.thread(scope, || {
                let parcels = [64, 1000, 2000, 4000, 9000].map(|bytes| self.must_take(bytes));
                for parcel in parcels {
                    self.give(parcel);
                }
            });
        });
        self.heap.trim(0);
        let ledger = audited(&self.heap, &self.pages);
        if let Err(imbalance) = ledger.audit_empty() {
            panic!("{imbalance}: {ledger:?}");
        }
        let stats = self.heap.stats();
        assert_eq!(stats.dirty_bytes, 0, "free memory left after a trim");
        // A superslab that became empty while somebody had it pinned stays until it is used again. With
        // prefixes in slabs' tails every free of another's block pins.
        let pinned = self.looked.load(Ordering::Relaxed) || G::PREFIX == Placement::SlabTail;
        let superslabs = stats.superslabs.live + stats.superslabs.draining;
        assert!(pinned || superslabs == 0, "superslabs were not released: {:?}", stats.superslabs);
        platform::take_misuses()
    }

    /// Gives back what can be given back.
    pub fn trim(&self) {
        self.heap.trim(0);
    }

    /// Looks at everything, and checks what must be true at any moment.
    ///
    /// # Panics
    /// If it is not.
    pub fn look(&self) -> Stats {
        self.looked.store(true, Ordering::Relaxed);
        let stats = self.heap.stats();
        assert!(stats.threads <= G::MAX_HEAPS, "{} threads with a heap", stats.threads);
        let ledger = self.heap.ledger();
        if let Err(imbalance) = ledger.audit_units() {
            panic!("{imbalance}: {ledger:?}");
        }
        stats
    }

    /// The heap itself.
    #[must_use]
    pub fn heap(&self) -> &Heap<Explored<G>> {
        &self.heap
    }
}

impl<G: Geometry> Default for House<G> {
    fn default() -> Self {
        Self::new()
    }
}

impl<G: Geometry> Drop for House<G> {
    fn drop(&mut self) {
        // SAFETY: `heap` is not used after this; its pages are still there.
        unsafe { ManuallyDrop::drop(&mut self.heap) };
        if !std::thread::panicking() {
            // SAFETY: the promise's threads ended before the house did, and it keeps no block. (After a
            // panic other threads of the schedule may still be in the middle of something.)
            unsafe { self.pages.unmap_all() };
        }
    }
}
