//! The region heap behind a lock: a global allocator. Floor: annex.

use super::{
    Found, Kept, RegionHeap, RegionStats, Scale, Wide,
    blocks::{granules_of, whole},
    ground::Ground,
};
use crate::{ace::Reason, claim::ClaimError, sync::SpinLock};
use core::{
    alloc::{GlobalAlloc, Layout},
    hint::assert_unchecked,
    mem::MaybeUninit,
    num::NonZero,
    ptr::{NonNull, null_mut},
};
use lock_api::{Mutex, MutexGuard, RawMutex};

/// Asked when a request can't be met, with the heap to claim memory for, or to trim. `true`: try
/// again. Must not allocate from this heap otherwise: it is locked.
pub type OutOfMemory<S> = fn(&mut RegionHeap<S>, Layout) -> bool;

/// A [`RegionHeap`] for many callers: one lock around each call. Usually a `static`.
///
/// `L` must fit the callers: [`SpinLock`] for threads and CPUs that are not interrupted by others
/// of this heap's callers; a lock that masks interrupts where interrupt handlers allocate.
///
/// `S` must fit the memory, of which each region gives a part to its control data. In bytes, where
/// words have 64 bits:
///
/// | memory | `S` | least region ([`RegionHeap::MIN_BYTES`]) | blocks can have, of 4 KiB | of 64 KiB |
/// |---|---|---|---|---|
/// | below 8 KiB | [`Micro`](super::Micro) | 240 | 3,808 | 64,288 |
/// | below 128 KiB | [`Mini`](super::Mini) | 608 | 3,448 | 63,928 |
/// | more | [`Wide`], the default | 2,640 | 1,448 | 61,928 |
///
/// A program's mistake is reported through [`Scale::misuse`], which panics, while the heap is
/// locked: a panic handler that allocates from this heap then waits for ever with [`SpinLock`], and
/// panics again with `CriticalSectionLock`. The layout of a free is believed: see
/// [`RegionHeap::deallocate`].
///
/// With a feature `allocator-api2-…` a reference to it is an `Allocator`, for collections in a
/// region:
///
#[cfg_attr(feature = "allocator-api2-04", doc = "```")]
#[cfg_attr(not(feature = "allocator-api2-04"), doc = "```ignore")]
/// # use allocator_api2_04 as allocator_api2;
/// use ace_alloc::{LockedHeap, SpinLock, region::Mini};
/// use allocator_api2::vec::Vec;
/// use core::mem::MaybeUninit;
///
/// let mut memory = [MaybeUninit::<u8>::uninit(); 4096];
/// let heap: LockedHeap<SpinLock, Mini> = LockedHeap::empty();
/// // SAFETY: the memory is the heap's alone, and outlives it.
/// unsafe { heap.claim(memory.as_mut_ptr().cast(), memory.len()) }.expect("enough for a region");
///
/// let mut samples = Vec::with_capacity_in(100, &heap);
/// samples.extend(0_u32..100);
/// assert_eq!(samples.iter().sum::<u32>(), 4950);
/// assert!(samples.try_reserve(10_000).is_err(), "more than the region has");
/// ```
#[derive(Debug)]
pub struct LockedHeap<L: RawMutex = SpinLock, S: Scale = Wide> {
    heap: Mutex<L, RegionHeap<S>>,
    out_of_memory: OutOfMemory<S>,
}

impl<L: RawMutex, S: Scale> LockedHeap<L, S> {
    /// A heap without memory: it refuses every request until it has claimed some.
    #[must_use]
    pub const fn empty() -> Self {
        Self::with_oom(|_, _| false)
    }

    /// Likewise, with somebody to ask when it runs out of memory, and already at the first request.
    #[must_use]
    pub const fn with_oom(handler: OutOfMemory<S>) -> Self {
        Self { heap: Mutex::const_new(L::INIT, RegionHeap::empty()), out_of_memory: handler }
    }

