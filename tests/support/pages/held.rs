//! One region that the mock holds: which of its pages are committed and promoted.

use ace_alloc::pages::OutOfPages;
use std::ptr::{self, NonNull};

#[derive(Debug)]
pub(super) struct Held {
    pub(super) start: usize,
    pub(super) bytes: usize,
    /// One entry a page, up to the last that was ever committed; none for a region that was mapped on
    /// its own.
    pub(super) committed: Vec<bool>,
    /// First page and number of pages of each range that is promoted.
    pub(super) promoted: Vec<(usize, usize)>,
}

impl Held {
    pub(super) fn new(start: usize, bytes: usize) -> Self {
        Self { start, bytes, committed: Vec::new(), promoted: Vec::new() }
    }

    pub(super) fn is_committed(&self, first: usize, pages: usize) -> bool {
        let range = self.committed.get(first..first + pages);
        range.is_some_and(|pages| pages.iter().all(|page| *page))
    }

    pub(super) fn is_promoted(&self, first: usize, pages: usize) -> bool {
        self.promoted.iter().any(|&(start, length)| start < first + pages && first < start + length)
    }
}

/// A fresh region of the system, aligned by trimming.
pub(super) fn map_aligned(
    bytes: usize,
    align: usize,
    protection: i32,
) -> Result<NonNull<u8>, OutOfPages> {
    let span = bytes.checked_add(align).ok_or(OutOfPages)?;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a fresh anonymous mapping at an address that the kernel chooses.
    let raw = unsafe { libc::mmap(ptr::null_mut(), span, protection, flags, -1, 0) };
    if raw == libc::MAP_FAILED {
        return Err(OutOfPages);
    }
    let raw = raw.cast::<u8>();
    let head = raw.addr().next_multiple_of(align) - raw.addr();
    let tail = span - head - bytes;
    let start = raw.wrapping_add(head);
    for (at, length) in [(raw, head), (start.wrapping_add(bytes), tail)] {
        if length > 0 {
            // SAFETY: the pages before and after the aligned part of the mapping just made.
            let failed = unsafe { libc::munmap(at.cast(), length) };
            assert_eq!(failed, 0, "munmap of a part of a fresh mapping");
        }
    }
    NonNull::new(start).ok_or(OutOfPages)
}
