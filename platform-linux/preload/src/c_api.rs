//! malloc, calloc, realloc, free and their aliases. Floor: adapter.
//!
//! Contract (C23, POSIX, glibc's manual): 16-byte alignment for every size; size 0 gives a unique
//! block; no memory gives NULL and ENOMEM, and changes nothing else; `free` keeps errno.

use crate::counts::{self, COUNTED, Call};
use ace_alloc_linux::{
    HEAP,
    core_heap::{size_class::SizeClass, tiny::hot},
};
use core::{
    ffi::{c_int, c_void},
    ptr,
};

/// Sets errno.
pub(crate) fn set_errno(error: c_int) {
    // SAFETY: __errno_location has no preconditions and returns this thread's valid errno.
    unsafe { *libc::__errno_location() = error };
}

/// The answer of a call that found no memory. Not inlined: it is never on a fast path.
#[cold]
#[inline(never)]
pub(crate) fn no_memory() -> *mut c_void {
    set_errno(libc::ENOMEM);
    ptr::null_mut()
}

/// A block, or NULL and ENOMEM.
#[inline(always)]
pub(crate) fn or_no_memory(block: *mut u8) -> *mut c_void {
    if block.is_null() { no_memory() } else { block.cast() }
}

/// HOT here, everything else behind a tail call: so the fast path needs no stack frame, although a
/// failure has to set errno, which the heap knows nothing of.
#[inline(always)]
fn allocate(bytes: usize) -> *mut c_void {
    counts::wanted(Call::Malloc, bytes);
    if bytes <= SizeClass::TINY_MAX {
        let block = hot::pop(HEAP.front(), SizeClass::tiny(bytes));
        if !block.is_null() {
            return block.cast();
        }
        return allocate_beyond_hot(bytes);
    }
    allocate_mid(bytes)
}

/// The same for the sizes that the byte table does not hold. Out of line, to keep `malloc` short.
#[inline(never)]
fn allocate_mid(bytes: usize) -> *mut c_void {
    if bytes <= SizeClass::MAX_BYTES {
        let block = hot::pop(HEAP.front(), SizeClass::mid(bytes));
        if !block.is_null() {
            return block.cast();
        }
    }
    allocate_beyond_hot(bytes)
}

#[cold]
#[inline(never)]
fn allocate_beyond_hot(bytes: usize) -> *mut c_void {
    or_no_memory(HEAP.malloc(bytes))
}

/// # Safety
/// `block` is NULL or a live block of this heap.
#[inline(always)]
pub(crate) unsafe fn release(block: *mut c_void) {
    if COUNTED && !block.is_null() {
        counts::freed();
    }
    // SAFETY: the caller's contract. Broken ones are the heap's to notice.
    unsafe { HEAP.free(block.cast()) }
}

#[inline]
fn allocate_zeroed(count: usize, bytes: usize) -> *mut c_void {
    match count.checked_mul(bytes) {
        Some(bytes) => {
            counts::wanted(Call::Calloc, bytes);
            or_no_memory(HEAP.calloc(bytes))
        }
        None => no_memory(),
    }
}

/// # Safety
/// `block` is NULL or a live block of this heap; after success it is used by the new address only.
#[inline]
unsafe fn reallocate(block: *mut c_void, bytes: usize) -> *mut c_void {
    if block.is_null() {
        return allocate(bytes);
    }
    if bytes == 0 {
        // What glibc does; C23 calls it undefined, so nobody may rely on more.
        // SAFETY: the caller's contract.
        unsafe { release(block) };
        return ptr::null_mut();
    }
    // SAFETY: the caller's contract.
    let resized = or_no_memory(unsafe { HEAP.realloc(block.cast(), bytes) });
    if COUNTED && !resized.is_null() && resized != block {
        counts::wanted(Call::ReallocMoved, bytes);
    }
    resized
}

/// Several names for one function. Bodies are repeated rather than called, because a call through an
/// exported name would go through the table of dynamic symbols.
macro_rules! exported {
    ($( $(#[$doc:meta])* $($name:ident)|+ ($($arg:ident: $type:ty),*) $(-> $result:ty)? = $body:expr; )*) => {
        $( exported!(@ [$(#[$doc])*] [$($name)+] ($($arg: $type),*) [$($result)?] $body); )*
    };
    (@ $doc:tt [$($name:ident)+] $args:tt $result:tt $body:expr) => {
        $( exported!(# $doc $name $args $result $body); )+
    };
    (# [$(#[$doc:meta])*] $name:ident ($($arg:ident: $type:ty),*) [$($result:ty)?] $body:expr) => {
        $(#[$doc])*
        ///
        /// # Safety
        /// Pointers are NULL or live blocks of this heap.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($arg: $type),*) $(-> $result)? {
            // SAFETY: the contract of the C function.
            #[allow(unused_unsafe, reason = "some bodies are safe")]
            unsafe { $body }
        }
    };
}

exported! {
    /// `malloc` of the C standard.
    malloc | __libc_malloc(bytes: usize) -> *mut c_void = allocate(bytes);
    /// `calloc` of the C standard.
    calloc | __libc_calloc(count: usize, bytes: usize) -> *mut c_void =
        allocate_zeroed(count, bytes);
    /// `realloc` of the C standard; size 0 frees.
    realloc | __libc_realloc(block: *mut c_void, bytes: usize) -> *mut c_void =
        reallocate(block, bytes);
    /// `free` of the C standard.
    free | cfree | __libc_free(block: *mut c_void) = release(block);
    /// `free_sized` of C23: the size is the caller's promise, which the heap does not need.
    free_sized(block: *mut c_void, _bytes: usize) = release(block);
    /// `free_aligned_sized` of C23, likewise.
    free_aligned_sized(block: *mut c_void, _align: usize, _bytes: usize) = release(block);
    /// Bytes that the block's owner may use; 0 for NULL.
    malloc_usable_size(block: *mut c_void) -> usize = HEAP.usable_size(block.cast());
}