    /// The heap itself, locked.
    pub fn lock(&self) -> MutexGuard<'_, L, RegionHeap<S>> {
        self.heap.lock()
    }

    /// See [`RegionHeap::claim`].
    ///
    /// # Errors
    /// As there.
    ///
    /// # Safety
    /// As there.
    pub unsafe fn claim(&self, start: *mut u8, bytes: usize) -> Result<usize, ClaimError> {
        // SAFETY: the caller's promise.
        unsafe { self.lock().claim(start, bytes) }
    }

    /// See [`RegionHeap::claim_static`].
    ///
    /// # Errors
    /// As there.
    pub fn claim_static(
        &self,
        memory: &'static mut [MaybeUninit<u8>],
    ) -> Result<usize, ClaimError> {
        self.lock().claim_static(memory)
    }

    /// See [`RegionHeap::stats`].
    pub fn stats(&self) -> RegionStats {
        self.lock().stats()
    }

    /// See [`RegionHeap::trim`].
    pub fn trim(&self) {
        self.lock().trim();
    }

    /// See [`RegionHeap::turn`].
    pub fn turn(&self, now_ms: u64) -> Option<Reason> {
        self.lock().turn(now_ms)
    }

    // The slow halves of `alloc` and `dealloc` take the guard with them, so that the fast ones have
    // nothing to do after them, and need no frame.

    #[inline(never)]
    fn alloc_uncached(
        &self,
        heap: MutexGuard<'_, L, RegionHeap<S>>,
        layout: Layout,
        first: Ground<S>,
        granules: usize,
    ) -> *mut u8 {
        match first.take(whole(granules)) {
            Some(block) => block.as_ptr(),
            None => self.alloc_elsewhere(heap, layout),
        }
    }

    #[inline(never)]
    fn alloc_elsewhere(
        &self,
        mut heap: MutexGuard<'_, L, RegionHeap<S>>,
        layout: Layout,
    ) -> *mut u8 {
        loop {
            if let Some(block) = heap.allocate_elsewhere(layout) {
                return block.as_ptr();
            }
            if !(self.out_of_memory)(&mut heap, layout) {
                return null_mut();
            }
        }
    }

    #[inline(never)]
    fn dealloc_alone(
        heap: MutexGuard<'_, L, RegionHeap<S>>,
        ground: Ground<S>,
        block: usize,
        granules: usize,
    ) {
        ground.settle(block, granules, 0);
        drop(heap);
    }

    #[inline(never)]
    fn dealloc_joined(
        heap: MutexGuard<'_, L, RegionHeap<S>>,
        ground: Ground<S>,
        block: usize,
        granules: usize,
        before: NonZero<usize>,
    ) {
        ground.settle(block, granules, before.get());
        drop(heap);
    }

    #[inline(never)]
    fn dealloc_elsewhere(
        mut heap: MutexGuard<'_, L, RegionHeap<S>>,
        block: NonNull<u8>,
        granules: usize,
    ) {
        heap.deallocate_elsewhere(block, granules);
    }
}

// SAFETY: blocks are disjoint, aligned and as large as asked, and stay so until they are freed: R1.
// A layout's size is at most `isize::MAX`.
unsafe impl<L: RawMutex, S: Scale> GlobalAlloc for LockedHeap<L, S> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the contract of `alloc`.
        unsafe { assert_unchecked(layout.size() != 0) };
        if S::CACHED == 0 {
            return self.alloc_elsewhere(self.lock(), layout);
        }
        let mut heap = self.lock();
        match heap.cached(layout) {
            Found::Block(block) => block.as_ptr(),
            Found::Region(ground, granules) => self.alloc_uncached(heap, layout, ground, granules),
            Found::Nothing => self.alloc_elsewhere(heap, layout),
        }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: a block was allocated with this layout, and there the contract is that it is not
        // of size zero.
        unsafe { assert_unchecked(layout.size() != 0) };
        // SAFETY: a block that was allocated is not null.
        let block = unsafe { NonNull::new_unchecked(block) };
        let granules = granules_of(layout.size());
        let mut heap = self.lock();
        match heap.keep(block, granules) {
            Kept::Yes => {}
            Kept::Alone(ground, block) => Self::dealloc_alone(heap, ground, block, granules),
            Kept::Joined(ground, block, before) => {
                Self::dealloc_joined(heap, ground, block, granules, before);
            }
            Kept::Odd => Self::dealloc_elsewhere(heap, block, granules),
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        if whole(granules_of(bytes)) == whole(granules_of(layout.size())) {
            return block;
        }
        // SAFETY: a block that was allocated is not null; the caller's promise.
        if unsafe { self.lock().resize_in_place(NonNull::new_unchecked(block), layout, bytes) } {
            return block;
        }
        // SAFETY: the caller's promise: rounded up to the alignment, the size is at most
        // `isize::MAX`.
        let moved = unsafe { Layout::from_size_align_unchecked(bytes, layout.align()) };
        // SAFETY: as above; the size is not zero.
        let to = unsafe { self.alloc(moved) };
        if !to.is_null() {
            // SAFETY: two blocks, both at least this long.
            unsafe { to.copy_from_nonoverlapping(block, layout.size().min(bytes)) };
            // SAFETY: the caller's promise.
            unsafe { self.dealloc(block, layout) };
        }
        to
    }
}
