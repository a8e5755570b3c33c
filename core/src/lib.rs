//! A memory allocator without an operating system: for firmware, for kernels, and for what has
//! pages and threads.
//!
//! # Which heap
//!
//! | you have | take | you write |
//! |---|---|---|
//! | memory: a microcontroller, early boot, WebAssembly | [`LockedHeap`] | nothing, or a lock |
//! | the same, for one caller at a time | [`RegionHeap`] | nothing |
//! | a kernel with several CPUs, from 1 MiB | [`CoreHeap`] | [`CoreId`]: which CPU runs |
//! | pages and threads | [`Heap`] | a [`Platform`] ([example](platform)) |
//! | memory that the CPU can't touch | [`AddressHeap`] | a [`Platform`] |
//!
//! On Linux nothing is left to write: `ace-alloc-linux` is a [`Heap`] with its platform.
//!
//! # A global allocator
//!
//! ```ignore-windows,ignore-apple
//! use ace_alloc::LockedHeap;
//! use core::mem::MaybeUninit;
//!
//! #[global_allocator]
//! static HEAP: LockedHeap = LockedHeap::empty();
//! static mut MEMORY: [MaybeUninit<u8>; 256 << 10] = [MaybeUninit::uninit(); 256 << 10];
//!
//! /// Called once, before the first request.
//! fn start() {
//!     // SAFETY: nobody else uses the array, and this is called once.
//!     HEAP.claim_static(unsafe { &mut *(&raw mut MEMORY) }).expect("enough for a heap");
//! }
//! # // Firmware calls it first thing in its `main`. On a host the runtime allocates before that.
//! # #[used]
//! # #[unsafe(link_section = ".init_array")]
//! # static START: extern "C" fn() = { extern "C" fn call() { start() } call };
//! # fn main() {
//! #     let squares: Vec<String> = (0..100).map(|n| (n * n).to_string()).collect();
//! #     assert_eq!(squares[12], "144");
//! #     assert!(HEAP.stats().live > 100 * 24);
//! # }
//! ```
//!
//! Where the memory is known by its address, as from a linker script or a memory map, it is
//! `unsafe { HEAP.claim(start, bytes) }`, once for each range. Less than 128 KiB wants smaller
//! tables: `LockedHeap<SpinLock, region::Mini>`. Where interrupt handlers allocate as well, the
//! lock must keep them out: `LockedHeap<CriticalSectionLock>`.
//!
//! # Features
//!
//! | feature | what it does |
//! |---|---|
//! | `allocator-api2-02`, `-03`, `-04` | `Allocator` of that version, for references to heaps |
//! | `critical-section` | `CriticalSectionLock`: a lock that is a critical section of the target |
//! | `portable-atomic` | that crate's atomics, for targets without compare-and-swap |
//! | `small-code` | region heaps in half the code, some dozen instructions slower a call |
//! | `unchecked` | [`Heap`] and [`CoreHeap`] don't check each call: double frees are noticed late |
//!
//! None is on by default.
//!
//! # What a mistake does
//!
//! A second free, a free inside a block and a foreign pointer are noticed and reported: to
//! [`region::Scale::misuse`], [`CoreId::misuse`] or [`Platform::misuse`]. A free with another
//! layout than the block's is believed by region heaps. Lack of memory is a null pointer.
//!
//! In [`Heap`], and in [`CoreHeap`] within the first region that it claimed, free state lies
//! outside the blocks: in magazines, chunks and bitmaps. Freed blocks are neither read nor written,
//! so a program that writes to one doesn't harm the heap. The exceptions are blocks that an
//! interrupt handler couldn't put back, and those that another thread freed when there was no page
//! left to note them: they are linked through their first word. Region heaps, for which that would
//! take too much memory, keep links in free blocks; unless a scale is [`Bounded`](region::Bounded)
//! they are checked before they are followed.
//!
//! # Inside
//!
//! ```text
//!  cores            a heap for a kernel's CPUs: a front for each, another for its handlers
//!  heap             the front door: malloc, free, realloc, statistics; or addresses alone
//!  gate             what is this pointer? decided once
//!  tiny             hot: pop, push | warm: refill, flush | cold: adopt, publish | remote | visit
//!  pool             slabs without a thread, warm slabs, large and huge blocks; one lock
//!  outbox chunk     parcels of free blocks
//!  slab superslab   equal blocks and the bitmap of free ones | what slabs are carved from
//!  span arena       runs of units | the reserved range and the tables beside it
//!  prefix route     32 bytes that describe a slab | whose a unit is
//!  geometry platform   the shape of a heap | what a platform owes it
//!  region           annex: the heap over regions of memory, for where there are no pages
//!  ace seat         garden: policies that tune a heap while it runs | whose turn it is
//!  meter dials      what WARM and COLD did | what may be turned
//!  protocol         lock-free kernels: hatch, inbox, live, pair, parking, tier, turnstile
//!  size_class address pages sync       used by all
//! ```

#![no_std]

#[cfg(not(any(target_has_atomic = "ptr", feature = "portable-atomic")))]
compile_error!(
    "this target has no compare-and-swap: turn on ace-alloc's feature `portable-atomic`, and tell the crate of that name \
     how to make one (its feature `critical-section`, or `unsafe-assume-single-core`)"
);

pub mod protocol;
pub mod sync;

// Under loom only the protocols are compiled: a static heap needs constant constructors, which
// loom's atomics don't have.
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

/// The package's front page, whose example must compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
