//! Owns the worker for jemalloc, through its C functions (prefixed by the crate).

use std::ffi::c_void;
use std::process::ExitCode;

use ace_bench_peers::Peer;
use tikv_jemalloc_sys as jemalloc;

struct Jemalloc;

// SAFETY: jemalloc's malloc and free under their prefixed names.
unsafe impl Peer for Jemalloc {
    fn version() -> String {
        // The crate's version ends in jemalloc's, and that in a commit that no one can read.
        let version = env!("PEER_JEMALLOC");
        version.split("-0-g").next().unwrap_or(version).to_owned()
    }

    #[inline(always)]
    fn malloc(bytes: usize) -> *mut u8 {
        // SAFETY: malloc takes any size.
        unsafe { jemalloc::malloc(bytes) }.cast()
    }

    #[inline(always)]
    unsafe fn free(block: *mut u8, _bytes: usize) {
        // SAFETY: Peer::free's condition 1.
        unsafe { jemalloc::free(block.cast::<c_void>()) }
    }
}

fn main() -> ExitCode {
    ace_bench_peers::run::<Jemalloc>()
}
