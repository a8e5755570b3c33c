//! Regions beside the heap's range: what the range has no room for is served from them, first fit. Floor: roof.
//!
//! A region becomes a `linked_list_allocator` heap. A region is noted before its number is published, and never
//! goes, so whether an address lies in one can be told without the lock.

use crate::{
    claim::ClaimError,
    pages::Region,
    sync::{AtomicPtr, AtomicUsize, Ordering},
};
use core::{
    alloc::Layout,
    ptr::{NonNull, null_mut},
};
use linked_list_allocator::Heap as ListHeap;
use lock_api::{Mutex, MutexGuard, RawMutex};

/// Regions that a heap notes: its range and spare ones.
pub const REGIONS: usize = 8;
/// Bytes of the smallest spare region.
pub const SMALLEST: usize = 1024;

/// Where a region lies.
struct Bounds {
    start: AtomicUsize,
    end: AtomicUsize,
}

/// The spare regions, and the bounds of the heap's range.
pub struct Spares<L> {
    bounds: [Bounds; REGIONS],
    /// Regions that were noted.
    len: AtomicUsize,
    heaps: Mutex<L, [ListHeap; REGIONS]>,
    /// Blocks that were freed by who could not wait for the lock.
    left: AtomicPtr<Left>,
}

/// What is written into such a block.
struct Left {
    next: *mut Left,
    bytes: usize,
}

impl<L: RawMutex> Spares<L> {
    pub const fn new() -> Self {
        Self {
            bounds: [const { Bounds { start: AtomicUsize::new(0), end: AtomicUsize::new(0) } };
                REGIONS],
            len: AtomicUsize::new(0),
            heaps: Mutex::from_raw(L::INIT, [const { ListHeap::empty() }; REGIONS]),
            left: AtomicPtr::new(null_mut()),
        }
    }

    /// The region of a block, if it lies in one.
    fn region_of(&self, address: usize) -> Option<usize> {
        // Acquire: pairs with the Release of `note`.
        let len = self.len.load(Ordering::Acquire);
        self.bounds[..len].iter().position(|bounds| {
            // Relaxed: published by the number.
            let start = bounds.start.load(Ordering::Relaxed);
            start <= address && address < bounds.end.load(Ordering::Relaxed)
        })
    }

    /// Whether a block lies in a spare region.
    pub fn holds(&self, block: *mut u8) -> bool {
        self.region_of(block.addr()).is_some_and(|at| at > 0)
    }

    /// Notes a region, if `take` can use it.
    ///
    /// # Errors
    /// The region can't be noted, or what `take` says.
    pub fn claim<T>(
        &self,
        start: *mut u8,
        bytes: usize,
        take: impl FnOnce(&mut ListHeap, usize, Region) -> Result<T, ClaimError>,
    ) -> Result<T, ClaimError> {
        let end = start.addr().checked_add(bytes).ok_or(ClaimError::Invalid)?;
        let first = NonNull::new(start).ok_or(ClaimError::Invalid)?;
        let mut heaps = self.heaps.lock();
        let at = self.len.load(Ordering::Relaxed);
        let meets = |bounds: &Bounds| {
            start.addr() < bounds.end.load(Ordering::Relaxed)
                && bounds.start.load(Ordering::Relaxed) < end
        };
        if self.bounds[..at].iter().any(meets) {
            return Err(ClaimError::Overlaps);
        }
        let heap = heaps.get_mut(at).ok_or(ClaimError::TooMany)?;
        let taken = take(heap, at, Region { start: first, bytes })?;
        self.bounds[at].start.store(start.addr(), Ordering::Relaxed);
        self.bounds[at].end.store(end, Ordering::Relaxed);
        // Release: pairs with the Acquire of `region_of`.
        self.len.store(at + 1, Ordering::Release);
        Ok(taken)
    }

    /// The lock; `None` if it is taken and the caller may not wait.
    fn lock(&self, may_wait: bool) -> Option<MutexGuard<'_, L, [ListHeap; REGIONS]>> {
        let mut heaps = if may_wait { self.heaps.lock() } else { self.heaps.try_lock()? };
        // Acquire: pairs with the Release of `leave`.
        let mut left = match self.left.load(Ordering::Relaxed) {
            none if none.is_null() => none,
            _ => self.left.swap(null_mut(), Ordering::Acquire),
        };
        while let Some(block) = NonNull::new(left) {
            // SAFETY: who left the block wrote this, and gave the block up.
            let Left { next, bytes } = unsafe { block.read() };
            left = next;
            if let Some(at) = self.region_of(block.addr().get())
                && let Ok(layout) = Layout::from_size_align(bytes, 1)
            {
                // SAFETY: a live block of this region; the list heap needs nothing but its size.
                unsafe { heaps[at].deallocate(block.cast(), layout) };
            }
        }
        Some(heaps)
    }

    /// A block from a spare region; null if there is none.
    pub fn alloc(&self, layout: Layout, may_wait: bool) -> *mut u8 {
        let len = self.len.load(Ordering::Acquire);
        if len < 2 {
            return null_mut();
        }
        let Some(mut heaps) = self.lock(may_wait) else { return null_mut() };
        let block = heaps[..len].iter_mut().find_map(|heap| heap.allocate_first_fit(layout).ok());
        block.map_or(null_mut(), NonNull::as_ptr)
    }

    /// Takes a block back if it lies in a spare region.
    ///
    /// # Safety
    /// If it does, it is a live block of this layout, and the caller gives it up.
    pub unsafe fn dealloc(&self, block: *mut u8, layout: Layout, may_wait: bool) -> bool {
        let Some(at) = self.region_of(block.addr()).filter(|&at| at > 0) else { return false };
        match (NonNull::new(block), self.lock(may_wait)) {
            // SAFETY: the caller's promise.
            (Some(block), Some(mut heaps)) => unsafe { heaps[at].deallocate(block, layout) },
            // SAFETY: the caller's promise.
            _ => unsafe { self.leave(block.cast(), layout.size()) },
        }
        true
    }

    /// # Safety
    /// `block` is a live block of a spare region, and the caller gives it up.
    unsafe fn leave(&self, block: *mut Left, bytes: usize) {
        let mut next = self.left.load(Ordering::Relaxed);
        loop {
            // SAFETY: no block is smaller than two words, or less aligned than one.
            unsafe { block.write(Left { next, bytes }) };
            // Release: pairs with the Acquire of `lock`.
            match self.left.compare_exchange_weak(next, block, Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => return,
                Err(now) => next = now,
            }
        }
    }

    /// Bytes of the spare regions, and how many of them are free.
    pub fn totals(&self) -> (usize, usize) {
        let heaps = self.heaps.lock();
        heaps.iter().fold((0, 0), |(size, free), heap| (size + heap.size(), free + heap.free()))
    }
}
