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
//! | `clock` | milliseconds, coarse |
//! | `fork` | what happens to the heap around fork() |
//! | `start` | what runs once a process |
//! | `options` | the environment: one table |
//! | `fail` | the last words of a program that misused the heap |
//! | `out`, `errno` | text without allocation; the caller's errno |

#![no_std]
#![cfg(target_os = "linux")]
#![warn(missing_docs)]

mod clock;
mod errno;
mod fail;
mod fork;
mod lock;
pub mod options;
mod out;
mod pages;
mod start;
mod threads;

pub use ace_alloc as core_heap;
pub use errno::KeepErrno;
pub use lock::FutexLock;
pub use out::FdWriter;
pub use pages::LinuxPages;
pub use start::start;
pub use threads::LinuxThreads;

use ace_alloc::{
    Heap,
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
