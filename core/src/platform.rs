//! What a platform owes the heap: its geometry, pages, threads, lock, and what to do about misuse.
//! Floor: ground. The one type parameter of the house is `Heap<P: Platform>`.
//!
//! A platform implements [`Platform`] and makes a `static` [`Heap`](crate::Heap); `ace-alloc-linux`
//! is one. The smallest is a static array and one thread:
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
//!         let there_is = bytes <= 4 << 20 && align <= 65536;
//!         if there_is { Ok(Region { start, bytes }) } else { Err(OutOfPages) }
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
//!     fn front(&self) -> NonNull<Front> { NonNull::new(FRONT.0.get()).expect("a static") }
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

use crate::{ace::Turn, geometry::Geometry, pages::PageProvider, tiny::Front};
pub use crate::{
    misuse::{Misuse, MisuseKind},
    sync::SpinLock,
};
use core::ptr::NonNull;

/// Access to the calling thread's [`Front`]. The heap keeps a value of the type, so fronts can lie
/// beside the heap (one for each CPU of a kernel) as well as in thread-local memory.
///
/// # Safety
/// `front` returns a pointer to a `Front` that belongs to the calling thread alone, starts as
/// [`Front::EMPTY`], never moves, and stays readable and writable until the thread has ended. At
/// most one [`crate::Heap`] uses these fronts: a front belongs to one heap.
pub unsafe trait Threads: Sync {
    /// What a heap starts with.
    const INIT: Self;
    /// The most threads that there can be at the same time, where that is known.
    const MOST: u32 = u32::MAX;

    /// The calling thread's front. On the hot path: must be `#[inline(always)]` and cheap.
    fn front(&self) -> NonNull<Front>;

    /// Called once by a thread that has just got a heap record. Registers the hook that will call
    /// [`crate::Heap::thread_exit`]. `false`: the thread can't have one any more (it is past its
    /// exit hook); it is then served from the shared pool.
    fn on_first_use() -> bool;
}

/// For heaps of which no thread holds anything: the shared pool serves every call, under its lock.
/// Any number of heaps may share it.
#[derive(Debug)]
pub struct NoThreads;

struct FrontOfAll(Front);

// SAFETY: a retired front is never written, and reading it needs no care.
unsafe impl Sync for FrontOfAll {}
static FRONT_OF_ALL: FrontOfAll = FrontOfAll(Front::RETIRED);

// SAFETY: a thread with a retired front is never given a heap, and only a thread with a heap writes
// to its front: what all may read and nobody writes is as good as a front for each.
unsafe impl Threads for NoThreads {
    const INIT: Self = Self;

    #[inline(always)]
    fn front(&self) -> NonNull<Front> {
        NonNull::from(&FRONT_OF_ALL.0)
    }

    fn on_first_use() -> bool {
        false
    }
}

/// Everything that one heap needs from outside.
pub trait Platform: 'static {
    /// The shape of the heap.
    type Geometry: Geometry;
    /// Where pages come from.
    type Pages: PageProvider;
    /// How to find the calling thread's front.
    type Threads: Threads;
    /// The lock around the shared pool; slow paths only.
    type Lock: lock_api::RawMutex;

    /// Whether there are callers who may not wait: [`Platform::may_wait`] is asked only then.
    const INTERRUPTS: bool = false;

    /// Whether the caller may wait for others. One that may not, such as an interrupt handler, has
    /// a front of its own. It takes locks only if they are free, calls no method of the page
    /// provider, visits nobody and takes no turns; blocks that it can't put back are left to
    /// others, and where nothing else helps it gets no memory.
    fn may_wait() -> bool {
        true
    }

    /// Milliseconds since some fixed moment, if there is a clock that costs little. Asked by slow
    /// paths, once in many, to see whether a turn of ACE is due. Without a clock only the host's
    /// [`crate::Heap::turn`] takes turns. Must not call this heap.
    fn now_ms() -> Option<u64> {
        None
    }

    /// Bytes of the process that are resident, where that can be told cheaply: asked once a turn.
    /// Must not call this heap.
    fn resident_bytes() -> Option<u64> {
        None
    }

    /// A turn of ACE has decided, and its orders are carried out next: for traces. One at a time;
    /// no lock of the heap is held. Must not call this heap.
    fn on_turn(turn: &Turn<'_>) {
        let _ = turn;
    }

    /// A thread has done many slow things and looked at the clock. It holds nothing of the heap, so
    /// this, and only this, may call it: the place to begin what a host begins late, such as a
    /// thread that takes turns.
    fn on_pause() {}

    /// Reports misuse. Usually does not return; if it does, the faulty call has no effect. Must not
    /// call this heap: it may be in the middle of emptying a magazine.
    fn misuse(misuse: Misuse);
}
