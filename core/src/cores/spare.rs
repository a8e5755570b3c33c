//! Regions beside the heap's range: what the range has no room for is served from them. Floor: roof.
//!
//! One region heap has them all, behind a lock. A region is noted before its number is published, and never goes, so
//! whether an address lies in one can be told without the lock.

use super::CoreId;
use crate::{
    claim::ClaimError,
    pages::Region,
    platform::{Misuse, MisuseKind},
    region::{GRANULE, Link, RegionHeap, Scale},
    sync::{AtomicPtr, AtomicUsize, Ordering},
};
use core::{
    alloc::Layout,
    marker::PhantomData,
    ptr::{NonNull, null_mut},
};
use lock_api::{Mutex, MutexGuard, RawMutex};

/// Regions that a heap notes: its range, what the claim of the range left over, and seven more.
pub const REGIONS: usize = 9;
/// Bytes of the smallest spare region. Less would be control data for the most part.
pub const SMALLEST: usize = 2048;
/// Bytes of the largest: so much becomes one region of the region heap.
const LARGEST: usize = <u32 as Link>::MOST * GRANULE;

/// The scale of spare regions: few bins, as there are few blocks, and no caches, so that a region of some KiB is of
/// use.
pub struct Spare<C>(PhantomData<C>);

impl<C: CoreId> Scale for Spare<C> {
    type Link = u32;
    const EXACT: usize = 32;
    /// No cache; 0 would mean no map of the bins, and a search for every request.
    const CACHED: usize = 1;

    /// For overwritten links only: who frees looks first. The lock is taken, and what it guards can't be used again.
    fn misuse(misuse: Misuse) -> ! {
        C::misuse(misuse);
        panic!("{:#x}: free memory of a spare region was overwritten", misuse.address)
    }
}

/// Where a region lies.
struct Bounds {
    start: AtomicUsize,
    /// Where blocks can be.
    blocks: AtomicUsize,
    end: AtomicUsize,
}

impl Bounds {
    const fn none() -> Self {
        Self { start: AtomicUsize::new(0), blocks: AtomicUsize::new(0), end: AtomicUsize::new(0) }
    }

    // Relaxed: published by the number of regions.

    fn get(&self) -> (usize, usize, usize) {
        let get = |bound: &AtomicUsize| bound.load(Ordering::Relaxed);
        (get(&self.start), get(&self.blocks), get(&self.end))
    }

    fn set(&self, start: usize, blocks: usize, end: usize) {
        self.start.store(start, Ordering::Relaxed);
        self.blocks.store(blocks, Ordering::Relaxed);
        self.end.store(end, Ordering::Relaxed);
    }
}

/// The spare regions, and the bounds of the heap's range, which is the first that was noted.
pub struct Spares<C: CoreId, L> {
    bounds: [Bounds; REGIONS],
    /// Regions that were noted.
    len: AtomicUsize,
    heap: Mutex<L, RegionHeap<Spare<C>>>,
    /// Blocks that were freed by who could not wait for the lock.
    left: AtomicPtr<Left>,
}

/// What is written into such a block.
#[derive(Clone, Copy)]
struct Left {
    next: *mut Left,
    bytes: usize,
}

type Guard<'a, C, L> = MutexGuard<'a, L, RegionHeap<Spare<C>>>;

impl<C: CoreId, L: RawMutex> Spares<C, L> {
    pub const fn new() -> Self {
        Self {
            bounds: [const { Bounds::none() }; REGIONS],
            len: AtomicUsize::new(0),
            heap: Mutex::from_raw(L::INIT, RegionHeap::empty()),
            left: AtomicPtr::new(null_mut()),
        }
    }

    fn noted(&self) -> &[Bounds] {
        // Acquire: pairs with the Release of `note`.
        &self.bounds[..self.len.load(Ordering::Acquire)]
    }

    /// If an address lies in a spare region: where blocks can be there, and where it ends.
    fn region_of(&self, address: usize) -> Option<(usize, usize)> {
        let mut spare = self.noted().iter().skip(1).map(Bounds::get);
        let (_, blocks, end) = spare.find(|&(start, _, end)| start <= address && address < end)?;
        Some((blocks, end))
    }

