//! The caller's errno, kept over system calls of the allocator. Floor: adapter.
//!
//! `free` must not change errno, and a program may look at errno after a successful `malloc`; so every
//! place of this crate that enters the kernel holds a [`KeepErrno`].

/// Puts errno back to what it was, when dropped.
#[derive(Debug)]
pub struct KeepErrno(libc::c_int);

impl KeepErrno {
    /// Remembers errno.
    #[must_use]
    pub fn new() -> Self {
        // SAFETY: __errno_location has no preconditions and returns this thread's valid errno.
        Self(unsafe { *libc::__errno_location() })
    }
}

impl Default for KeepErrno {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for KeepErrno {
    fn drop(&mut self) {
        // SAFETY: as in `new`.
        unsafe { *libc::__errno_location() = self.0 };
    }
}
