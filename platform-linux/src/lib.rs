//! ACE-Alloc on Linux: the one process-wide heap, and `AceAlloc`, which serves a Rust program from it.
//! Floor: adapter (imports core; nothing of core imports it).
//!
//! ```
//! use ace_alloc_linux::AceAlloc;
//!
//! #[global_allocator]
//! static ALLOC: AceAlloc = AceAlloc::new();
//!
//! let words: Vec<String> = ["served", "by", "ACE-Alloc"].map(String::from).to_vec();
//! assert_eq!(words.concat(), "servedbyACE-Alloc");
//! ```
//!
//! | file | owns |
//! |---|---|
//! | `pages` | mmap, mprotect, madvise, mremap, munmap |
//! | `lock` | the futex lock around the shared pool |
//! | `threads` | the calling thread's front, and the hook at its end |
//! | `tender` | the thread that takes turns of ACE while the program sleeps |
//! | `trace` | what ACE sees and decides, written to a file |
//! | `clock` | milliseconds, coarse |
//! | `resident` | what the kernel counts of this process |
//! | `fork` | what happens to the heap around fork() |
//! | `start` | what runs once a process |
//! | `options` | the environment: one table (`options/table`) |
//! | `fail` | the last words of a program that misused the heap |
//! | `out`, `json`, `file`, `errno` | text and files without allocation; the caller's errno |

#![no_std]
#![cfg(target_os = "linux")]
#![warn(missing_docs)]

mod clock;
mod errno;
mod fail;
mod file;
mod fork;
pub mod json;
mod lock;
pub mod options;
mod out;
mod pages;
mod resident;
mod start;
mod tender;
mod threads;
pub mod trace;

pub use ace_alloc as core_heap;
pub use errno::KeepErrno;
pub use file::File;
pub use lock::FutexLock;
pub use out::FdWriter;
pub use pages::LinuxPages;
pub use start::start;
pub use threads::LinuxThreads;

use ace_alloc::{
    Heap,
    ace::Turn,
    geometry::Host,
    platform::{Misuse, Platform},
};
use core::alloc::{GlobalAlloc, Layout};

/// What the heap needs from Linux.
#[derive(Debug)]
pub struct Linux;

impl Platform for Linux {
    type Geometry = Host;
    type Pages = LinuxPages;
    type Threads = LinuxThreads;
    type Lock = FutexLock;

    fn now_ms() -> Option<u64> {
        clock::now_ms()
    }

    /// For traces only: what a program may do in the middle of its own work is not widened by three system
    /// calls (a sandbox may forbid them).
    fn resident_bytes() -> Option<u64> {
        (trace::is_on()).then(resident::bytes).flatten()
    }

    fn on_turn(turn: &Turn<'_>) {
        tender::on_turn(turn);
        trace::on_turn(turn);
    }

    fn on_pause() {
        tender::on_pause();
    }

    fn misuse(misuse: Misuse) {
        fail::on_misuse(misuse);
    }
}

/// The heap of this process. Every [`AceAlloc`] and the C API of `libace_alloc.so` serve from it.
pub static HEAP: Heap<Linux> = Heap::new(LinuxPages);

/// The global allocator: `#[global_allocator] static ALLOC: AceAlloc = AceAlloc::new();`
///
/// Its calls inline into the program where the whole program is optimised at link time.
#[derive(Clone, Copy, Debug, Default)]
pub struct AceAlloc;

impl AceAlloc {
    /// The allocator. It has no state of its own: all of them are the same heap.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }

    /// Asks for the thread that takes turns of ACE while the program does nothing, as `ACE_TENDER=1` does:
    /// free memory then goes back to the system also while the program sleeps. The thread ends when nothing
    /// happens for half a minute, and comes back with the next work. A host that has an idle loop can call
    /// [`Heap::turn`] of [`HEAP`] there instead. `false`: the system gives no thread now; it is tried again.
    pub fn tend(&self) -> bool {
        options::want_tender();
        tender::begin()
    }
}

// SAFETY: the contract of GlobalAlloc is word by word the one of the heap's layout-sized calls: blocks
// are unique, aligned, at least as large as asked, valid until freed; no call unwinds.
unsafe impl GlobalAlloc for AceAlloc {
    #[inline(always)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's layout has a non-zero size (contract of GlobalAlloc::alloc).
        unsafe { HEAP.alloc(layout) }
    }

    #[inline(always)]
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller got `ptr` from this allocator with this layout (contract of dealloc).
        unsafe { HEAP.dealloc(ptr, layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as in `alloc`.
        unsafe { HEAP.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: as in `dealloc`, and `new_size` is not zero (contract of GlobalAlloc::realloc).
        unsafe { HEAP.realloc_layout(ptr, layout, new_size) }
    }
}
