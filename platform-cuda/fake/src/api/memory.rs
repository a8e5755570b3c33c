//! Addresses, physical memory, mappings; pinned memory. Floor: second.

use super::answer;
use super::device::check;
use crate::code::{INVALID_VALUE, Outcome};
use crate::state::{State, call};
use std::ffi::{c_int, c_uint, c_ulonglong};
use std::ptr;

/// `CUmemLocation`
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Location {
    kind: c_uint,
    id: c_int,
}

/// `CUmemAllocationProp`
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Property {
    kind: c_uint,
    handle_types: c_uint,
    location: Location,
    windows: *mut u8,
    flags: u64,
}

/// `CUmemAccessDesc`
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Access {
    location: Location,
    flags: c_uint,
}

const _: () = assert!(size_of::<Location>() == 8);
const _: () = assert!(size_of::<Property>() == 32);
const _: () = assert!(size_of::<Access>() == 12);

/// `CU_MEM_LOCATION_TYPE_DEVICE`
const DEVICE: c_uint = 1;
/// `CU_MEM_ALLOCATION_TYPE_PINNED`
const PINNED: c_uint = 1;
/// `CU_MEM_ACCESS_FLAGS_PROT_READWRITE`
const READ_WRITE: c_uint = 3;
/// The flags that `cuMemHostAlloc` knows: portable, mapped, write combined.
const HOST_FLAGS: c_uint = 7;

fn device(state: &State, location: Location) -> Result<usize, u32> {
    if location.kind != DEVICE {
        return Err(INVALID_VALUE);
    }
    check(state, location.id)
}

/// The device of a property.
///
/// # Safety
/// `property` is null or may be read.
unsafe fn described(state: &State, property: *const Property) -> Result<usize, u32> {
    if property.is_null() {
        return Err(INVALID_VALUE);
    }
    // SAFETY: The caller's promise.
    let property = unsafe { property.read() };
    if property.kind != PINNED || property.handle_types != 0 || property.flags != 0 {
        return Err(INVALID_VALUE);
    }
    device(state, property.location)
}

fn check_grain(state: &State, values: &[u64]) -> Outcome {
    let grain = state.options.granularity_bytes;
    let is_even = values.iter().all(|value| value.is_multiple_of(grain));
    if is_even { Ok(()) } else { Err(INVALID_VALUE) }
}

/// # Safety
/// `granularity` is null or may be written to, `property` is null or may be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemGetAllocationGranularity(
    granularity: *mut usize,
    property: *const Property,
    option: c_uint,
) -> c_uint {
    call("cuMemGetAllocationGranularity", |state| {
        // SAFETY: The caller's promise.
        unsafe { described(state, property) }?;
        if option > 1 {
            return Err(INVALID_VALUE);
        }
        // SAFETY: The caller's promise.
        unsafe { answer(granularity, state.options.granularity_bytes as usize) }
    })
}

/// # Safety
/// `start` is null or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAddressReserve(
    start: *mut u64,
    bytes: usize,
    alignment: usize,
    hint: u64,
    flags: c_ulonglong,
) -> c_uint {
    call("cuMemAddressReserve", |state| {
        let grain = state.options.granularity_bytes;
        let alignment = (alignment as u64).max(grain);
        check_grain(state, &[bytes as u64, hint])?;
        if start.is_null() || bytes == 0 || flags != 0 || !alignment.is_power_of_two() {
            return Err(INVALID_VALUE);
        }
        let limit = state.options.address_bytes;
        let found = state.memory.reserve(bytes as u64, alignment, limit)?;
        // SAFETY: The caller's promise.
        unsafe { answer(start, found) }
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemAddressFree(start: u64, bytes: usize) -> c_uint {
    call("cuMemAddressFree", |state| state.memory.free(start, bytes as u64))
}

/// # Safety
/// `handle` is null or may be written to, `property` is null or may be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemCreate(
    handle: *mut c_ulonglong,
    bytes: usize,
    property: *const Property,
    flags: c_ulonglong,
) -> c_uint {
    call("cuMemCreate", |state| {
        check_grain(state, &[bytes as u64])?;
        if handle.is_null() || bytes == 0 || flags != 0 {
            return Err(INVALID_VALUE);
        }
        // SAFETY: The caller's promise.
        let device = unsafe { described(state, property) }?;
        let (new, limit) = (State::handle(), state.options.memory_bytes);
        state.memory.create(new, device, bytes as u64, limit)?;
        // SAFETY: The caller's promise.
        unsafe { answer(handle, new) }
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemRelease(handle: c_ulonglong) -> c_uint {
    call("cuMemRelease", |state| state.memory.release(handle))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemMap(
    start: u64,
    bytes: usize,
    offset: usize,
    handle: c_ulonglong,
    flags: c_ulonglong,
) -> c_uint {
    call("cuMemMap", |state| {
        check_grain(state, &[start, bytes as u64])?;
        if bytes == 0 || offset != 0 || flags != 0 {
            return Err(INVALID_VALUE);
        }
        state.memory.map(start, bytes as u64, handle)
    })
}

/// # Safety
/// `access` is null or `count` of it may be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemSetAccess(
    start: u64,
    bytes: usize,
    access: *const Access,
    count: usize,
) -> c_uint {
    call("cuMemSetAccess", |state| {
        if access.is_null() || count != 1 {
            return Err(INVALID_VALUE);
        }
        // SAFETY: The caller's promise.
        let access = unsafe { access.read() };
        let device = device(state, access.location)?;
        if access.flags != 0 && access.flags != READ_WRITE {
            return Err(INVALID_VALUE);
        }
        let allow = access.flags == READ_WRITE;
        state.memory.set_access(start, bytes as u64, device, allow)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemUnmap(start: u64, bytes: usize) -> c_uint {
    call("cuMemUnmap", |state| state.memory.unmap(start, bytes as u64))
}

/// # Safety
/// `start` is null or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemHostAlloc(
    start: *mut *mut u8,
    bytes: usize,
    flags: c_uint,
) -> c_uint {
    call("cuMemHostAlloc", |state| {
        state.device()?;
        state.spare_captures()?;
        if start.is_null() || flags & !HOST_FLAGS != 0 {
            return Err(INVALID_VALUE);
        }
        let found = state.memory.pin(bytes as u64, state.options.pinned_bytes)?;
        // SAFETY: The caller's promise.
        unsafe { answer(start, ptr::with_exposed_provenance_mut(found as usize)) }
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemFreeHost(start: *mut u8) -> c_uint {
    call("cuMemFreeHost", |state| {
        state.device()?;
        state.memory.unpin(start.expose_provenance() as u64)
    })
}