    /// Whether a block lies in a spare region.
    pub fn holds(&self, block: *mut u8) -> bool {
        self.region_of(block.addr()).is_some()
    }

    /// Takes memory: the first is offered to `range`, which answers the part that it took, and how much of it blocks
    /// can have. What is left of that, and further memory, becomes spare regions. Answers the bytes that blocks can
    /// have.
    ///
    /// # Errors
    /// The memory can't be noted, or what `range` says. It was not taken then.
    ///
    /// # Safety
    /// It is memory, and the heap's alone, for ever.
    pub unsafe fn claim(
        &self,
        start: *mut u8,
        bytes: usize,
        range: impl FnOnce(Region) -> Result<(Region, usize), ClaimError>,
    ) -> Result<usize, ClaimError> {
        let end = start.addr().checked_add(bytes).ok_or(ClaimError::Invalid)?;
        let first = NonNull::new(start).ok_or(ClaimError::Invalid)?;
        let mut heap = self.heap.lock();
        let meets = |(from, _, to): (usize, usize, usize)| start.addr() < to && from < end;
        if self.noted().iter().map(Bounds::get).any(meets) {
            return Err(ClaimError::Overlaps);
        }
        let (mut usable, mut at) = (0, first.addr().get());
        if self.noted().is_empty() {
            let (taken, of_blocks) = range(Region { start: first, bytes })?;
            let from = taken.start.addr().get();
            (usable, at) = (of_blocks, from + taken.bytes);
            self.note(from, from, at);
        }
        while usable == 0 || at < end {
            let bytes = (end - at).min(LARGEST);
            // SAFETY: the caller's promise; `at` does not lie behind the end.
            match unsafe { self.claim_spare(&mut heap, start.add(at - start.addr()), bytes) } {
                Ok(of_blocks) => (usable, at) = (usable + of_blocks, at + bytes),
                Err(error) if usable == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(usable)
    }

    /// # Safety
    /// As for [`Self::claim`].
    unsafe fn claim_spare(
        &self,
        heap: &mut RegionHeap<Spare<C>>,
        start: *mut u8,
        bytes: usize,
    ) -> Result<usize, ClaimError> {
        if bytes < SMALLEST {
            return Err(ClaimError::TooSmall);
        }
        if self.noted().len() == REGIONS {
            return Err(ClaimError::TooMany);
        }
        // SAFETY: the caller's promise.
        let usable = unsafe { heap.claim(start, bytes) }?;
        // Whole granules, of which the last belongs to a block.
        let end = (start.addr() + bytes) & !(GRANULE - 1);
        self.note(start.addr(), end - usable, end);
        Ok(usable)
    }

    /// Notes a region. With the lock.
    fn note(&self, start: usize, blocks: usize, end: usize) {
        let len = self.len.load(Ordering::Relaxed);
        self.bounds[len].set(start, blocks, end);
        // Release: pairs with the Acquire of `noted`.
        self.len.store(len + 1, Ordering::Release);
    }

    /// The lock; `None` if it is taken and the caller may not wait. What others left is free then.
    fn lock(&self, may_wait: bool) -> Option<Guard<'_, C, L>> {
        loop {
            let mut heap = if may_wait { self.heap.lock() } else { self.heap.try_lock()? };
            let Err((block, kind)) = self.settle(&mut heap) else { return Some(heap) };
            drop(heap);
            accuse::<C>(block, kind);
        }
    }

    /// Frees what others left, up to the first that is no live block: nothing that is read there can be believed, and
    /// if it was left twice, what follows it is what came after it.
    fn settle(&self, heap: &mut RegionHeap<Spare<C>>) -> Result<(), (usize, MisuseKind)> {
        if self.left.load(Ordering::Relaxed).is_null() {
            return Ok(());
        }
        // Acquire: pairs with the Release of `leave`.
        let mut left = self.left.swap(null_mut(), Ordering::Acquire);
        while let Some(block) = NonNull::new(left) {
            let address = block.addr().get();
            heap.check(block.cast()).map_err(|kind| (address, kind))?;
            // SAFETY: live, so it is memory of a region, and of two granules at least. Who left it wrote this.
            let Left { next, bytes } = unsafe { block.read() };
            let room = self.region_of(address).map_or(0, |(_, end)| end - address);
            let layout = Layout::from_size_align(bytes, 1).ok().filter(|_| bytes <= room);
            let layout = layout.ok_or((address, MisuseKind::Corrupt))?;
            // SAFETY: a live block, which who left it gave up.
            unsafe { heap.deallocate(block.cast(), layout) };
            left = next;
        }
        Ok(())
    }

    /// A block from a spare region; null if there is none.
    pub fn alloc(&self, layout: Layout, may_wait: bool) -> *mut u8 {
        if self.noted().len() < 2 {
            return null_mut();
        }
        let Some(mut heap) = self.lock(may_wait) else { return null_mut() };
        heap.allocate(layout).map_or(null_mut(), NonNull::as_ptr)
    }

    /// Takes a block back if it lies in a spare region. What is not a live block is reported.
    ///
    /// # Safety
    /// If it does, and is a live block, it is of this layout, and the caller gives it up.
    pub unsafe fn dealloc(&self, block: *mut u8, layout: Layout, may_wait: bool) -> bool {
        let Some((blocks, end)) = self.region_of(block.addr()) else { return false };
        let freed = match NonNull::new(block).filter(|_| block.addr() >= blocks) {
            None => Err(MisuseKind::NeverAllocated),
            // SAFETY: the caller's promise; the block lies between these bounds.
            Some(block) => unsafe { self.free(block, end, layout, may_wait) },
        };
        // The lock is free again.
        if let Err(kind) = freed {
            accuse::<C>(block.addr(), kind);
        }
        true
    }

    /// # Errors
    /// It is no live block.
    ///
    /// # Safety
    /// As for [`Self::dealloc`] and [`Self::leave`].
    unsafe fn free(
        &self,
        block: NonNull<u8>,
        end: usize,
        layout: Layout,
        may_wait: bool,
    ) -> Result<(), MisuseKind> {
        let Some(mut heap) = self.lock(may_wait) else {
            // SAFETY: the caller's promise.
            return unsafe { self.leave(block.cast(), end, layout.size()) };
        };
        heap.check(block)?;
        // SAFETY: a live block; the caller's promise.
        unsafe { heap.deallocate(block, layout) };
        Ok(())
    }

    /// Leaves a block to the next who has the lock, who finds out whether it is a live one.
    ///
    /// # Errors
    /// It can't be one; nothing was written.
    ///
    /// # Safety
    /// `block` lies where blocks of a spare region can be, before `end`, and the caller gives it up.
    unsafe fn leave(
        &self,
        block: NonNull<Left>,
        end: usize,
        bytes: usize,
    ) -> Result<(), MisuseKind> {
        const { assert!(size_of::<Left>() <= 2 * GRANULE && align_of::<Left>() <= GRANULE) }
        let address = block.addr().get();
        if !address.is_multiple_of(GRANULE) || end - address < size_of::<Left>() {
            return Err(MisuseKind::Interior);
        }
        let mut next = self.left.load(Ordering::Relaxed);
        loop {
            // SAFETY: aligned, and memory of blocks. No block is smaller than two granules.
            unsafe { block.write(Left { next, bytes }) };
            // Release: pairs with the Acquire of `settle`.
            let (new, success) = (block.as_ptr(), Ordering::Release);
            match self.left.compare_exchange_weak(next, new, success, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(now) => next = now,
            }
        }
    }

    /// Bytes that blocks of the spare regions can have, and how many of them are free. For who may wait.
    pub fn totals(&self) -> (usize, usize) {
        let Some(heap) = self.lock(true) else { return (0, 0) };
        let stats = heap.stats();
        (stats.claimed - stats.control, stats.free)
    }
}

/// Reports a mistake. Without the lock, so that whatever the kernel does then may allocate.
#[cold]
fn accuse<C: CoreId>(address: usize, kind: MisuseKind) {
    C::misuse(Misuse { kind, address, block_bytes: 0, owner: 0 });
}
