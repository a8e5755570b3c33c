//! Pointers of the caller's, checked as far as they can be: null, misaligned, longer than memory.
//! Floor: cellar.

use crate::status::Failure;
use std::ffi::{CStr, c_char};
use std::mem::MaybeUninit;
use std::{ptr, slice};

/// A structure that begins with its own size in bytes, so that later versions can be longer.
///
/// # Safety
/// `repr(C)`, the first field a `usize`, and all bytes zero is a value, as is any other.
pub unsafe trait Versioned: Copy {}

fn checked<T>(start: *const T, count: usize, what: &str) -> Result<(), Failure> {
    if start.is_null() {
        return Err(Failure::argument(format_args!("{what} is null")));
    }
    let fits =
        count.checked_mul(size_of::<T>()).is_some_and(|bytes| isize::try_from(bytes).is_ok());
    if !start.is_aligned() || !fits {
        return Err(Failure::argument(format_args!("{what} is misaligned, or longer than memory")));
    }
    Ok(())
}

/// An array; none at all if it has no elements.
///
/// # Safety
/// It is null, misaligned, or holds `count` values that stay as they are for `'a`.
pub unsafe fn list<'a, T>(start: *const T, count: usize, what: &str) -> Result<&'a [T], Failure> {
    if count == 0 {
        return Ok(&[]);
    }
    checked(start, count, what)?;
    // SAFETY: it is neither null nor misaligned, and by the caller's promise holds so many values.
    Ok(unsafe { slice::from_raw_parts(start, count) })
}

/// Bytes to write to.
///
/// # Safety
/// It is null or holds `count` bytes that nobody else touches for `'a`.
pub unsafe fn bytes_mut<'a>(
    start: *mut u8,
    count: usize,
    what: &str,
) -> Result<&'a mut [u8], Failure> {
    if count == 0 {
        return Ok(&mut []);
    }
    checked(start, count, what)?;
    // SAFETY: it is not null, and by the caller's promise ours, so long. Bytes that a C program has not set
    // are values all the same once they came through a pointer from there.
    Ok(unsafe { slice::from_raw_parts_mut(start, count) })
}

/// A place for an answer.
///
/// # Safety
/// It is null, misaligned, or may be written to for `'a`.
pub unsafe fn place<'a, T>(place: *mut T, what: &str) -> Result<&'a mut MaybeUninit<T>, Failure> {
    checked(place, 1, what)?;
    // SAFETY: it is neither null nor misaligned, and by the caller's promise may be written to.
    Ok(unsafe { &mut *place.cast::<MaybeUninit<T>>() })
}

/// A string; none if it is null.
///
/// # Safety
/// It is null or a C string that stays for `'a`.
pub unsafe fn text<'a>(start: *const c_char) -> Option<&'a CStr> {
    // SAFETY: the caller's promise.
    (!start.is_null()).then(|| unsafe { CStr::from_ptr(start) })
}

/// A structure of this or another version: fields that it lacks are zero, and fields that are not known
/// here must be.
///
/// # Safety
/// It is null, misaligned, or holds as many bytes as its first field says.
pub unsafe fn versioned<T: Versioned>(start: *const T, what: &str) -> Result<T, Failure> {
    checked(start, 1, what)?;
    // SAFETY: it is neither null nor misaligned, and by the caller's promise holds its first field.
    let bytes = unsafe { start.cast::<usize>().read() };
    if bytes < size_of::<usize>() || isize::try_from(bytes).is_err() {
        return Err(Failure::argument(format_args!("{what}: size is {bytes}")));
    }
    let mut value = MaybeUninit::<T>::zeroed();
    let known = bytes.min(size_of::<T>());
    // SAFETY: both sides hold so many bytes, and the target is ours alone.
    unsafe { ptr::copy_nonoverlapping(start.cast::<u8>(), value.as_mut_ptr().cast(), known) };
    for at in known..bytes {
        // SAFETY: by the caller's promise it holds `bytes`, and `at` is less.
        if unsafe { start.cast::<u8>().add(at).read() } != 0 {
            let message = format_args!("{what} has fields that this version does not know");
            return Err(Failure::argument(message));
        }
    }
    // SAFETY: zeros, and over them the caller's bytes: a value by the promise of `Versioned`.
    Ok(unsafe { value.assume_init() })
}

/// Fills as much of a structure as its own size says, but for that size; beyond what is known here, with
/// zeros.
///
/// # Safety
/// It is null, misaligned, or holds as many bytes as its first field says, which may be written to.
pub unsafe fn give_versioned<T: Versioned>(
    place: *mut T,
    value: &T,
    what: &str,
) -> Result<(), Failure> {
    checked(place, 1, what)?;
    const SIZE: usize = size_of::<usize>();
    // SAFETY: it is neither null nor misaligned, and by the caller's promise holds its first field.
    let bytes = unsafe { place.cast::<usize>().read() };
    if bytes < SIZE || isize::try_from(bytes).is_err() {
        return Err(Failure::argument(format_args!("{what}: size is {bytes}")));
    }
    let known = bytes.min(size_of::<T>());
    let (from, to) = (ptr::from_ref(value).cast::<u8>(), place.cast::<u8>());
    // SAFETY: `known` is within both, and `bytes` within the caller's; neither range is empty backwards, for
    // both begin with a `usize`.
    unsafe {
        ptr::copy_nonoverlapping(from.add(SIZE), to.add(SIZE), known.saturating_sub(SIZE));
        to.add(known).write_bytes(0, bytes.saturating_sub(known));
    }
    Ok(())
}
