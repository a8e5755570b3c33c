//! `libace_alloc.so`: the C library's allocation functions, served by the heap of `ace-alloc-linux`.
//! Floor: adapter. No logic here: C semantics to calls of the heap.
//!
//! | file | owns |
//! |---|---|
//! | `c_api` | malloc, calloc, realloc, free and their glibc aliases |
//! | `aligned` | the functions that take an alignment |
//! | `counts` | the calls, counted in `libace_alloc_counted.so` only |
//! | `inspect` | malloc_trim, mallopt, mallinfo, malloc_info, malloc_stats |
//! | `report` | the JSON report at the program's end |
//!
//! std stays out where the build allows it (panic = "abort"): a panic in an allocator must not
//! allocate, and without std's panic machinery the library is a third of the size.

#![cfg_attr(all(panic = "abort", target_arch = "x86_64"), no_std)]
#![cfg(target_os = "linux")]

mod aligned;
mod c_api;
mod counts;
mod inspect;
mod report;

use core::ffi::{c_char, c_int};

// The `libc` crate names the C library itself only while nobody in the build turns its `std` feature on
// (then std is expected to). This library has no std, so it says so in any case.
#[link(name = "c")]
unsafe extern "C" {}

/// What the loader runs when the library is loaded. glibc hands it the program's arguments.
#[used]
#[unsafe(link_section = ".init_array")]
static AT_LOAD: unsafe extern "C" fn(c_int, *const *const c_char, *const *const c_char) = at_load;

/// What the loader runs when the program exits, after the program's own exit handlers.
#[used]
#[unsafe(link_section = ".fini_array")]
static AT_EXIT: extern "C" fn() = at_exit;

unsafe extern "C" fn at_load(_: c_int, _: *const *const c_char, variables: *const *const c_char) {
    // SAFETY: the loader passes the process's environment, before the program's first line.
    unsafe { ace_alloc_linux::start(variables) };
    report::at_load();
}

extern "C" fn at_exit() {
    report::at_exit();
    ace_alloc_linux::trace::end();
}

// The compiled `core` library names the function that unwinding asks, though nothing unwinds here;
// only whole-program optimisation sees that it is not needed. Hidden: it must not take the place of the
// one in a Rust program that loads us.
#[cfg(all(panic = "abort", target_arch = "x86_64"))]
core::arch::global_asm!(
    ".globl rust_eh_personality",
    ".hidden rust_eh_personality",
    "rust_eh_personality: ud2"
);

/// A broken invariant inside the allocator: one line and the end.
#[cfg(all(panic = "abort", target_arch = "x86_64"))]
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    use ace_alloc_linux::FdWriter;
    use core::fmt::Write;

    let mut line = FdWriter::<512>::new(libc::STDERR_FILENO);
    let _ = writeln!(line, "ace-alloc: internal error: {info}");
    line.flush();
    // SAFETY: abort has no preconditions.
    unsafe { libc::abort() }
}
