//! What the kernel counts of this process: resident bytes, page faults. Floor: adapter.

use crate::{KeepErrno, file::File};

/// Resident bytes, from `/proc/self/statm`: three system calls and no allocation. The kernel adds its
/// counts up lazily: a batch of pages for each processor may be missing.
pub(crate) fn bytes() -> Option<u64> {
    let mut text = [0; 128];
    let line = core::str::from_utf8(File::read(c"/proc/self/statm", &mut text)).ok()?;
    let pages: u64 = line.split_ascii_whitespace().nth(1)?.parse().ok()?;
    // SAFETY: getauxval has no preconditions.
    Some(pages * unsafe { libc::getauxval(libc::AT_PAGESZ) })
}

/// Page faults so far that needed no input or output.
pub(crate) fn minor_faults() -> u64 {
    let _errno = KeepErrno::new();
    // SAFETY: rusage is plain numbers; all zeros is one of its values.
    let mut usage: libc::rusage = unsafe { core::mem::zeroed() };
    // SAFETY: a valid place.
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) };
    u64::try_from(usage.ru_minflt).unwrap_or(0)
}
