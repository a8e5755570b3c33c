//! The heap around fork(). Floor: adapter.
//!
//! prepare takes every lock of the heap, so that the child does not inherit one that a thread which
//! does not exist there holds; parent and child give them back. Registered at the heap's first use:
//! prepare handlers run in reverse order of registration, so those of the program's libraries, which
//! may still allocate, run before ours; parent and child handlers run in order, so ours come first.

use crate::{HEAP, tender};

/// Registers the handlers; once a process.
pub fn register() {
    // SAFETY: the functions live as long as the process: the library is never unloaded
    // (`-z nodelete`), and a program's own code is not either. A refusal (no memory) is not worth a
    // message: forks of a single-threaded process work without the handlers.
    unsafe { libc::pthread_atfork(Some(prepare), Some(parent), Some(child)) };
}

unsafe extern "C" fn prepare() {
    HEAP.fork_prepare();
}

unsafe extern "C" fn parent() {
    // SAFETY: fork calls this after `prepare`, in the same thread.
    unsafe { HEAP.fork_parent() };
}

unsafe extern "C" fn child() {
    // SAFETY: fork calls this after `prepare`, in the only thread of the child.
    unsafe { HEAP.fork_child() };
    tender::on_fork();
}
