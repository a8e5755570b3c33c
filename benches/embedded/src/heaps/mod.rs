//! Owns the list of heaps: each allocator as its users set it up, and without its lock where it can be had so.

mod ace;
mod buddy_slab;
mod cores;
mod critical;
mod dl;
mod floor;
mod good;
mod list;
mod pico;
mod talc;
mod tlsf;

use crate::heap::Heap;
use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;

/// Cores that heaps with a part for each of them are set up for.
pub const CORES: usize = 2;

/// One row of the tables.
pub struct Entry {
    /// The name on the command line.
    pub name: &'static str,
    /// Crate and version.
    pub version: &'static str,
    /// What makes it safe to share: a lock's name, or "none".
    pub lock: &'static str,
}

/// What to do with a heap that is named on the command line.
pub trait Visitor {
    /// The result.
    type Output;
    /// Called with the heap of the name.
    fn visit<H: Heap>(self) -> Self::Output;
}

/// One macro call lists all: the table and the dispatch can't differ.
macro_rules! heaps {
    ($($name:literal => $heap:ty, $version:literal, $lock:literal;)*) => {
        /// All heaps.
        pub const ALL: &[Entry] =
            &[$(Entry { name: $name, version: $version, lock: $lock }),*];

        /// Calls the visitor with the heap of this name; none has it: `None`.
        pub fn visit<V: Visitor>(name: &str, visitor: V) -> Option<V::Output> {
            match name {
                $($name => Some(visitor.visit::<$heap>()),)*
                _ => None,
            }
        }
    };
}

heaps! {
    "floor" => floor::Floor, "no allocator: what the loop costs", "none";
    "ace" => ace::AceWide, "LockedHeap, Wide", "spin";
    "ace-bounded" => ace::AceBounded, "LockedHeap, Bounded<Wide>", "spin";
    "ace-mini" => ace::AceMini, "LockedHeap, Mini", "spin";
    "ace-micro" => ace::AceMicro, "LockedHeap, Micro", "spin";
    "ace-cores" => cores::AceCores, "CoreHeap", "per core";
    "ace-cores-compact" => cores::AceCoresCompact, "CoreHeap", "per core";
    "talc" => talc::Talc, "talc 5.1.1", "spin";
    "rlsf" => tlsf::Rlsf, "rlsf 0.2.3", "spin";
    "linked-list" => list::LinkedList, "linked_list_allocator 0.10.6", "spin";
    "buddy-system" => list::Buddy, "buddy_system_allocator 0.13.0", "spin";
    "embedded-llff" => critical::Llff, "embedded-alloc 0.7.0, LlffHeap", "critical section";
    "embedded-tlsf" => critical::Tlsf, "embedded-alloc 0.7.0, TlsfHeap", "critical section";
    "good-memory" => good::Good, "good_memory_allocator 0.1.7", "spin";
    "dlmalloc" => dl::Dl, "dlmalloc 0.2.14", "spin";
    "picoalloc" => pico::Pico, "picoalloc 5.2.1", "spin";
    "buddy-slab" => buddy_slab::BuddySlab, "buddy-slab-allocator 0.6.1", "per core";
    "ace-bare" => ace::AceWideBare, "RegionHeap, Wide", "none";
    "ace-bounded-bare" => ace::AceBoundedBare, "RegionHeap, Bounded<Wide>", "none";
    "ace-mini-bare" => ace::AceMiniBare, "RegionHeap, Mini", "none";
    "ace-micro-bare" => ace::AceMicroBare, "RegionHeap, Micro", "none";
    "talc-bare" => talc::TalcBare, "talc 5.1.1", "none";
    "rlsf-bare" => tlsf::RlsfBare, "rlsf 0.2.3", "none";
    "linked-list-bare" => list::LinkedListBare, "linked_list_allocator 0.10.6", "none";
    "buddy-system-bare" => list::BuddyBare, "buddy_system_allocator 0.13.0", "none";
    "good-memory-bare" => good::GoodBare, "good_memory_allocator 0.1.7", "none";
    "dlmalloc-bare" => dl::DlBare, "dlmalloc 0.2.14", "none";
    "picoalloc-bare" => pico::PicoBare, "picoalloc 5.2.1", "none";
}

/// The calls of an allocator as a value: what its crate offers below any lock, or a reference to what it
/// made fit for `#[global_allocator]`.
///
/// # Safety
/// As [`Heap`], for one thread at a time.
unsafe trait Raw {
    /// As [`Heap::alloc`].
    fn get(&mut self, layout: Layout) -> *mut u8;

