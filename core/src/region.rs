//! A heap over regions of memory: for microcontrollers, for early boot, for anything that has bytes
//! but no pages.
//! Floor: annex.
//!
//! Blocks have no header: their size comes from the layout they are freed with. One bit for each
//! eight bytes says where blocks begin and where free ones end, so that a free block joins its
//! neighbours at once, and a free of anything that is not a live block's start is noticed. Free
//! blocks hang in bins by size; small ones are kept as they are for the next request of their size,
//! up to a part of what is free.
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
pub(crate) use scale::GRANULE;
pub use scale::{Bounded, Link, Micro, Mini, Scale, Wide};
pub use stats::RegionStats;

use crate::misuse::MisuseKind;
use blocks::{accuse, granules_of, whole};
use core::{alloc::Layout, hint::cold_path, mem::MaybeUninit, num::NonZero, ptr::NonNull};
use ground::Ground;

/// A heap over regions, for one caller at a time; [`LockedHeap`] is for many.
///
/// Overhead: a 64th of the region for bits, some hundred bytes of control data at its start (200 to
/// 2,600, by scale), and what rounding to eight bytes takes, 16 at least. Time: a constant number
/// of steps a region, but for a request that a scale which is not [`Bounded`] would otherwise have
/// to refuse: it then empties the caches and looks at every free block. [`Micro`] always looks
/// through the blocks of a bin.
///
/// ```
/// use ace_alloc::{RegionHeap, region::Mini};
/// use core::{alloc::Layout, mem::MaybeUninit};
///
/// let mut memory = [MaybeUninit::<u8>::uninit(); 16 << 10];
/// let mut heap = RegionHeap::<Mini>::empty();
/// // SAFETY: the memory is the heap's alone, and outlives it and its blocks.
/// let usable = unsafe { heap.claim(memory.as_mut_ptr().cast(), memory.len()) };
/// assert!(usable.is_ok_and(|bytes| bytes > 15 << 10));
///
/// let layout = Layout::new::<[u64; 5]>();
/// let block = heap.allocate(layout).expect("there is room");
/// assert_eq!(heap.stats().live, 40);
/// // SAFETY: the block has this layout, and is not used afterwards.
/// unsafe { heap.deallocate(block, layout) };
/// assert!(heap.allocate(Layout::new::<[u64; 2048]>()).is_none(), "more than there is");
/// ```
#[derive(Debug)]
pub struct RegionHeap<S: Scale> {
    first: Option<Ground<S>>,
}

// SAFETY: the regions are the heap's alone (`claim`), so they go where it goes.
unsafe impl<S: Scale> Send for RegionHeap<S> {}

impl<S: Scale> RegionHeap<S> {
    /// Bytes of the least region, from an address that is a multiple of a word and of eight: enough
    /// for its control data and a block of 16 bytes.
    pub const MIN_BYTES: usize = Ground::<S>::LEAST * GRANULE;

    /// A heap without memory: it refuses every request until it has claimed some.
    #[must_use]
    pub const fn empty() -> Self {
        Self { first: None }
    }

