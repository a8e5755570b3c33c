//! The C functions of `libace_alloc.so`, loaded into this process beside its own allocator: found by
//! name in the library, so that nobody else's malloc changes.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::PathBuf;
use std::sync::OnceLock;

/// The functions, by the names that C programs call them by; those with two names by both.
#[expect(missing_docs, reason = "the names say it")]
pub struct Library {
    pub malloc: [extern "C" fn(usize) -> *mut c_void; 2],
    pub calloc: [extern "C" fn(usize, usize) -> *mut c_void; 2],
    pub realloc: [unsafe extern "C" fn(*mut c_void, usize) -> *mut c_void; 2],
    pub free: [unsafe extern "C" fn(*mut c_void); 3],
    pub free_sized: unsafe extern "C" fn(*mut c_void, usize),
    pub free_aligned_sized: unsafe extern "C" fn(*mut c_void, usize, usize),
    pub posix_memalign: [unsafe extern "C" fn(*mut *mut c_void, usize, usize) -> c_int; 2],
    pub aligned: [extern "C" fn(usize, usize) -> *mut c_void; 3],
    pub valloc: [extern "C" fn(usize) -> *mut c_void; 2],
    pub pvalloc: [extern "C" fn(usize) -> *mut c_void; 2],
    pub malloc_usable_size: unsafe extern "C" fn(*mut c_void) -> usize,
    pub malloc_trim: extern "C" fn(usize) -> c_int,
    pub mallopt: extern "C" fn(c_int, c_int) -> c_int,
    pub mallinfo: extern "C" fn() -> libc::mallinfo,
    pub mallinfo2: extern "C" fn() -> libc::mallinfo2,
    pub malloc_info: unsafe extern "C" fn(c_int, *mut libc::FILE) -> c_int,
}

/// The library. `ACE_FUZZ_LIBRARY` says where it is; else it is where `cargo build --release` puts it.
///
/// # Panics
/// If it can't be loaded, or lacks a function.
pub fn library() -> &'static Library {
    static LIBRARY: OnceLock<Library> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let usual = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/release/libace_alloc.so");
        let path = std::env::var_os("ACE_FUZZ_LIBRARY").map_or_else(|| usual.into(), PathBuf::from);
        let name = CString::new(path.as_os_str().as_encoded_bytes()).expect("a path without zeros");
        // SAFETY: a string; the library's constructor touches nothing of this process but its own.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        assert!(!handle.is_null(), "{}: {}", path.display(), last_error());
        load(handle)
    })
}

fn last_error() -> String {
    // SAFETY: dlerror has no preconditions.
    let text: *const c_char = unsafe { libc::dlerror() };
    if text.is_null() {
        return "no reason given".into();
    }
    // SAFETY: dlerror's answer is a string until the next call of the dl functions.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// The function of this name, as what it is assigned to.
macro_rules! function {
    ($handle:expr, $name:literal) => {{
        let name: &CStr = $name;
        // SAFETY: an open library and a string.
        let found = unsafe { libc::dlsym($handle, name.as_ptr()) };
        assert!(!found.is_null(), "no function {name:?} in the library");
        // SAFETY: the C function of this name has the type that the field gives it.
        unsafe { std::mem::transmute(found) }
    }};
}

#[expect(clippy::missing_transmute_annotations, reason = "the fields have the types")]
fn load(handle: *mut c_void) -> Library {
    Library {
        malloc: [function!(handle, c"malloc"), function!(handle, c"__libc_malloc")],
        calloc: [function!(handle, c"calloc"), function!(handle, c"__libc_calloc")],
        realloc: [function!(handle, c"realloc"), function!(handle, c"__libc_realloc")],
        free: [
            function!(handle, c"free"),
            function!(handle, c"cfree"),
            function!(handle, c"__libc_free"),
        ],
        free_sized: function!(handle, c"free_sized"),
        free_aligned_sized: function!(handle, c"free_aligned_sized"),
        posix_memalign: [
            function!(handle, c"posix_memalign"),
            function!(handle, c"__posix_memalign"),
        ],
        aligned: [
            function!(handle, c"aligned_alloc"),
            function!(handle, c"memalign"),
            function!(handle, c"__libc_memalign"),
        ],
        valloc: [function!(handle, c"valloc"), function!(handle, c"__libc_valloc")],
        pvalloc: [function!(handle, c"pvalloc"), function!(handle, c"__libc_pvalloc")],
        malloc_usable_size: function!(handle, c"malloc_usable_size"),
        malloc_trim: function!(handle, c"malloc_trim"),
        mallopt: function!(handle, c"mallopt"),
        mallinfo: function!(handle, c"mallinfo"),
        mallinfo2: function!(handle, c"mallinfo2"),
        malloc_info: function!(handle, c"malloc_info"),
    }
}
