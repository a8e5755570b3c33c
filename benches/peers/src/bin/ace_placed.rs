//! Owns the workers that compare where an allocator keeps what it knows of a block: in tables beside the
//! heap (`ace-table`), in the tail of each slab (`ace-tail`), or in front of each block (`ace-header`).
//!
//! One heap and one way of calling for all three. It has no options, and ACE is off: its dials stay where
//! they begin.
//! `ace-header` is the heap of `ace-table`, and each block has 16 bytes more in front, which malloc writes
//! and free reads and checks: the memory and the cache lines that headers cost any allocator. It does not
//! spare the heap its own look-up, so it is no faster than an allocator that was made for headers.

use std::cell::{Cell, UnsafeCell};
use std::process::ExitCode;
use std::ptr::NonNull;

use ace_alloc_linux::core_heap::Heap;
use ace_alloc_linux::core_heap::ace::Mode;
#[cfg(not(feature = "ace-tail"))]
use ace_alloc_linux::core_heap::geometry::Host as Shape;
#[cfg(feature = "ace-tail")]
use ace_alloc_linux::core_heap::geometry::HostTail as Shape;
use ace_alloc_linux::core_heap::platform::{Misuse, Platform, Threads};
use ace_alloc_linux::core_heap::tiny::Front;
use ace_alloc_linux::{FutexLock, LinuxPages};
use ace_bench_peers::{Peer, clock};

static HEAP: Heap<Placed> = Heap::new(LinuxPages);

thread_local! {
    static FRONT: UnsafeCell<Front> = const { UnsafeCell::new(Front::EMPTY) };
    static GONE: Cell<bool> = const { Cell::new(false) };
    static EXIT: Exit = const { Exit };
}

/// Gives the thread's heap back when the thread ends.
struct Exit;

impl Drop for Exit {
    fn drop(&mut self) {
        GONE.set(true);
        HEAP.thread_exit();
    }
}

struct Fronts;

// SAFETY: the front lives in the thread's static memory, without a destructor of its own, begins EMPTY
// and is used by one heap, HEAP.
unsafe impl Threads for Fronts {
    const INIT: Self = Self;

    #[inline(always)]
    fn front(&self) -> NonNull<Front> {
        FRONT.with(|front| NonNull::from(front).cast())
    }

    #[cold]
    fn on_first_use() -> bool {
        !GONE.get() && EXIT.try_with(|_| ()).is_ok()
    }
}

/// Linux with the geometry under test.
struct Placed;

impl Platform for Placed {
    type Geometry = Shape;
    type Pages = LinuxPages;
    type Threads = Fronts;
    type Lock = FutexLock;

    fn now_ms() -> Option<u64> {
        Some(clock::now_ns() / 1_000_000)
    }

    fn misuse(misuse: Misuse) {
        eprintln!("{misuse:?}");
        std::process::abort();
    }
}

/// Does each block have a header?
const HEADED: bool = cfg!(feature = "ace-header");
/// Bytes in front of each block.
const HEADER: usize = if HEADED { size_of::<[u64; 2]>() } else { 0 };
/// What a header begins with.
const MAGIC: u64 = 0xACE0_B10C_ACE0_B10C;

#[inline(never)]
extern "C" fn placed_malloc(bytes: usize) -> *mut u8 {
    let place = HEAP.malloc(bytes + HEADER);
    if !HEADED || place.is_null() {
        return place;
    }
    // SAFETY: the heap's block has HEADER bytes before the ones asked for, aligned to 16.
    unsafe {
        place.cast::<[u64; 2]>().write([MAGIC, bytes as u64]);
        place.add(HEADER)
    }
}

/// # Safety
/// `block` is a live block of `placed_malloc`.
#[inline(never)]
unsafe extern "C" fn placed_free(block: *mut u8) {
    // SAFETY: the caller's promise => HEADER bytes before the block are of the same allocation.
    let place = unsafe { block.sub(HEADER) };
    if HEADED {
        // SAFETY: placed_malloc wrote the header, and the block is live.
        let [magic, bytes] = unsafe { place.cast::<[u64; 2]>().read() };
        if magic != MAGIC || bytes > isize::MAX as u64 {
            std::process::abort();
        }
        // A second free of the block must not find its header.
        // SAFETY: as above.
        unsafe { place.cast::<u64>().write(0) };
    }
    // SAFETY: `place` is what the heap gave, and is freed once.
    unsafe { HEAP.free(place) }
}

struct AcePlaced;

// SAFETY: malloc's and free's contract is the heap's own; a header moves a block by 16 bytes, which keeps
// its alignment.
unsafe impl Peer for AcePlaced {
    fn version() -> String {
        let place = match () {
            () if cfg!(feature = "ace-tail") => "in slab tails",
            () if HEADED => "in tables, and a header a block",
            () => "in tables",
        };
        format!("ace-alloc, prefixes {place}")
    }

    fn process_start() {
        HEAP.set_mode(Mode::Off);
    }

    #[inline(always)]
    fn malloc(bytes: usize) -> *mut u8 {
        placed_malloc(bytes)
    }

    #[inline(always)]
    unsafe fn free(block: *mut u8, _bytes: usize) {
        // SAFETY: Peer::free's condition 1.
        unsafe { placed_free(block) }
    }
}

fn main() -> ExitCode {
    ace_bench_peers::run::<AcePlaced>()
}
