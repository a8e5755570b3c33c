//! Owns the worker for ACE-Alloc inside a Rust program: `AceAlloc` through `GlobalAlloc`.

use std::alloc::{GlobalAlloc, Layout};
use std::process::ExitCode;

use ace_alloc_linux::AceAlloc;
use ace_bench_peers::Peer;

static ACE: AceAlloc = AceAlloc::new();

/// What malloc promises, so that this row does the same work as the others.
const ALIGN: usize = 16;

struct AceRust;

// SAFETY: GlobalAlloc's contract, with the alignment that Peer asks for.
unsafe impl Peer for AceRust {
    fn version() -> String {
        "ace-alloc-linux, as GlobalAlloc".to_owned()
    }

    #[inline(always)]
    fn malloc(bytes: usize) -> *mut u8 {
        // SAFETY: ALIGN is a power of two, and the workloads' sizes are far below isize::MAX.
        let layout = unsafe { Layout::from_size_align_unchecked(bytes, ALIGN) };
        // SAFETY: the workloads never ask for 0 bytes.
        unsafe { ACE.alloc(layout) }
    }

    #[inline(always)]
    unsafe fn free(block: *mut u8, bytes: usize) {
        // SAFETY: as in malloc.
        let layout = unsafe { Layout::from_size_align_unchecked(bytes, ALIGN) };
        // SAFETY: Peer::free's condition 1 => this block, with this layout.
        unsafe { ACE.dealloc(block, layout) }
    }
}

fn main() -> ExitCode {
    ace_bench_peers::run::<AceRust>()
}
