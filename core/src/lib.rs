//! ACE-Alloc's core: a memory allocator without an operating system.
//!
//! ```text
//!  heap            the front door: malloc, free, realloc, statistics; or addresses alone
//!  gate            what is this pointer? decided once
//!  tiny            hot: pop, push | warm: refill, flush | cold: adopt, publish, drain | remote: send | visit
//!  pool            slabs without a thread, warm slabs, large and huge blocks; one lock
//!  span superslab  runs of units | what slabs are carved from, and its tiers
//!  outbox chunk    parcels of free blocks
//!  slab prefix     equal blocks and the bitmap of free ones | 32 bytes that describe them
//!  arena           the reserved range and the tables beside it
//!  size_class geometry pages address sync       used by all
//!  region          beside all this: the heap over regions of memory, for where there are no pages
//!  protocol        lock-free kernels: inbox, live, parking, tier, turnstile
//!  meter dials     what WARM and COLD did | what may be turned
//! ```
//!
//! Free state lives outside the blocks: magazines, chunks and bitmaps. A freed block is neither read nor
//! written, so a program's stray writes can't harm the heap, and a second free of a block is noticed.
//!
//! A platform implements [`Platform`] and makes a `static` [`Heap`]; `ace-alloc-linux` is one. The
//! smallest is a static array and one thread:
//!
//! ```
//! use ace_alloc::{
//!     Front, Heap, Misuse, OutOfPages, PageProvider, Platform, Purged, Region, SpinLock, Threads,
//!     geometry::Small,
//! };
//! use core::{cell::UnsafeCell, ptr::NonNull};
//!
//! #[repr(align(65536))]
//! struct Memory(UnsafeCell<[u8; 4 << 20]>);
//! // SAFETY: only the heap touches it, and the heap guards it.
//! unsafe impl Sync for Memory {}
//! static MEMORY: Memory = Memory(UnsafeCell::new([0; 4 << 20]));
//!
//! struct Board;
//!
//! // SAFETY: `reserve` succeeds once a heap, with memory that is zero and nobody else's.
//! unsafe impl PageProvider for Board {
//!     const PAGE: usize = 4096;
//!     fn reserve(&self, bytes: usize, align: usize) -> Result<Region, OutOfPages> {
//!         let start = NonNull::new(MEMORY.0.get().cast()).ok_or(OutOfPages)?;
//!         if bytes > 4 << 20 || align > 65536 { Err(OutOfPages) } else { Ok(Region { start, bytes }) }
//!     }
//!     unsafe fn commit(&self, _: Region) -> Result<(), OutOfPages> { Ok(()) }
//!     unsafe fn purge(&self, _: Region) -> Purged { Purged::Kept }
//!     unsafe fn release(&self, _: Region) {}
//! }
//!
//! struct OneFront(UnsafeCell<Front>);
//! // SAFETY: there is one thread.
//! unsafe impl Sync for OneFront {}
//! static FRONT: OneFront = OneFront(UnsafeCell::new(Front::EMPTY));
//!
//! // SAFETY: one thread, one front, which never moves.
//! unsafe impl Threads for Board {
//!     const INIT: Self = Board;
//!     fn front(&self) -> NonNull<Front> { NonNull::new(FRONT.0.get()).expect("a static has an address") }
//!     fn on_first_use() -> bool { true }
//! }
//!
//! impl Platform for Board {
//!     type Geometry = Small;
//!     type Pages = Board;
//!     type Threads = Board;
//!     type Lock = SpinLock;
//!     fn misuse(misuse: Misuse) { panic!("{:#x}: {}", misuse.address, misuse.kind.reason()) }
//! }
//!
//! static HEAP: Heap<Board> = Heap::new(Board);
//!
//! let block = HEAP.malloc(100);
//! assert!(!block.is_null() && block.addr() % 16 == 0);
//! // SAFETY: the block is live and not used afterwards.
//! unsafe { HEAP.free(block) };
//! assert!(HEAP.malloc(64 << 20).is_null(), "more than there is");
//! ```

#![no_std]

#[cfg(not(any(target_has_atomic = "ptr", feature = "portable-atomic")))]
compile_error!(
    "this target has no compare-and-swap: turn on ace-alloc's feature `portable-atomic`, and tell the crate of that name \
     how to make one (its feature `critical-section`, or `unsafe-assume-single-core`)"
);

pub mod protocol;
pub mod sync;

// Under loom only the protocols are compiled: a static heap needs constant constructors, which loom's
// atomics don't have.
#[cfg(not(loom))]
pub mod ace;
#[cfg(not(loom))]
mod address;
#[cfg(not(loom))]
#[doc(hidden)]
pub mod arena;
#[cfg(not(loom))]
mod chunk;
#[cfg(not(loom))]
pub mod claim;
#[cfg(not(loom))]
pub mod cores;
#[cfg(feature = "critical-section")]
mod critical;
#[cfg(not(loom))]
pub mod dials;
#[cfg(not(loom))]
mod ecosystem;
#[cfg(not(loom))]
#[doc(hidden)]
pub mod gate;
#[cfg(not(loom))]
pub mod geometry;
#[cfg(not(loom))]
mod heap;
#[cfg(not(loom))]
mod huge;
#[cfg(not(loom))]
pub mod ledger;
#[cfg(not(loom))]
#[doc(hidden)]
pub mod meter;
#[cfg(not(loom))]
pub mod misuse;
#[cfg(not(loom))]
mod outbox;
#[cfg(not(loom))]
pub mod pages;
#[cfg(not(loom))]
pub mod platform;
#[cfg(not(loom))]
#[doc(hidden)]
pub mod pool;
#[cfg(not(loom))]
#[doc(hidden)]
pub mod prefix;
#[cfg(not(loom))]
pub mod region;
#[cfg(not(loom))]
mod ring;
#[cfg(not(loom))]
#[doc(hidden)]
pub mod route;
#[cfg(not(loom))]
mod seat;
#[cfg(not(loom))]
pub mod size_class;
#[cfg(not(loom))]
#[doc(hidden)]
pub mod slab;
#[cfg(not(loom))]
#[doc(hidden)]
pub mod span;
#[cfg(not(loom))]
pub mod stats;
#[cfg(not(loom))]
mod stray;
#[cfg(not(loom))]
#[doc(hidden)]
pub mod superslab;
#[cfg(not(loom))]
#[doc(hidden)]
pub mod tiny;

#[cfg(feature = "critical-section")]
pub use critical::CriticalSectionLock;
#[cfg(not(loom))]
pub use {
    claim::ClaimError,
    cores::{CoreHeap, CoreId},
    dials::{ClassDial, Dial, Dials, Route},
    geometry::Geometry,
    heap::{AddressHeap, Extent, Heap},
    pages::{OutOfPages, PageProvider, Purged, Region},
    platform::{Misuse, MisuseKind, NoThreads, Platform, SpinLock, Threads},
    region::{LockedHeap, RegionHeap},
    size_class::SizeClass,
    stats::Stats,
    tiny::Front,
};
