//! How a region heap is shaped: the width of its links, its bins, its caches. Floor: annex.
//!
//! Sizes are counted in *granules* of eight bytes. Free blocks hang in bins: one a size below
//! [`Scale::EXACT`] granules, four a doubling above.

use crate::{
    ace::Larder,
    misuse::{Misuse, MisuseKind},
};

/// Bytes of a granule: the grain of sizes and addresses.
pub const GRANULE: usize = 8;
/// The smallest block, in granules: a free one holds two links and its size twice.
pub const SMALLEST: usize = 2;

mod sealed {
    pub trait Sealed {}
    impl Sealed for u16 {}
    impl Sealed for u32 {}
}

/// What free blocks store: a granule's number in its region, zero for "none"; or that of a link's
/// place, counted in links from the region's start.
pub trait Link: sealed::Sealed + Copy + 'static {
    /// Granules that a region may have: so many that every link in it has a number.
    const MOST: usize;
    /// A link that stores this number.
    fn to(number: usize) -> Self;
    /// The number.
    fn number(self) -> usize;
}

macro_rules! link {
    ($($int:ty),*) => {$(
        impl Link for $int {
            // As much as a `usize` can address, where that is less.
            const MOST: usize = if size_of::<$int>() < size_of::<usize>() {
                <$int>::MAX as usize / (GRANULE / size_of::<$int>())
            } else {
                usize::MAX / 2 / GRANULE
            };
            #[inline(always)]
            fn to(number: usize) -> Self {
                debug_assert!(number <= <$int>::MAX as usize);
                number as Self
            }
            #[inline(always)]
            fn number(self) -> usize {
                self as usize
            }
        }
    )*};
}
link!(u16, u32);

/// The shape of a region heap, fixed at compile time. Presets: [`Micro`], [`Mini`], [`Wide`], and
/// [`Bounded`] of each.
pub trait Scale: 'static {
    /// How wide links are: `u16` for regions up to 128 KiB, `u32` up to 16 GiB.
    type Link: Link;
    /// Sizes below this many granules have a bin each; a power of two, at least 4.
    const EXACT: usize;
    /// Freed blocks of fewer granules than this are kept as they are for the next request of their
    /// size. 0: none are, and, for the least code, every request searches unless the scale is
    /// bounded.
    const CACHED: usize;
    /// How much the caches may hold beside what is free, as a shift of that: 3 is an eighth; 7 at
    /// most. Of all memory in a scale that is bounded.
    const CACHE_SHIFT: u32 = 3;
    /// Whether every allocation, free and resize ends after a constant number of steps a region. A
    /// block of an awkward size or alignment may then be refused although a longer search would
    /// have found one, and so may the last 64th of a region.
    ///
    /// The constants of the presets, in instructions on x86-64 with link-time optimization, a
    /// [`SpinLock`] that nobody else holds included:
    ///
    /// | call | most in one region | each further region adds |
    /// |---|---|---|
    /// | `alloc`, of a size that is cached, without alignment, if the first region has room | 115 | |
    /// | `alloc`, of any size and alignment; a refusal | 190 | 110 |
    /// | `dealloc`, any block | 115 | 50 |
    /// | [`resize_in_place`], done or not | 115 | 15 |
    ///
    /// `alloc_zeroed` takes an `alloc` and what zeroing the block takes, a `realloc` a resize, and if
    /// that could not be, an `alloc`, a copy and a `dealloc`. An out-of-memory handler comes on
    /// top.
    ///
    /// [`SpinLock`]: crate::SpinLock
    /// [`resize_in_place`]: super::RegionHeap::resize_in_place
    const BOUNDED: bool = false;
    /// Whether links in free blocks are compared with what they lead to before they are followed,
    /// so that a program which writes to memory that it gave up is stopped, and not the heap led
    /// astray.
    const GUARDED: bool = true;

    /// What to do about a program's mistake. Must not return to the faulty call, nor call the heap.
    #[cold]
    fn misuse(misuse: Misuse) -> ! {
        panic!("{:#x}: {}", misuse.address, misuse.kind.reason())
    }
}

/// The least code and the least memory for control: microcontrollers whose flash is short, and
/// regions below 8 KiB. A region reaches 128 KiB; a larger claim becomes several.
///
/// Control data on 64-bit machines, a little less on 32-bit ones: 1,248 bytes of a region of 64
/// KiB. The least region has 240 bytes ([`MIN_BYTES`](super::RegionHeap::MIN_BYTES)).
#[derive(Debug)]
pub enum Micro {}

