//! A heap over regions of memory: for microcontrollers, for early boot, for anything that has bytes but no pages.
//! Floor: annex.
//!
//! Blocks have no header: their size comes from the layout they are freed with. One bit for each eight bytes
//! says where blocks begin and where free ones end, so that a free block joins its neighbours at once, and a
//! free of anything that is not a live block's start is noticed. Free blocks hang in bins by size; small ones
//! are kept as they are for the next request of their size, up to a part of what is free.
//!
//! | file | what |
//! |---|---|
//! | `scale` | shapes: width of links, bins, caches |
//! | `ground` | one region as raw memory |
//! | `bins` | free blocks by size |
//! | `blocks` | take, give, resize |
//! | `claim` | memory becomes a region |
//! | `stats`, `turn` | what it holds; ACE's turns over it |
//! | `audit` | whether all of it holds; for tests |
//! | `locked` | [`LockedHeap`]: the heap behind a lock |

mod audit;
mod bins;
mod blocks;
mod claim;
mod ground;
mod locked;
mod scale;
mod stats;
mod turn;

pub use crate::claim::ClaimError;
#[doc(hidden)]
pub use audit::{Audit, Broken};
pub use locked::{LockedHeap, OutOfMemory};
pub use scale::{Bounded, Link, Micro, Mini, Scale, Wide};
pub use stats::RegionStats;

use crate::misuse::{Misuse, MisuseKind};
use blocks::granules_of;
use core::{alloc::Layout, mem::MaybeUninit, ptr::NonNull};
use ground::Ground;
use scale::GRANULE;

/// A heap over regions, for one caller at a time; [`LockedHeap`] is for many.
///
/// Overhead: a 64th of the region for bits, some hundred bytes of control data at its start (160 to 3,000, by
/// scale), and what rounding to eight bytes takes, 16 at least. Time: a constant number of steps a region, but
/// for a request that a scale which is not [`Bounded`] would otherwise have to refuse: it then empties the
/// caches and looks at every free block.
#[derive(Debug)]
pub struct RegionHeap<S: Scale> {
    first: Option<Ground<S>>,
}

// SAFETY: the regions are the heap's alone (`claim`), so they go where it goes.
unsafe impl<S: Scale> Send for RegionHeap<S> {}

impl<S: Scale> RegionHeap<S> {
    /// A heap without memory: it refuses every request until it has claimed some.
    #[must_use]
    pub const fn empty() -> Self {
        Self { first: None }
    }

    /// Takes memory, and answers how many bytes of it blocks can have. What links can't reach becomes further
    /// regions; a rest too small for one is left alone. Blocks lie within one region.
    ///
    /// # Errors
    /// [`ClaimError`]; the heap is then as it was.
    ///
    /// # Safety
    /// The memory is readable and writable, and nobody else's for as long as the heap or a block of it is used.
    pub unsafe fn claim(&mut self, start: *mut u8, bytes: usize) -> Result<usize, ClaimError> {
        let (mut base, mut left) = claim::granules_between(start, bytes)?;
        if self.regions().any(|region| region.overlaps(base, left)) {
            return Err(ClaimError::Overlaps);
        }
        let mut usable = 0;
        loop {
            // SAFETY: the caller's promise, and no other region has it.
            match unsafe { Ground::found(base, left) } {
                Ok((ground, taken)) => {
                    self.append(ground);
                    usable += ground.get(|control| control.free) * GRANULE;
                    left -= taken;
                    // SAFETY: inside the memory, or its end.
                    base = unsafe { base.add(taken * GRANULE) };
                }
                Err(error) if usable == 0 => return Err(error),
                Err(_) => return Ok(usable),
            }
        }
    }

    /// Takes memory that nobody can have use for any more.
    ///
    /// # Errors
    /// As for [`RegionHeap::claim`].
    pub fn claim_static(
        &mut self,
        memory: &'static mut [MaybeUninit<u8>],
    ) -> Result<usize, ClaimError> {
        // SAFETY: the reference is the only one, for ever.
        unsafe { self.claim(memory.as_mut_ptr().cast(), memory.len()) }
    }

    /// In order of their claims: that is the order in which they are asked.
    fn regions(&self) -> impl Iterator<Item = Ground<S>> {
        core::iter::successors(self.first, |region| region.get(|control| control.next))
    }

    fn append(&mut self, ground: Ground<S>) {
        match self.regions().last() {
            None => self.first = Some(ground),
            Some(last) => last.edit(|control| control.next = Some(ground)),
        }
    }

