//! Owns the worker for mimalloc, major version 2.

use std::ffi::{c_int, c_void};
use std::process::ExitCode;

use ace_bench_peers::Peer;
use libmimalloc_sys::{mi_free, mi_malloc};

unsafe extern "C" {
    fn mi_version() -> c_int;
}

struct Mimalloc;

// SAFETY: mimalloc's mi_malloc and mi_free are malloc and free under other names.
unsafe impl Peer for Mimalloc {
    fn version() -> String {
        // SAFETY: mi_version only returns a constant.
        let v = unsafe { mi_version() };
        // One crate holds both major versions: a mix-up in the build must not pass unseen.
        assert_eq!(v / 10_000, 2, "this worker was built with the wrong mimalloc");
        format!("mimalloc {}.{}.{}", v / 10_000, v / 100 % 100, v % 100)
    }

    #[inline(always)]
    fn malloc(bytes: usize) -> *mut u8 {
        // SAFETY: mi_malloc takes any size.
        unsafe { mi_malloc(bytes) }.cast()
    }

    #[inline(always)]
    unsafe fn free(block: *mut u8, _bytes: usize) {
        // SAFETY: Peer::free's condition 1.
        unsafe { mi_free(block.cast::<c_void>()) }
    }
}

fn main() -> ExitCode {
    ace_bench_peers::run::<Mimalloc>()
}
