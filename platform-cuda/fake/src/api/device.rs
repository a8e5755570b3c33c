//! Versions, errors, devices, primary contexts. Floor: second.

use super::answer;
use crate::code::{self, INVALID_DEVICE, INVALID_VALUE, NO_DEVICE, NOT_SUPPORTED};
use crate::state::{CURRENT, Context, State, call};
use std::ffi::{c_char, c_int, c_uint};
use std::ptr;

/// `CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED`
const VIRTUAL_MEMORY: c_int = 102;
/// Other attributes, so that a program that asks sees a plausible device: threads per block, clock, number
/// of processors, concurrent copies, unified addresses, copy engines, capability.
const ATTRIBUTES: &[(c_int, c_int)] =
    &[(1, 1024), (13, 1_000_000), (16, 1), (15, 1), (41, 1), (40, 2), (75, 9), (76, 0)];
const NAME: &[u8] = b"ACE fake device\0";

fn device(state: &State, ordinal: c_int) -> Result<usize, u32> {
    let device = usize::try_from(ordinal).map_err(|_| INVALID_DEVICE)?;
    if (device as u64) < state.options.devices { Ok(device) } else { Err(INVALID_DEVICE) }
}

#[unsafe(no_mangle)]
pub extern "C" fn cuInit(flags: c_uint) -> c_uint {
    call("cuInit", |state| {
        if flags != 0 {
            return Err(INVALID_VALUE);
        }
        if state.options.devices == 0 {
            return Err(NO_DEVICE);
        }
        state.is_started = true;
        Ok(())
    })
}

/// # Safety
/// `version` is null or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDriverGetVersion(version: *mut c_int) -> c_uint {
    call("cuDriverGetVersion", |state| {
        let found = c_int::try_from(state.options.driver_version).map_err(|_| INVALID_VALUE)?;
        // SAFETY: The caller's promise.
        unsafe { answer(version, found) }
    })
}

/// # Safety
/// `name` is null or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGetErrorName(result: c_uint, name: *mut *const c_char) -> c_uint {
    call("cuGetErrorName", |_| {
        let found = code::name(result);
        // SAFETY: The caller's promise.
        unsafe { answer(name, found.map_or(ptr::null(), |name| name.as_ptr())) }?;
        found.map(|_| ()).ok_or(INVALID_VALUE)
    })
}

/// # Safety
/// `count` is null or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetCount(count: *mut c_int) -> c_uint {
    call("cuDeviceGetCount", |state| {
        let devices = c_int::try_from(state.options.devices).map_err(|_| INVALID_VALUE)?;
        // SAFETY: The caller's promise.
        unsafe { answer(count, devices) }
    })
}

/// # Safety
/// `found` is null or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGet(found: *mut c_int, ordinal: c_int) -> c_uint {
    call("cuDeviceGet", |state| {
        device(state, ordinal)?;
        // SAFETY: The caller's promise.
        unsafe { answer(found, ordinal) }
    })
}

/// # Safety
/// `name` is null or `length` bytes may be written to it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetName(
    name: *mut c_char,
    length: c_int,
    ordinal: c_int,
) -> c_uint {
    call("cuDeviceGetName", |state| {
        device(state, ordinal)?;
        let room = usize::try_from(length).map_err(|_| INVALID_VALUE)?;
        if name.is_null() || room < NAME.len() {
            return Err(INVALID_VALUE);
        }
        // SAFETY: The caller's promise, and the name with its end fits.
        unsafe { ptr::copy_nonoverlapping(NAME.as_ptr().cast(), name, NAME.len()) };
        Ok(())
    })
}

/// # Safety
/// `value` is null or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetAttribute(
    value: *mut c_int,
    attribute: c_int,
    ordinal: c_int,
) -> c_uint {
    call("cuDeviceGetAttribute", |state| {
        device(state, ordinal)?;
        let known = ATTRIBUTES.iter().find(|(number, _)| *number == attribute);
        let found = match known {
            Some((_, found)) => *found,
            None if attribute == VIRTUAL_MEMORY => c_int::from(state.options.virtual_memory != 0),
            None => return Err(INVALID_VALUE),
        };
        // SAFETY: The caller's promise.
        unsafe { answer(value, found) }
    })
}

/// # Safety
/// `context` is null or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDevicePrimaryCtxRetain(context: *mut *mut u8, ordinal: c_int) -> c_uint {
    call("cuDevicePrimaryCtxRetain", |state| {
        let device = device(state, ordinal)?;
        let known = state.contexts.iter().find(|(_, context)| context.device == device);
        let handle = known.map_or_else(State::handle, |(handle, _)| *handle);
        // SAFETY: The caller's promise.
        unsafe { answer(context, ptr::without_provenance_mut(handle as usize)) }?;
        state.contexts.entry(handle).or_insert(Context { device, retains: 0 }).retains += 1;
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuDevicePrimaryCtxRelease_v2(ordinal: c_int) -> c_uint {
    call("cuDevicePrimaryCtxRelease_v2", |state| {
        let device = device(state, ordinal)?;
        state.release_context(device)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuCtxSetCurrent(context: *mut u8) -> c_uint {
    call("cuCtxSetCurrent", |state| {
        let handle = context.addr() as u64;
        if handle != 0 && !state.contexts.contains_key(&handle) {
            return Err(code::INVALID_CONTEXT);
        }
        CURRENT.set(handle);
        Ok(())
    })
}

/// # Safety
/// `context` is null or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxGetCurrent(context: *mut *mut u8) -> c_uint {
    call("cuCtxGetCurrent", |_| {
        // SAFETY: The caller's promise.
        unsafe { answer(context, ptr::without_provenance_mut(CURRENT.get() as usize)) }
    })
}

/// # Safety
/// `free` and `total` are null or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemGetInfo_v2(free: *mut usize, total: *mut usize) -> c_uint {
    call("cuMemGetInfo_v2", |state| {
        let all = state.options.memory_bytes;
        let used = state.memory.used_bytes(state.device()?);
        // SAFETY: The caller's promise.
        unsafe { answer(free, all.saturating_sub(used) as usize) }?;
        // SAFETY: The caller's promise.
        unsafe { answer(total, all as usize) }
    })
}

/// Used by the chapter on memory.
pub(super) fn check(state: &State, ordinal: c_int) -> Result<usize, u32> {
    if state.options.virtual_memory == 0 {
        return Err(NOT_SUPPORTED);
    }
    device(state, ordinal)
}