impl Scale for Micro {
    type Link = u16;
    const EXACT: usize = 4;
    const CACHED: usize = 0;

    fn misuse(misuse: Misuse) -> ! {
        // No number, and no word that is put together: formatting would be most of the code.
        match misuse.kind {
            MisuseKind::DoubleFree => panic!("double free"),
            MisuseKind::Interior => panic!("pointer into the middle of a block"),
            MisuseKind::Corrupt => panic!("free memory was overwritten"),
            _ => panic!("not a pointer of this allocator"),
        }
    }
}

/// Microcontrollers, and regions below 128 KiB, which is how far a region reaches; a larger claim
/// becomes several.
///
/// Control data on 64-bit machines, a little less on 32-bit ones: 1,608 bytes of a region of 64
/// KiB. The least region has 608 bytes ([`MIN_BYTES`](super::RegionHeap::MIN_BYTES)).
#[derive(Debug)]
pub enum Mini {}

impl Scale for Mini {
    type Link = u16;
    const EXACT: usize = 128;
    const CACHED: usize = 64;
}

/// Regions from 128 KiB up; one reaches 16 GiB, and a larger claim becomes several.
///
/// Control data on 64-bit machines, a little less on 32-bit ones: 3,608 bytes of a region of 64
/// KiB, and a 64th of a large one. The least region has 2,640 bytes
/// ([`MIN_BYTES`](super::RegionHeap::MIN_BYTES)).
#[derive(Debug)]
pub enum Wide {}

impl Scale for Wide {
    type Link = u32;
    const EXACT: usize = 256;
    const CACHED: usize = 256;
    const CACHE_SHIFT: u32 = 0;
}

/// The same scale, with a bound for every call: at most 190 instructions for an `alloc`, 115 for a
/// `dealloc`, in one region on x86-64. [`Scale::BOUNDED`] has the table. Frees are checked as ever,
/// links are not.
#[derive(Debug)]
pub struct Bounded<S>(core::marker::PhantomData<S>);

impl<S: Scale> Scale for Bounded<S> {
    type Link = S::Link;
    const EXACT: usize = S::EXACT;
    const CACHED: usize = S::CACHED;
    const CACHE_SHIFT: u32 = 6;
    const BOUNDED: bool = true;
    const GUARDED: bool = false;

    fn misuse(misuse: Misuse) -> ! {
        S::misuse(misuse)
    }
}

/// Bins a doubling, as a power of two.
const STEP_BITS: u32 = 2;

/// Bins in all.
pub const fn bins<S: Scale>() -> usize {
    log_bin::<S>(<S::Link as Link>::MOST) + 1
}

/// The bin that free blocks of this many granules hang in.
#[cfg_attr(feature = "small-code", inline(never))]
#[cfg_attr(not(feature = "small-code"), inline(always))]
pub const fn bin_of<S: Scale>(granules: usize) -> usize {
    const {
        assert!(S::EXACT.is_power_of_two() && S::EXACT >= 4, "exact bins: a power of two");
        assert!(S::EXACT <= <S::Link as Link>::MOST, "exact bins: of sizes that a region can have");
        assert!(S::CACHED <= S::EXACT, "caches are for sizes that have a bin each");
        assert!(S::CACHE_SHIFT <= *Larder::SHARES.end() as u32, "a share that ACE knows");
    }
    // Below four, too, no two sizes have the same logarithmic bin.
    if S::EXACT > 4 && granules < S::EXACT { granules } else { log_bin::<S>(granules) }
}

#[inline(always)]
const fn log_bin<S: Scale>(granules: usize) -> usize {
    // The topmost bit counts doublings; that and the bits below it their steps. Shifted so that
    // each use of the logarithm takes it as the processor finds it.
    let log = granules.ilog2();
    let steps = granules << STEP_BITS >> log;
    (steps + ((log as usize) << STEP_BITS)).wrapping_sub(const { before_logs::<S>() })
}

/// What the sum of steps and doublings is too large by; where there are many exact bins it is too
/// small, and this wraps.
const fn before_logs<S: Scale>() -> usize {
    ((1 << STEP_BITS) + ((S::EXACT.ilog2() as usize) << STEP_BITS)).wrapping_sub(S::EXACT)
}

/// The first bin of which every block has at least this many granules.
#[inline(always)]
pub const fn bin_above<S: Scale>(granules: usize) -> usize {
    if granules < S::EXACT { bin_of::<S>(granules) } else { log_bin::<S>(granules - 1) + 1 }
}
