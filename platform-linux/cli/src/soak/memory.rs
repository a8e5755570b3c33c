//! What is said about this process's memory, by the kernel, the loader and the allocator. Floor: tool.

use super::message::Held;
use crate::Trouble;
use std::{
    ffi::{CStr, OsStr, c_void},
    fs, mem,
    os::unix::ffi::OsStrExt,
    path::PathBuf,
};

/// The file whose `malloc` this process calls.
pub fn malloc_is_in() -> Result<PathBuf, Trouble> {
    // SAFETY: all zeros is a valid Dl_info.
    let mut info: libc::Dl_info = unsafe { mem::zeroed() };
    let malloc = libc::malloc as *const c_void;
    // SAFETY: an address and a valid place.
    if unsafe { libc::dladdr(malloc, &raw mut info) } == 0 || info.dli_fname.is_null() {
        return Err(Trouble::own("the loader can't tell where malloc is"));
    }
    // SAFETY: dladdr succeeded: a C string of the loader's, which stays.
    let name = unsafe { CStr::from_ptr(info.dli_fname) };
    let path = PathBuf::from(OsStr::from_bytes(name.to_bytes()));
    Ok(path.canonicalize().unwrap_or(path))
}

/// Empties the caches of both heaps, the library's and that of `ace` itself, and says what is left.
pub fn held() -> Result<Held, Trouble> {
    // SAFETY: malloc_trim has no preconditions.
    unsafe { libc::malloc_trim(0) };
    ace_alloc_linux::HEAP.trim(0);
    // Not linked by name: `ace run` shall start where the C library is older than this function.
    // SAFETY: a C string.
    let function = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"mallinfo2".as_ptr()) };
    if function.is_null() {
        return Err(Trouble::own("the library has no mallinfo2"));
    }
    // SAFETY: the C function of this name has this type, in every library that has it.
    let mallinfo2: extern "C" fn() -> libc::mallinfo2 = unsafe { mem::transmute(function) };
    let heap = mallinfo2();
    Ok(Held { live_bytes: (heap.uordblks + heap.hblkhd) as u64, resident_bytes: resident_bytes() })
}

/// Resident bytes. Not from statm, whose counters lag behind by a batch of pages for each processor.
pub fn resident_bytes() -> u64 {
    field("/proc/self/smaps_rollup", "Rss:")
}

/// Largest resident set so far.
pub fn peak_resident_bytes() -> u64 {
    field("/proc/self/status", "VmHWM:")
}

/// One field of the kernel's table; 0 where there is none.
fn field(file: &str, name: &str) -> u64 {
    let table = fs::read_to_string(file).unwrap_or_default();
    let value = table.lines().find_map(|line| line.strip_prefix(name));
    let kib: u64 =
        value.and_then(|value| value.split_whitespace().next()?.parse().ok()).unwrap_or(0);
    kib * 1024
}
