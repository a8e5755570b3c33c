//! Owns the worker for ACE-Alloc's malloc and free as C functions, linked and called like the peers':
//! same ABI, not inlined. Also built with the feature `unchecked`.

use std::process::ExitCode;

use ace_alloc_linux::HEAP;
use ace_bench_peers::Peer;

#[inline(never)]
extern "C" fn ace_malloc(bytes: usize) -> *mut u8 {
    HEAP.malloc(bytes)
}

/// # Safety
/// `block` is null or a live block of the heap.
#[inline(never)]
unsafe extern "C" fn ace_free(block: *mut u8) {
    // SAFETY: the caller's promise.
    unsafe { HEAP.free(block) }
}

struct AceLinked;

// SAFETY: malloc's and free's contract is the heap's own.
unsafe impl Peer for AceLinked {
    fn version() -> String {
        "ace-alloc-linux, as C functions".to_owned()
    }

    #[inline(always)]
    fn malloc(bytes: usize) -> *mut u8 {
        ace_malloc(bytes)
    }

    #[inline(always)]
    unsafe fn free(block: *mut u8, _bytes: usize) {
        // SAFETY: Peer::free's condition 1.
        unsafe { ace_free(block) }
    }
}

fn main() -> ExitCode {
    ace_bench_peers::run::<AceLinked>()
}
