//! Owns the worker for whatever answers to `malloc` and `free`: glibc, or a preloaded library.

use std::ffi::CStr;
use std::process::ExitCode;

use ace_bench_peers::Peer;

struct CLibrary;

// SAFETY: the C standard's malloc and free; 16 is the alignment of max_align_t on 64-bit Linux.
unsafe impl Peer for CLibrary {
    fn version() -> String {
        // SAFETY: the C library's version string lives as long as the process.
        let version = unsafe { CStr::from_ptr(libc::gnu_get_libc_version()) };
        format!("glibc {}", version.to_string_lossy())
    }

    #[inline(always)]
    fn malloc(bytes: usize) -> *mut u8 {
        // SAFETY: malloc takes any size.
        unsafe { libc::malloc(bytes) }.cast()
    }

    #[inline(always)]
    unsafe fn free(block: *mut u8, _bytes: usize) {
        // SAFETY: Peer::free's condition 1.
        unsafe { libc::free(block.cast()) }
    }
}

fn main() -> ExitCode {
    ace_bench_peers::run::<CLibrary>()
}
