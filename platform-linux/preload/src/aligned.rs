//! The functions that take an alignment. Floor: adapter.
//!
//! glibc's rules: an alignment that is not a power of two is EINVAL for all of them, and memory that is
//! not to be had is ENOMEM, however large the alignment.

use crate::{
    c_api::{no_memory, or_no_memory, set_errno},
    counts,
};
use ace_alloc_linux::{HEAP, LinuxPages, core_heap::pages::PageProvider};
use core::{
    ffi::{c_int, c_void},
    ptr,
};

const PAGE: usize = LinuxPages::PAGE;

fn allocate(align: usize, bytes: usize) -> *mut c_void {
    if !align.is_power_of_two() {
        set_errno(libc::EINVAL);
        return ptr::null_mut();
    }
    counts::wanted_aligned(align, bytes);
    or_no_memory(HEAP.memalign(align, bytes))
}

fn allocate_pages(bytes: usize) -> *mut c_void {
    match bytes.checked_next_multiple_of(PAGE) {
        Some(bytes) => allocate(PAGE, bytes.max(PAGE)),
        None => no_memory(),
    }
}

/// # Safety
/// `place` is valid for a write.
unsafe fn allocate_to(place: *mut *mut c_void, align: usize, bytes: usize) -> c_int {
    if !align.is_power_of_two() || !align.is_multiple_of(size_of::<*mut c_void>()) {
        return libc::EINVAL;
    }
    counts::wanted_aligned(align, bytes);
    let block = HEAP.memalign(align, bytes);
    if block.is_null() {
        return libc::ENOMEM;
    }
    // SAFETY: the caller's contract.
    unsafe { place.write(block.cast()) };
    0
}

/// `posix_memalign` of POSIX: answers with an error number, errno and, on failure, `*place` stay.
///
/// # Safety
/// `place` is valid for a write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_memalign(
    place: *mut *mut c_void,
    align: usize,
    bytes: usize,
) -> c_int {
    // SAFETY: the contract of the C function.
    unsafe { allocate_to(place, align, bytes) }
}

/// glibc's other name of [`posix_memalign`].
///
/// # Safety
/// As there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __posix_memalign(
    place: *mut *mut c_void,
    align: usize,
    bytes: usize,
) -> c_int {
    // SAFETY: the contract of the C function.
    unsafe { allocate_to(place, align, bytes) }
}

/// `aligned_alloc` of the C standard. The size need not be a multiple of the alignment.
#[unsafe(no_mangle)]
pub extern "C" fn aligned_alloc(align: usize, bytes: usize) -> *mut c_void {
    allocate(align, bytes)
}

/// `memalign` of glibc's manual.
#[unsafe(no_mangle)]
pub extern "C" fn memalign(align: usize, bytes: usize) -> *mut c_void {
    allocate(align, bytes)
}

/// glibc's other name of [`memalign`].
#[unsafe(no_mangle)]
pub extern "C" fn __libc_memalign(align: usize, bytes: usize) -> *mut c_void {
    allocate(align, bytes)
}

/// A block that begins at a page.
#[unsafe(no_mangle)]
pub extern "C" fn valloc(bytes: usize) -> *mut c_void {
    allocate(PAGE, bytes)
}

/// glibc's other name of [`valloc`].
#[unsafe(no_mangle)]
pub extern "C" fn __libc_valloc(bytes: usize) -> *mut c_void {
    allocate(PAGE, bytes)
}

/// Whole pages.
#[unsafe(no_mangle)]
pub extern "C" fn pvalloc(bytes: usize) -> *mut c_void {
    allocate_pages(bytes)
}

/// glibc's other name of [`pvalloc`].
#[unsafe(no_mangle)]
pub extern "C" fn __libc_pvalloc(bytes: usize) -> *mut c_void {
    allocate_pages(bytes)
}
