//! The driver's library: opened once, never closed. Floor: lift.

use super::code::{Code, result};
use super::error::OpenError;
use super::table::Functions;
use crate::options;
use core::ffi::{CStr, c_char, c_int, c_uint, c_void};
use core::{fmt, mem, ptr};
use std::boxed::Box;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::string::{String, ToString};
use std::sync::{Mutex, PoisonError};
use std::vec::Vec;

/// The oldest driver that will do: the first with the primary context's release as it is today. Virtual
/// memory came with 10.2.
const NEEDED_VERSION: u32 = 11_000;

/// A driver that was found and started. It stays loaded until the process ends: threads of the driver run
/// in it, and handles of its memory live on.
#[derive(Clone, Copy)]
pub struct Library {
    pub(super) functions: &'static Functions,
}

/// The tables of all libraries that were opened, by the loader's handle.
static OPENED: Mutex<Vec<(usize, &'static Functions)>> = Mutex::new(Vec::new());

impl Library {
    /// The driver of this machine, or what `ACE_CUDA_LIBRARY` names.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn find() -> Result<Self, OpenError> {
        // SAFETY: The loader's path and the environment are the user's word on what is to be trusted, as
        // for every other library of the process.
        unsafe { Self::open(&options::cuda_library()) }
    }

    /// A driver by its path, or by a name that the loader looks for.
    ///
    /// # Errors
    /// See [`OpenError`].
    ///
    /// # Safety
    /// Functions of the library that have the driver's names have its ABI, and its constructors do no harm.
    pub unsafe fn open(path: &Path) -> Result<Self, OpenError> {
        // SAFETY: The caller's promise.
        let handle = unsafe { load(path) }?;
        let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
        let known = opened.iter().find(|(known, _)| *known == handle.addr());
        let functions = match known {
            Some((_, functions)) => functions,
            None => {
                // SAFETY: The handle is never closed, and by the caller's promise the ABI is the driver's.
                let functions = unsafe { resolve(|name| symbol(handle, name), path) }?;
                let functions: &'static _ = Box::leak(Box::new(functions));
                opened.push((handle.addr(), functions));
                functions
            }
        };
        drop(opened);
        let library = Self { functions };
        library.start()?;
        Ok(library)
    }

    fn start(self) -> Result<(), OpenError> {
        let version = self.version()?;
        if version < NEEDED_VERSION {
            return Err(OpenError::DriverTooOld { version, needed: NEEDED_VERSION });
        }
        let init = &self.functions.init;
        // SAFETY: The signature is the driver's; the flags must be 0.
        match result(unsafe { (init.function)(0) }) {
            Err(Code::NO_DEVICE) => Err(OpenError::NoDevice),
            started => started.map_err(|code| self.failed(init.symbol, code)),
        }
    }

    /// The CUDA that the driver is for: 1000 × major + 10 × minor.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn version(self) -> Result<u32, OpenError> {
        let mut version: c_int = 0;
        let call = &self.functions.driver_get_version;
        // SAFETY: The driver writes a number to a place of ours.
        let got = result(unsafe { (call.function)(&raw mut version) });
        got.map_err(|code| self.failed(call.symbol, code))?;
        Ok(version.try_into().unwrap_or(0))
    }

    /// How many devices the driver shows.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn device_count(self) -> Result<u32, OpenError> {
        let mut count: c_int = 0;
        let call = &self.functions.device_get_count;
        // SAFETY: The driver writes a number to a place of ours.
        let got = result(unsafe { (call.function)(&raw mut count) });
        got.map_err(|code| self.failed(call.symbol, code))?;
        Ok(count.try_into().unwrap_or(0))
    }

    /// The driver's name for a result.
    #[must_use]
    pub fn name_of(self, code: Code) -> Option<&'static str> {
        let mut name: *const c_char = ptr::null();
        // SAFETY: The driver takes any number, and writes a pointer to a place of ours.
        let got = unsafe { (self.functions.get_error_name.function)(code.0, &raw mut name) };
        if result(got).is_err() || name.is_null() {
            return None;
        }
        // SAFETY: The driver's names are constants in its library, which is never unloaded.
        unsafe { CStr::from_ptr(name) }.to_str().ok()
    }

    pub(super) fn failed(self, call: &'static str, code: Code) -> OpenError {
        OpenError::Failed { call, code, name: self.name_of(code) }
    }
}