    /// Takes memory, and answers how many bytes of it blocks can have. What links can't reach
    /// becomes further regions; a rest too small for one is left alone. Blocks lie within one
    /// region.
    ///
    /// # Errors
    /// [`ClaimError`]; the heap is then as it was. Fewer than [`Self::MIN_BYTES`] are too small.
    ///
    /// # Safety
    /// The memory is readable and writable, and nobody else's for as long as the heap or a block of
    /// it is used.
    pub unsafe fn claim(&mut self, start: *mut u8, bytes: usize) -> Result<usize, ClaimError> {
        let (mut base, mut left) = claim::granules_between(start, bytes)?;
        // Where the next region's place is noted.
        let mut last: Option<Ground<S>> = None;
        let mut region = self.first;
        while let Some(ground) = region {
            if ground.overlaps(base, left) {
                return Err(ClaimError::Overlaps);
            }
            (last, region) = (region, ground.get(|control| control.next));
        }
        let mut usable = 0;
        loop {
            // SAFETY: the caller's promise, and no other region has it.
            match unsafe { Ground::found(base, left) } {
                Ok((ground, taken)) => {
                    match last {
                        None => self.first = Some(ground),
                        Some(last) => last.edit(|control| control.next = Some(ground)),
                    }
                    last = Some(ground);
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

    /// A block; `None` if there is no memory for it.
    #[inline]
    pub fn allocate(&mut self, layout: Layout) -> Option<NonNull<u8>> {
        match self.cached(layout) {
            Found::Block(block) => Some(block),
            Found::Region(ground, granules) => self.allocate_uncached(ground, granules, layout),
            Found::Nothing => self.allocate_elsewhere(layout),
        }
    }

    /// HOT: a block that the first region keeps for requests of this size.
    #[inline(always)]
    fn cached(&mut self, layout: Layout) -> Found<S> {
        let granules = granules_of(layout.size());
        if S::CACHED == 0 || layout.align() > GRANULE {
            return Found::Nothing;
        }
        let Some(ground) = self.first else {
            cold_path();
            return Found::Nothing;
        };
        if granules >= S::CACHED {
            let small = granules < S::EXACT;
            return if small { Found::Region(ground, granules) } else { Found::Nothing };
        }
        let block = ground.cache(granules);
        if block == 0 {
            return Found::Region(ground, granules);
        }
        if !ground.is_cached(block) {
            cold_path();
            return Found::Nothing;
        }
        ground.take_cached(block, granules);
        Found::Block(ground.start(block))
    }

    /// WARM: a block of fewer than [`Scale::EXACT`] granules.
    #[inline(always)]
    fn allocate_uncached(
        &mut self,
        first: Ground<S>,
        granules: usize,
        layout: Layout,
    ) -> Option<NonNull<u8>> {
        match first.take(whole(granules)) {
            None => self.allocate_elsewhere(layout),
            some => some,
        }
    }

    /// What is long or aligned, or found no place in the first region.
    fn allocate_elsewhere(&mut self, layout: Layout) -> Option<NonNull<u8>> {
        let (granules, align) = (granules_of(layout.size()), layout.align().div_ceil(GRANULE));
        let mut ground = self.first?;
        loop {
            let cached = if align > 1 { 0 } else { ground.pop(granules) };
            let block = match cached {
                0 if Ground::<S>::SEARCHES => ground.scavenge(whole(granules), align),
                0 => ground.take_any(whole(granules), align),
                block => block,
            };
            if block != 0 {
                return Some(ground.start(block));
            }
            let Some(next) = ground.get(|control| control.next) else { break };
            ground = next;
        }
        ground.edit(|control| control.refused = control.refused.wrapping_add(1));
        if S::BOUNDED || Ground::<S>::SEARCHES || granules > S::Link::MOST {
            return None;
        }
        self.last_resort(whole(granules), align)
    }

    #[cold]
    #[inline(never)]
    fn last_resort(&mut self, granules: usize, align: usize) -> Option<NonNull<u8>> {
        let large =
            |ground: &Ground<S>| ground.get(|control| granules <= control.limit - control.first);
        self.regions().filter(large).find_map(|ground| {
            ground.make_room();
            match ground.scavenge(granules, align) {
                0 => None,
                block => Some(ground.start(block)),
            }
        })
    }

    /// Frees a block. What is not the start of a live block of this heap is reported through
    /// [`Scale::misuse`]. The size is believed: nothing but the layout tells it, so a free with
    /// another one corrupts the heap, or leaks a part of the block, without a report.
    ///
    /// # Safety
    /// `block` was allocated with a layout of this size by this heap, and the caller gives it up.
    #[inline]
    pub unsafe fn deallocate(&mut self, block: NonNull<u8>, layout: Layout) {
        let granules = granules_of(layout.size());
        match self.keep(block, granules) {
            Kept::Yes => {}
            Kept::Alone(ground, block) => ground.settle(block, granules, 0),
            Kept::Joined(ground, block, before) => ground.settle(block, granules, before.get()),
            Kept::Odd => self.deallocate_elsewhere(block, granules),
        }
    }

    /// HOT: keeps a block of the first region for the next request of its size.
    #[inline(always)]
    fn keep(&mut self, block: NonNull<u8>, granules: usize) -> Kept<S> {
        if S::CACHED == 0 {
            return Kept::Odd;
        }
        let Some(ground) = self.first else {
            cold_path();
            return Kept::Odd;
        };
        let before = ground.before(block);
        if before >= ground.get(|control| control.limit) {
            return Kept::Odd;
        }
        let (block, bits) = (before + 1, ground.bits(before));
        if !ground.is_live(block, bits) {
            cold_path();
            return Kept::Odd;
        }
        if ground.push(block, granules) {
            return Kept::Yes;
        }
        match NonZero::new(ground.uproot(block, bits)) {
            None => Kept::Alone(ground, block),
            Some(before) => Kept::Joined(ground, block, before),
        }
    }

    /// The block of another region, or of none.
    fn deallocate_elsewhere(&mut self, block: NonNull<u8>, granules: usize) {
        let (ground, block, bits) = self.locate(block);
        if !ground.push(block, granules) {
            let before = ground.uproot(block, bits);
            ground.settle(block, granules, before);
        }
    }

    /// Makes a block longer or shorter where it is. `false`: it stays as it was, and the caller
    /// moves it.
    ///
    /// # Safety
    /// `block` was allocated with a layout of the size of `layout` by this heap; if the answer is
    /// `true` it is freed with one of `bytes`, which are at most `isize::MAX`.
    pub unsafe fn resize_in_place(
        &mut self,
        block: NonNull<u8>,
        layout: Layout,
        bytes: usize,
    ) -> bool {
        let (old, new) = (granules_of(layout.size()), granules_of(bytes));
        let (ground, block, _) = self.locate(block);
        ground.resize(block, whole(old), whole(new))
    }

    /// The region of a live block, its first granule, and the bits from the one before on. Stops
    /// the program if it is none.
    fn locate(&self, block: NonNull<u8>) -> (Ground<S>, usize, usize) {
        self.find(block).unwrap_or_else(|kind| accuse::<S>(kind, block))
    }

    /// Likewise, or what it is instead.
    #[inline]
    fn find(&self, block: NonNull<u8>) -> Result<(Ground<S>, usize, usize), MisuseKind> {
        let mut region = self.first;
        while let Some(ground) = region {
            if ground.has(block) {
                let before = ground.before(block);
                if before >= ground.get(|control| control.limit) {
                    return Err(MisuseKind::Interior);
                }
                let bits = ground.bits(before);
                if !ground.is_live(before + 1, bits) {
                    return Err(ground.mistake(before + 1));
                }
                return Ok((ground, before + 1, bits));
            }
            region = ground.get(|control| control.next);
        }
        Err(MisuseKind::Foreign)
    }

    /// Whether it is a live block: what a free would be reported as otherwise.
    pub(crate) fn check(&self, block: NonNull<u8>) -> Result<(), MisuseKind> {
        self.find(block).map(drop)
    }

    /// Puts what the caches hold back where it can join its neighbours. As long as the caches are.
    pub fn trim(&mut self) {
        self.regions().for_each(Ground::flush);
    }
}

/// What the caches have for a request.
enum Found<S: Scale> {
    Block(NonNull<u8>),
    /// No block. The region to ask for so many granules, which are less than [`Scale::EXACT`].
    Region(Ground<S>, usize),
    /// Whatever it is, [`RegionHeap::allocate_elsewhere`] knows.
    Nothing,
}

/// What became of a block that was freed.
enum Kept<S: Scale> {
    /// It is in a cache.
    Yes,
    /// There was no room for it: its region, and its first granule.
    Alone(Ground<S>, usize),
    /// Likewise, and there is a free block of that size before it.
    Joined(Ground<S>, usize, NonZero<usize>),
    /// It is not the first region's, or not a live block.
    Odd,
}
