//! Owns the worker for rpmalloc, which wants to be told of the process and of every thread.

use std::ffi::{c_int, c_void};
use std::process::ExitCode;

use ace_bench_peers::Peer;
use rpmalloc_sys as rp;

unsafe extern "C" {
    // The crate declares this function without its argument, which would leave it to chance.
    fn rpmalloc_thread_finalize(release_caches: c_int);
}

struct Rpmalloc;

// SAFETY: rpmalloc and rpfree are malloc and free under other names, once the process and the
// thread are announced, which the two start functions do.
unsafe impl Peer for Rpmalloc {
    fn version() -> String {
        env!("PEER_RPMALLOC").to_owned()
    }

    fn process_start() {
        // SAFETY: called once, on the main thread, before any other function of rpmalloc.
        unsafe { rp::rpmalloc_initialize() };
    }

    fn thread_start() {
        // SAFETY: called once a thread, after process_start.
        unsafe { rp::rpmalloc_thread_initialize() };
    }

    fn thread_end() {
        // SAFETY: called once a thread, after its last block.
        unsafe { rpmalloc_thread_finalize(1) };
    }

    #[inline(always)]
    fn malloc(bytes: usize) -> *mut u8 {
        // SAFETY: rpmalloc takes any size; this thread is announced.
        unsafe { rp::rpmalloc(bytes) }.cast()
    }

    #[inline(always)]
    unsafe fn free(block: *mut u8, _bytes: usize) {
        // SAFETY: Peer::free's condition 1.
        unsafe { rp::rpfree(block.cast::<c_void>()) }
    }
}

fn main() -> ExitCode {
    ace_bench_peers::run::<Rpmalloc>()
}