impl fmt::Debug for Library {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Library").finish_non_exhaustive()
    }
}

/// Loads a library for good.
///
/// # Safety
/// Its constructors do no harm.
unsafe fn load(path: &Path) -> Result<*mut c_void, OpenError> {
    let no_driver = |reason: String| OpenError::NoDriver { path: path.into(), reason };
    let name = CString::new(path.as_os_str().as_bytes())
        .map_err(|_| no_driver("the path has a zero byte".to_string()))?;
    // SAFETY: A C string; for the constructors, the caller's promise.
    let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    if handle.is_null() {
        return Err(no_driver(loader_says()));
    }
    Ok(handle)
}

/// The loader's last error on this thread.
fn loader_says() -> String {
    // SAFETY: Null, or a C string that stays until the next call of the loader on this thread.
    let text = unsafe { libc::dlerror() };
    if text.is_null() {
        return "no reason given".to_string();
    }
    // SAFETY: As above.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// Looks a function of a library up.
///
/// # Safety
/// The loader gave the handle, and it was not closed.
unsafe fn symbol(handle: *mut c_void, name: &CStr) -> Option<*mut c_void> {
    // SAFETY: By the caller's promise the handle is open; the name is a C string.
    let found = unsafe { libc::dlsym(handle, name.as_ptr()) };
    (!found.is_null()).then_some(found)
}

/// The table of a library. If it lacks a function, its age may be the reason.
///
/// # Safety
/// What `look_up` finds under a symbol is the driver's function of that name.
unsafe fn resolve(
    look_up: impl Fn(&CStr) -> Option<*mut c_void>,
    path: &Path,
) -> Result<Functions, OpenError> {
    // SAFETY: The caller's promise.
    let resolved = unsafe { Functions::resolve(&look_up) };
    resolved.map_err(|symbol| {
        let version = look_up(c"cuDriverGetVersion").and_then(|found| {
            let mut version: c_int = 0;
            // SAFETY: By the caller's promise this is its signature.
            let get: unsafe extern "C" fn(*mut c_int) -> c_uint = unsafe { mem::transmute(found) };
            // SAFETY: The driver writes a number to a place of ours.
            result(unsafe { get(&raw mut version) }).ok()?;
            u32::try_from(version).ok()
        });
        match version {
            Some(version @ ..NEEDED_VERSION) => {
                OpenError::DriverTooOld { version, needed: NEEDED_VERSION }
            }
            _ => OpenError::MissingSymbol { path: path.into(), symbol },
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// # Safety
    /// `version` may be written to.
    unsafe extern "C" fn version<const N: c_int>(version: *mut c_int) -> c_uint {
        // SAFETY: The caller's promise.
        unsafe { version.write(N) };
        0
    }

    /// What becomes of a library that has nothing but a version.
    fn lacking(get_version: unsafe extern "C" fn(*mut c_int) -> c_uint) -> OpenError {
        let look_up =
            |name: &CStr| (name == c"cuDriverGetVersion").then_some(get_version as *mut c_void);
        // SAFETY: The one function that is found has the driver's signature.
        unsafe { resolve(look_up, Path::new("lib")) }.err().expect("functions are missing")
    }

    #[test]
    fn a_library_that_lacks_functions_is_an_old_driver_if_its_version_says_so() {
        let old = OpenError::DriverTooOld { version: 10_010, needed: NEEDED_VERSION };
        assert_eq!(lacking(version::<10_010>), old);
        let other = OpenError::MissingSymbol { path: "lib".into(), symbol: "cuInit" };
        assert_eq!(lacking(version::<12_080>), other);
    }
}
