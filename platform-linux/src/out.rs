//! Text to a file descriptor from a buffer on the stack: no allocation, safe in a signal handler.
//! Floor: adapter.

use crate::KeepErrno;
use core::fmt;

/// Collects text in `N` bytes and writes it out when they are full, at [`FdWriter::flush`] and when
/// dropped. What does not fit the descriptor (it is closed, the disk is full) is dropped.
#[derive(Debug)]
pub struct FdWriter<const N: usize> {
    fd: libc::c_int,
    used: usize,
    buffer: [u8; N],
    failed: bool,
}

impl<const N: usize> FdWriter<N> {
    /// A writer to an open descriptor, which stays the caller's.
    #[must_use]
    pub const fn new(fd: libc::c_int) -> Self {
        Self { fd, used: 0, buffer: [0; N], failed: false }
    }

    /// From now on writes to another open descriptor. What is collected goes there too.
    pub(crate) const fn redirect(&mut self, fd: libc::c_int) {
        self.fd = fd;
        self.failed = false;
    }

    /// The descriptor.
    pub(crate) const fn fd(&self) -> libc::c_int {
        self.fd
    }

    /// Forgets what is collected.
    pub(crate) const fn discard(&mut self) {
        self.used = 0;
    }

    /// Hands everything collected so far to the kernel. `false` if some of it was lost, now or before.
    #[inline(never)]
    pub fn flush(&mut self) -> bool {
        let _errno = KeepErrno::new();
        let mut rest = &self.buffer[..self.used];
        while !rest.is_empty() && !self.failed {
            // SAFETY: `rest` is a valid slice for the time of the call.
            let wrote = unsafe { libc::write(self.fd, rest.as_ptr().cast(), rest.len()) };
            match usize::try_from(wrote) {
                Ok(0) => self.failed = true,
                Ok(bytes) => rest = rest.get(bytes..).unwrap_or_default(),
                // SAFETY: __errno_location returns this thread's valid errno.
                Err(_) if unsafe { *libc::__errno_location() } == libc::EINTR => {}
                Err(_) => self.failed = true,
            }
        }
        self.used = 0;
        !self.failed
    }
}

impl<const N: usize> fmt::Write for FdWriter<N> {
    /// Not inlined: the loop unrolled for each literal would be most of the code of a report.
    #[inline(never)]
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for &byte in text.as_bytes() {
            if self.used == N {
                self.flush();
            }
            self.buffer[self.used] = byte;
            self.used += 1;
        }
        Ok(())
    }
}

impl<const N: usize> Drop for FdWriter<N> {
    fn drop(&mut self) {
        self.flush();
    }
}
