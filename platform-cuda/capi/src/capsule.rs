//! The destructor of Python's capsules. A binding through ctypes can't have its own: a capsule may go while an
//! exception is on its way, and no code of Python's may run then. Floor: roof.

use crate::dlpack::{DLManagedTensor, DLManagedTensorVersioned};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem;

type IsValid = unsafe extern "C" fn(*mut c_void, *const c_char) -> c_int;
type GetPointer = unsafe extern "C" fn(*mut c_void, *const c_char) -> *mut c_void;

/// Python's functions, which are in the process if a capsule is.
fn python() -> Option<(IsValid, GetPointer)> {
    let find = |name: &CStr| {
        // SAFETY: a C string; nothing is loaded.
        let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
        (!found.is_null()).then_some(found)
    };
    let (is_valid, get_pointer) = (find(c"PyCapsule_IsValid")?, find(c"PyCapsule_GetPointer")?);
    // SAFETY: CPython declares them so since 3.1, in its stable ABI.
    Some(unsafe {
        (
            mem::transmute::<*mut c_void, IsValid>(is_valid),
            mem::transmute::<*mut c_void, GetPointer>(get_pointer),
        )
    })
}

/// A PyCapsule_Destructor for capsules named "dltensor" or "dltensor_versioned": calls the tensor's deleter if
/// nobody took it.
///
/// # Safety
/// `capsule` is a capsule of CPython's, and if it has one of these names, holds such a tensor of this library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ace_cuda_capsule_gone(capsule: *mut c_void) {
    let Some((is_valid, get_pointer)) = python() else { return };
    let get = |name: &CStr| {
        // SAFETY: by the caller's promise it is a capsule; a valid one of a name has a pointer.
        unsafe {
            (is_valid(capsule, name.as_ptr()) != 0).then(|| get_pointer(capsule, name.as_ptr()))
        }
    };
    if let Some(tensor) = get(c"dltensor") {
        let tensor = tensor.cast::<DLManagedTensor>();
        // SAFETY: by the caller's promise it is a tensor of this library, and nobody took it.
        unsafe { (*tensor).deleter.map(|deleter| deleter(tensor)) };
    }
    if let Some(tensor) = get(c"dltensor_versioned") {
        let tensor = tensor.cast::<DLManagedTensorVersioned>();
        // SAFETY: as above.
        unsafe { (*tensor).deleter.map(|deleter| deleter(tensor)) };
    }
}
