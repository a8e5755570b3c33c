//! What runs once a process: fork handlers, options, the trace. Floor: adapter.

use crate::{HEAP, fork, options, trace};
use core::{
    ffi::c_char,
    sync::atomic::{AtomicBool, Ordering},
};

static HANDLERS: AtomicBool = AtomicBool::new(false);
static OPTIONS: AtomicBool = AtomicBool::new(false);

/// Prepares the heap for this process, once: `libace_alloc.so` calls it from its constructor, with the
/// variables (`NAME=value`) that the loader hands to constructors. A Rust program needs no call: the
/// heap's first use does it.
///
/// # Safety
/// `variables` is null, or a null-terminated array of C strings that nobody changes meanwhile.
pub unsafe fn start(variables: *const *const c_char) {
    if !HANDLERS.swap(true, Ordering::Relaxed) {
        fork::register();
    }
    if !variables.is_null() && !OPTIONS.swap(true, Ordering::Relaxed) {
        // SAFETY: the caller's contract.
        unsafe { options::read(variables, HEAP.dials()) };
        trace::begin();
    }
}

/// The heap's first use in a thread. Before the program's own first line the C library may not have
/// seen its variables yet: then the options wait for the constructor or the next thread.
pub fn on_first_use() {
    if HANDLERS.load(Ordering::Relaxed) && OPTIONS.load(Ordering::Relaxed) {
        return;
    }
    // SAFETY: the process's variables are such an array. A program that changes them while another
    // thread starts breaks the rules of setenv.
    unsafe { start(options::of_this_process()) };
}
