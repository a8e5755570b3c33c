//! Owns the smallest C-like program: no Rust runtime, at most one malloc, then its own peak RSS.
#![no_std]
#![no_main]

use core::ffi::{c_char, c_int};
use core::hint::black_box;
use core::panic::PanicInfo;

/// Prints the process's status file; with an argument, after one pair of malloc and free.
#[unsafe(no_mangle)]
extern "C" fn main(argc: c_int, _argv: *const *const c_char) -> c_int {
    if argc > 1 {
        // black_box: the compiler may leave out a block that no one looks at.
        // SAFETY: malloc takes any size, and free takes what it gave, null included.
        unsafe { libc::free(black_box(libc::malloc(1))) };
    }
    let mut status = [0u8; 4096];
    // SAFETY: the path is a C string; nothing else is read.
    let file = unsafe { libc::open(c"/proc/self/status".as_ptr(), libc::O_RDONLY) };
    // SAFETY: the buffer is as long as the call is told.
    let read = unsafe { libc::read(file, status.as_mut_ptr().cast(), status.len()) };
    if read <= 0 {
        return 1;
    }
    // SAFETY: the first `read` bytes of the buffer were just filled.
    let written = unsafe { libc::write(1, status.as_ptr().cast(), read as usize) };
    c_int::from(written != read)
}

#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    // SAFETY: abort takes no argument and does not return.
    unsafe { libc::abort() }
}
