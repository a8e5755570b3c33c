//! Modules and launches. Floor: second.

use super::answer;
use crate::code::{INVALID_HANDLE, INVALID_VALUE, NOT_FOUND};
use crate::kernels::{self, Launch};
use crate::queue::{Engine, Work};
use crate::state::{State, call};
use std::ffi::{CStr, c_char, c_uint};
use std::ptr;

const MOST_THREADS: u64 = 1024;

/// # Safety
/// `module` is null or may be written to, `image` is null or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleLoadData(module: *mut *mut u8, image: *const c_char) -> c_uint {
    call("cuModuleLoadData", |state| {
        state.device()?;
        if image.is_null() {
            return Err(INVALID_VALUE);
        }
        // SAFETY: The caller's promise.
        let text = unsafe { CStr::from_ptr(image) }.to_string_lossy();
        let (entries, handle) = (kernels::entries(&text)?, State::handle());
        // SAFETY: The caller's promise.
        unsafe { answer(module, ptr::without_provenance_mut(handle as usize)) }?;
        state.modules.insert(handle, entries);
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuModuleUnload(module: *mut u8) -> c_uint {
    call("cuModuleUnload", |state| {
        let handle = module.addr() as u64;
        state.modules.remove(&handle).ok_or(INVALID_HANDLE)?;
        state.functions.retain(|_, (of, _)| *of != handle);
        Ok(())
    })
}

/// # Safety
/// `function` is null or may be written to, `name` is null or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleGetFunction(
    function: *mut *mut u8,
    module: *mut u8,
    name: *const c_char,
) -> c_uint {
    call("cuModuleGetFunction", |state| {
        if name.is_null() {
            return Err(INVALID_VALUE);
        }
        // SAFETY: The caller's promise.
        let name = unsafe { CStr::from_ptr(name) }.to_string_lossy();
        let module = module.addr() as u64;
        let twin = state.entry(module, &name)?.ok_or(NOT_FOUND)?;
        let handle = State::handle();
        // SAFETY: The caller's promise.
        unsafe { answer(function, ptr::without_provenance_mut(handle as usize)) }?;
        state.functions.insert(handle, (module, twin));
        Ok(())
    })
}

/// # Safety
/// `arguments` points to as many pointers as the kernel has arguments, each to one of its size.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuLaunchKernel(
    function: *mut u8,
    grid_x: c_uint,
    grid_y: c_uint,
    grid_z: c_uint,
    block_x: c_uint,
    block_y: c_uint,
    block_z: c_uint,
    _shared_bytes: c_uint,
    stream: *mut u8,
    arguments: *mut *mut u8,
    extra: *mut *mut u8,
) -> c_uint {
    call("cuLaunchKernel", |state| {
        let device = state.device()?;
        let (_, twin) = *state.functions.get(&(function.addr() as u64)).ok_or(INVALID_HANDLE)?;
        let sides = [grid_x, grid_y, grid_z, block_x, block_y, block_z];
        let threads = sides[3..].iter().map(|side| u64::from(*side)).fold(1, u64::saturating_mul);
        if sides.contains(&0) || threads > MOST_THREADS || arguments.is_null() || !extra.is_null() {
            return Err(INVALID_VALUE);
        }
        let read = |(index, bytes): (usize, &usize)| {
            let mut value = [0; 8];
            // SAFETY: The caller's promise: there is a pointer for each argument.
            let from = unsafe { arguments.add(index).read() };
            // SAFETY: The caller's promise: it points to an argument of this size, which is at most 8.
            unsafe { ptr::copy_nonoverlapping(from, value.as_mut_ptr(), *bytes) };
            u64::from_le_bytes(value)
        };
        let arguments = twin.argument_bytes.iter().enumerate().map(read).collect();
        let work = Work::Kernel(Launch { twin, arguments });
        let times = (state.now_ns, state.options.kernel_ns);
        let key = (device, stream.addr() as u64);
        state.queue.submit(key, Engine::Compute, times, work)?;
        Ok(())
    })
}