    /// As [`Heap::free`].
    ///
    /// # Safety
    /// 1. As there.
    unsafe fn put(&mut self, block: *mut u8, layout: Layout);

    /// As [`Heap::realloc`]; by default as `GlobalAlloc` does it.
    ///
    /// # Safety
    /// As there.
    #[inline(always)]
    unsafe fn resize(&mut self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        // SAFETY: the caller's promise is the same.
        unsafe { moved(self, block, layout, bytes) }
    }
}

// SAFETY: GlobalAlloc's contract is this trait's.
unsafe impl<A: GlobalAlloc> Raw for &A {
    #[inline(always)]
    fn get(&mut self, layout: Layout) -> *mut u8 {
        // SAFETY: no trace asks for 0 bytes.
        unsafe { GlobalAlloc::alloc(*self, layout) }
    }

    #[inline(always)]
    unsafe fn put(&mut self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's (1).
        unsafe { GlobalAlloc::dealloc(*self, block, layout) }
    }

    #[inline(always)]
    unsafe fn resize(&mut self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        // SAFETY: the caller's (1) and (2).
        unsafe { GlobalAlloc::realloc(*self, block, layout, bytes) }
    }
}

/// Allocates, copies and frees.
///
/// # Safety
/// As [`Heap::realloc`].
#[inline(always)]
unsafe fn moved<R: Raw + ?Sized>(
    heap: &mut R,
    block: *mut u8,
    layout: Layout,
    bytes: usize,
) -> *mut u8 {
    // SAFETY: the caller's (2).
    let new = heap.get(unsafe { Layout::from_size_align_unchecked(bytes, layout.align()) });
    if !new.is_null() {
        // SAFETY: both blocks have as many bytes, and different blocks don't overlap.
        unsafe { block.copy_to_nonoverlapping(new, layout.size().min(bytes)) };
        // SAFETY: the caller's (1).
        unsafe { heap.put(block, layout) };
    }
    new
}

/// A heap in a static: whether threads share it, how its [`Raw`] is reached (a reference to a
/// `GlobalAlloc`, a lock, or none), how it starts, and how it is told which core a thread is.
macro_rules! heap {
    ($(#[$about:meta])* $name:ident, shared: $shared:literal, $reach:expr, $start:expr) => {
        heap! { $(#[$about])* $name, shared: $shared, $reach, $start, |_| () }
    };
    ($(#[$about:meta])* $name:ident, shared: $shared:literal, $reach:expr, $start:expr, $core:expr) => {
        $(#[$about])*
        pub struct $name;

        // SAFETY: Raw's contract is this trait's; what reaches it keeps threads apart if SHARED says so.
        unsafe impl $crate::heap::Heap for $name {
            const SHARED: bool = $shared;

            unsafe fn start(arena: $crate::heap::Arena) -> Result<(), String> {
                let start: unsafe fn($crate::heap::Arena) -> Result<(), String> = $start;
                // SAFETY: the caller's (1).
                unsafe { start(arena) }
            }

            fn core(number: usize) {
                let core: fn(usize) = $core;
                core(number);
            }

            #[inline(always)]
            fn alloc(layout: std::alloc::Layout) -> *mut u8 {
                $crate::heaps::Raw::get($reach, layout)
            }

            #[inline(always)]
            unsafe fn free(block: *mut u8, layout: std::alloc::Layout) {
                // SAFETY: the caller's (1).
                unsafe { $crate::heaps::Raw::put($reach, block, layout) }
            }

            #[inline(always)]
            unsafe fn realloc(
                block: *mut u8,
                layout: std::alloc::Layout,
                bytes: usize,
            ) -> *mut u8 {
                // SAFETY: the caller's (1) and (2).
                unsafe { $crate::heaps::Raw::resize($reach, block, layout, bytes) }
            }
        }
    };
}
use heap;

/// A heap that one thread uses without a lock.
struct Bare<T>(UnsafeCell<T>);

// SAFETY: bare heaps are not SHARED: one thread calls them, and no call is made from within another.
unsafe impl<T> Sync for Bare<T> {}

impl<T> Bare<T> {
    /// Around a heap that is empty yet.
    const fn new(heap: T) -> Self {
        Self(UnsafeCell::new(heap))
    }

    /// Where a lock would be taken.
    #[inline(always)]
    #[expect(clippy::mut_from_ref, reason = "it stands where a lock would")]
    fn lock(&self) -> &mut T {
        // SAFETY: the one thread has no other reference, for every call ends with its own.
        unsafe { &mut *self.0.get() }
    }
}
