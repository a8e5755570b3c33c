//! Owns the worker for snmalloc, through its C functions.

use std::ffi::c_void;
use std::process::ExitCode;

use ace_bench_peers::Peer;
use snmalloc_sys::{sn_free, sn_malloc};

struct Snmalloc;

// SAFETY: sn_malloc and sn_free are snmalloc's malloc and free under other names.
unsafe impl Peer for Snmalloc {
    fn version() -> String {
        concat!(env!("PEER_SNMALLOC"), env!("PEER_CXX_ASSERTS")).to_owned()
    }

    #[inline(always)]
    fn malloc(bytes: usize) -> *mut u8 {
        // SAFETY: sn_malloc takes any size.
        unsafe { sn_malloc(bytes) }.cast()
    }

    #[inline(always)]
    unsafe fn free(block: *mut u8, _bytes: usize) {
        // SAFETY: Peer::free's condition 1.
        unsafe { sn_free(block.cast::<c_void>()) }
    }
}

fn main() -> ExitCode {
    ace_bench_peers::run::<Snmalloc>()
}
