//! The fake of the CUDA driver's library: built, opened, and controlled by a test.

use crate::product::build_here;
use std::ffi::{CStr, CString, c_void};
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// What was made in the fake and not given back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Live {
    /// Retains of primary contexts.
    pub retains: u64,
    /// Physical memory.
    pub blocks: u64,
    /// Reserved ranges of addresses.
    pub reservations: u64,
    /// Mappings of physical memory.
    pub mappings: u64,
    /// Pieces of pinned host memory.
    pub pins: u64,
    /// Streams.
    pub streams: u64,
    /// Events.
    pub events: u64,
    /// Modules.
    pub modules: u64,
}

/// The fake, for one test at a time: it has one state in a process.
#[derive(Debug)]
pub struct Fake {
    library: Library,
    _exclusive: MutexGuard<'static, ()>,
}

#[derive(Clone, Debug)]
struct Library {
    path: PathBuf,
    handle: usize,
}

/// Builds and opens the fake, waits until no other test of this process uses it, and resets it.
///
/// # Panics
/// If it can't be built or opened.
#[must_use]
pub fn load() -> Fake {
    static EXCLUSIVE: Mutex<()> = Mutex::new(());
    let exclusive = EXCLUSIVE.lock().unwrap_or_else(PoisonError::into_inner);
    let fake = Fake { library: library().clone(), _exclusive: exclusive };
    fake.reset();
    fake
}

fn library() -> &'static Library {
    static LIBRARY: OnceLock<Library> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let built = build_here(&["--package", "ace-alloc-cuda-fake"]);
        let path = built.join("libace_fake_cuda.so");
        let name = CString::new(path.to_str().expect("a path in UTF-8")).expect("no zero in it");
        // SAFETY: The library's constructors are those of Rust's std.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        assert!(!handle.is_null(), "{} can be opened", path.display());
        Library { path, handle: handle.expose_provenance() }
    })
}

impl Fake {
    /// `libace_fake_cuda.so`.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.library.path
    }

    fn symbol(&self, name: &CStr) -> *mut c_void {
        let handle = std::ptr::with_exposed_provenance_mut(self.library.handle);
        // SAFETY: The handle came from `dlopen` and is never closed.
        let symbol = unsafe { libc::dlsym(handle, name.as_ptr()) };
        assert!(!symbol.is_null(), "the fake has {name:?}");
        symbol
    }

    /// Sets options and adds rules: words `name=value`, as the fake's `options` has them. Rules are
    /// `fail=NAME:K:CODE[:once|always|lost]`.
    ///
    /// # Panics
    /// If a word makes no sense.
    pub fn configure(&self, words: &str) {
        let text = CString::new(words).expect("no zero in it");
        // SAFETY: The fake declares the function so.
        let configure: unsafe extern "C" fn(*const libc::c_char) -> u32 =
            unsafe { mem::transmute(self.symbol(c"ace_fake_configure")) };
        // SAFETY: A C string.
        assert_eq!(unsafe { configure(text.as_ptr()) }, 0, "{words}");
    }

    /// Forgets everything: what was made before is gone.
    pub fn reset(&self) {
        // SAFETY: The fake declares the function so.
        let reset: extern "C" fn() = unsafe { mem::transmute(self.symbol(c"ace_fake_reset")) };
        reset();
    }

    /// What was made and not given back.
    #[must_use]
    pub fn live(&self) -> Live {
        // SAFETY: The fake declares the function so, and `Live` alike.
        let live: unsafe extern "C" fn(*mut Live) -> u64 =
            unsafe { mem::transmute(self.symbol(c"ace_fake_live")) };
        let mut found = Live::default();
        // SAFETY: It may be written to.
        unsafe { live(&mut found) };
        found
    }

    /// How often a function of the driver was called; `None`: any.
    ///
    /// # Panics
    /// If the name has a zero in it.
    #[must_use]
    pub fn calls(&self, name: Option<&str>) -> u64 {
        let name = name.map(|name| CString::new(name).expect("no zero in it"));
        // SAFETY: The fake declares the function so.
        let calls: unsafe extern "C" fn(*const libc::c_char) -> u64 =
            unsafe { mem::transmute(self.symbol(c"ace_fake_calls")) };
        // SAFETY: A C string or null.
        unsafe { calls(name.as_ref().map_or(std::ptr::null(), |name| name.as_ptr())) }
    }

    /// How often a copy or a kernel touched memory that was not there any more, or a call broke a capture.
    #[must_use]
    pub fn misuses(&self) -> u64 {
        // SAFETY: The fake declares the function so.
        let misuses: extern "C" fn() -> u64 =
            unsafe { mem::transmute(self.symbol(c"ace_fake_misuses")) };
        misuses()
    }

    /// Lets so many nanoseconds of the fake's time pass; gives the time. It passes by itself, too: a little
    /// with each call.
    pub fn pass(&self, ns: u64) -> u64 {
        // SAFETY: The fake declares the function so.
        let pass: extern "C" fn(u64) -> u64 =
            unsafe { mem::transmute(self.symbol(c"ace_fake_pass")) };
        pass(ns)
    }
}