    /// A block; `None` if there is no memory for it.
    #[inline(always)]
    pub fn allocate(&mut self, layout: Layout) -> Option<NonNull<u8>> {
        let granules = granules_of(layout.size());
        // Without caches there is no fast path worth its code.
        if S::CACHED > 0
            && layout.align() <= GRANULE
            && let Some(ground) = self.first
        {
            let block = ground.pop(granules);
            if block != 0 {
                return Some(ground.start(block));
            }
            return self.allocate_warm(ground, layout, granules);
        }
        self.allocate_elsewhere(layout)
    }

    #[inline(never)]
    fn allocate_warm(
        &mut self,
        ground: Ground<S>,
        layout: Layout,
        granules: usize,
    ) -> Option<NonNull<u8>> {
        if granules < S::EXACT {
            let block = ground.take(granules);
            if block != 0 {
                return Some(ground.start(block));
            }
        }
        self.allocate_elsewhere(layout)
    }

    /// What is long or aligned, or found no place in the first region.
    #[inline(never)]
    fn allocate_elsewhere(&mut self, layout: Layout) -> Option<NonNull<u8>> {
        let (granules, align) = (granules_of(layout.size()), layout.align().div_ceil(GRANULE));
        for ground in self.regions() {
            let cached = if align > 1 { 0 } else { ground.pop(granules) };
            let block = if cached == 0 { ground.take_any(granules, align) } else { cached };
            if block != 0 {
                return Some(ground.start(block));
            }
        }
        self.last_resort(layout)
    }

    #[cold]
    #[inline(never)]
    fn last_resort(&mut self, layout: Layout) -> Option<NonNull<u8>> {
        let (granules, align) = (granules_of(layout.size()), layout.align().div_ceil(GRANULE));
        self.first?.edit(|control| control.refused = control.refused.wrapping_add(1));
        if S::BOUNDED {
            return None;
        }
        self.regions().find_map(|ground| {
            ground.flush();
            match ground.scavenge(granules, align) {
                0 => None,
                block => Some(ground.start(block)),
            }
        })
    }

    /// Frees a block. What is not a live block of the heap is reported through [`Scale::misuse`].
    ///
    /// # Safety
    /// `block` was allocated with a layout of this size by this heap, and the caller gives it up.
    #[inline(always)]
    pub unsafe fn deallocate(&mut self, block: NonNull<u8>, layout: Layout) {
        let granules = granules_of(layout.size());
        if S::CACHED > 0
            && let Some(ground) = self.first
        {
            let before = ground.before(block);
            if before < ground.get(|control| control.limit) {
                return ground.free(block, before, granules);
            }
        }
        self.deallocate_elsewhere(block, granules);
    }

    #[inline(never)]
    fn deallocate_elsewhere(&mut self, block: NonNull<u8>, granules: usize) {
        let (ground, before) = self.locate(block);
        ground.free(block, before, granules);
    }

    /// Makes a block longer or shorter where it is. `false`: it stays as it was, and the caller moves it.
    ///
    /// # Safety
    /// `block` was allocated with a layout of the size of `layout` by this heap; if the answer is `true` it is
    /// freed with one of `bytes`, which are at most `isize::MAX`.
    pub unsafe fn resize_in_place(
        &mut self,
        block: NonNull<u8>,
        layout: Layout,
        bytes: usize,
    ) -> bool {
        let (old, new) = (granules_of(layout.size()), granules_of(bytes));
        let (ground, before) = self.locate(block);
        ground.check(block, before);
        ground.resize(before + 1, old, new)
    }

    /// The region of a block, and the granule before its first.
    fn locate(&self, block: NonNull<u8>) -> (Ground<S>, usize) {
        let mut region = self.first;
        while let Some(ground) = region {
            let before = ground.before(block);
            if before < ground.get(|control| control.limit) {
                return (ground, before);
            }
            region = ground.get(|control| control.next);
        }
        self.foreign(block)
    }

    #[cold]
    #[inline(never)]
    fn foreign(&self, block: NonNull<u8>) -> ! {
        let kind = if self.regions().any(|ground| ground.overlaps(block, 1)) {
            MisuseKind::Interior
        } else {
            MisuseKind::Foreign
        };
        S::misuse(Misuse { kind, address: block.addr().get(), block_bytes: 0, owner: 0 })
    }

    /// Puts what the caches hold back where it can join its neighbours. As long as the caches are.
    pub fn trim(&mut self) {
        self.regions().for_each(Ground::flush);
    }
}
