//! Files without allocation: names kept from the environment, opening, short reads. Floor: adapter.

use crate::KeepErrno;
use core::{
    cell::UnsafeCell,
    ffi::{CStr, c_int},
    fmt::{self, Write},
    sync::atomic::{AtomicUsize, Ordering},
};

/// A file name that the environment gave. A copy: programs that rename themselves write over their
/// environment.
///
/// Invariant K1: the bytes are written before `used` is set, while nobody else looks, and never again.
pub(crate) struct Path {
    used: AtomicUsize,
    bytes: UnsafeCell<[u8; 1024]>,
}

// SAFETY: K1; `used` is stored with Release and read with Acquire.
unsafe impl Sync for Path {}

impl Path {
    /// None.
    pub(crate) const fn new() -> Self {
        Self { used: AtomicUsize::new(0), bytes: UnsafeCell::new([0; 1024]) }
    }

    /// Keeps a name; `false` if it is too long.
    pub(crate) fn keep(&self, path: &[u8]) -> bool {
        // SAFETY: options are read once a process, before anybody can see `used` (K1).
        let bytes = unsafe { &mut *self.bytes.get() };
        let Some(place) = bytes.get_mut(..path.len()) else { return false };
        place.copy_from_slice(path);
        self.used.store(path.len(), Ordering::Release);
        true
    }

    /// The name, if one is kept.
    pub(crate) fn get(&self) -> Option<&[u8]> {
        let used = self.used.load(Ordering::Acquire);
        // SAFETY: K1: after `used` is set, nobody writes the bytes.
        (used > 0).then(|| unsafe { &(&*self.bytes.get())[..used] })
    }
}

/// An open descriptor, closed when dropped. Its calls keep errno.
#[derive(Debug)]
pub struct File(c_int);

impl File {
    /// Opens a file to write, made if need be; `%p` in the name becomes the process id. `flags` are added
    /// (`O_TRUNC` or `O_APPEND`).
    #[must_use]
    pub fn create(name: &[u8], flags: c_int) -> Option<Self> {
        let mut path = Text::<1200>::new();
        for (index, part) in name.split(|&byte| byte == b'%').enumerate() {
            match (index, part.split_first()) {
                (0, _) => path.push(part),
                (_, Some((b'p', rest))) => {
                    // SAFETY: getpid has no preconditions.
                    let _ = write!(path, "{}", unsafe { libc::getpid() });
                    path.push(rest);
                }
                _ => {
                    path.push(b"%");
                    path.push(part);
                }
            }
        }
        Self::open(path.as_c_str()?, libc::O_WRONLY | libc::O_CREAT | flags)
    }

    #[inline(never)]
    fn open(path: &CStr, flags: c_int) -> Option<Self> {
        let _errno = KeepErrno::new();
        // SAFETY: a valid C string.
        let fd = unsafe { libc::open(path.as_ptr(), flags | libc::O_CLOEXEC, 0o666) };
        (fd >= 0).then_some(Self(fd))
    }

    /// Reads the beginning of one of the kernel's short files, which come whole in one read. Nothing, if it
    /// can't be read.
    #[must_use]
    pub fn read<'a>(path: &CStr, place: &'a mut [u8]) -> &'a [u8] {
        let Some(file) = Self::open(path, libc::O_RDONLY) else { return &[] };
        let _errno = KeepErrno::new();
        // SAFETY: an open descriptor and a valid place.
        let read = unsafe { libc::read(file.0, place.as_mut_ptr().cast(), place.len()) };
        place.get(..usize::try_from(read).unwrap_or(0)).unwrap_or_default()
    }

    /// The number of the descriptor.
    #[must_use]
    pub const fn fd(&self) -> c_int {
        self.0
    }

    /// The same file under a descriptor of at least this number, where the limit of open files allows it.
    #[must_use]
    pub(crate) fn moved_above(self, number: c_int) -> Self {
        let _errno = KeepErrno::new();
        // SAFETY: an open descriptor.
        let high = unsafe { libc::fcntl(self.0, libc::F_DUPFD_CLOEXEC, number) };
        if high >= 0 { Self(high) } else { self }
    }

    /// Leaves the descriptor open for good.
    #[must_use]
    pub(crate) const fn leak(self) -> c_int {
        let fd = self.0;
        core::mem::forget(self);
        fd
    }

    /// Device and number of the file under a descriptor, if it is an ordinary one.
    #[must_use]
    pub(crate) fn identity(fd: c_int) -> Option<(u64, u64)> {
        let _errno = KeepErrno::new();
        // SAFETY: stat is plain numbers; all zeros is one of its values.
        let mut stat: libc::stat = unsafe { core::mem::zeroed() };
        // SAFETY: a valid place; a descriptor that is not open is refused.
        let asked = unsafe { libc::fstat(fd, &raw mut stat) };
        let ordinary = asked == 0 && stat.st_mode & libc::S_IFMT == libc::S_IFREG;
        ordinary.then_some((stat.st_dev, stat.st_ino))
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _errno = KeepErrno::new();
        // SAFETY: the descriptor is ours.
        unsafe { libc::close(self.0) };
    }
}

/// Text with a zero at its end, on the stack. Too long: no string at all.
struct Text<const N: usize> {
    used: usize,
    bytes: [u8; N],
}

impl<const N: usize> Text<N> {
    const fn new() -> Self {
        Self { used: 0, bytes: [0; N] }
    }

    #[inline(never)]
    fn push(&mut self, text: &[u8]) {
        for &byte in text {
            if let Some(place) = self.bytes.get_mut(self.used) {
                *place = byte;
            }
            self.used += 1;
        }
    }

    fn as_c_str(&self) -> Option<&CStr> {
        CStr::from_bytes_with_nul(self.bytes.get(..=self.used)?).ok()
    }
}

impl<const N: usize> Write for Text<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}
