//! Pages from the kernel: mmap, mprotect, madvise, mremap, munmap. Floor: adapter.
//!
//! No call aborts. A kernel that says no is answered with `OutOfPages` (or with "kept", where pages
//! were to be given back), and the heap goes on with what it has. That includes a process at its
//! limit of mappings (`vm.max_map_count`), where even munmap can fail.

use crate::KeepErrno;
use ace_alloc::pages::{OutOfPages, PageProvider, Purged, Region};
use core::ptr::{self, NonNull};

/// The kernel as a page provider.
#[derive(Clone, Copy, Debug, Default)]
pub struct LinuxPages;

const NOTHING: libc::c_int = libc::PROT_NONE;
const READ_WRITE: libc::c_int = libc::PROT_READ | libc::PROT_WRITE;

// SAFETY: each region is a mapping of its own that mmap chose, so unique, and nobody else knows it.
// Anonymous private pages are zero at first touch. mmap, mprotect … of libc do not allocate.
unsafe impl PageProvider for LinuxPages {
    /// 4 KiB on x86_64. Elsewhere the kernel may use up to 64 KiB, and a multiple of the real page
    /// size serves as well.
    const PAGE: usize = if cfg!(target_arch = "x86_64") { 4096 } else { 65536 };

    fn reserve(&self, bytes: usize, align: usize) -> Result<Region, OutOfPages> {
        let _errno = KeepErrno::new();
        // Address space is limited: leave half of it to the program's stacks, libraries, mapped files
        // and to our own huge blocks.
        if bytes > address_space_limit() / 2 {
            return Err(OutOfPages);
        }
        let region = map_aligned(bytes, align, NOTHING, libc::MAP_NORESERVE)?;
        // Where the system uses huge pages for everything, a heap of a few KiB would cost MiB in each
        // of the sparse tables. A kernel without huge pages refuses: good as well.
        // SAFETY: the region is a mapping of ours.
        unsafe { libc::madvise(start(region), bytes, libc::MADV_NOHUGEPAGE) };
        Ok(region)
    }

    unsafe fn commit(&self, range: Region) -> Result<(), OutOfPages> {
        let _errno = KeepErrno::new();
        // SAFETY: the range lies in a reservation of ours (contract), and nobody holds references to
        // memory that was inaccessible until now.
        match unsafe { libc::mprotect(start(range), range.bytes, READ_WRITE) } {
            0 => Ok(()),
            _ => Err(OutOfPages),
        }
    }

    unsafe fn purge(&self, range: Region) -> Purged {
        let _errno = KeepErrno::new();
        // DONTNEED, not FREE: the memory is gone from the resident set at once, which is what users
        // see. Locked pages (mlockall) refuse.
        // SAFETY: the range is ours and nobody needs its content (contract).
        match unsafe { libc::madvise(start(range), range.bytes, libc::MADV_DONTNEED) } {
            0 => Purged::Zeroed,
            _ => Purged::Kept,
        }
    }

    unsafe fn promote(&self, range: Region) -> bool {
        let _errno = KeepErrno::new();
        // SAFETY: the range is ours (contract); the advice changes no content.
        if unsafe { libc::madvise(start(range), range.bytes, libc::MADV_HUGEPAGE) } != 0 {
            return false;
        }
        // What is there already, at once (Linux 6.1). Where that is refused the kernel's own thread does
        // it when it passes.
        // SAFETY: as above.
        unsafe { libc::madvise(start(range), range.bytes, libc::MADV_COLLAPSE) };
        true
    }

    unsafe fn demote(&self, range: Region) {
        let _errno = KeepErrno::new();
        // The kernel would otherwise fill up again what is purged inside a huge page.
        // SAFETY: the range is ours (contract); the advice changes no content.
        unsafe { libc::madvise(start(range), range.bytes, libc::MADV_NOHUGEPAGE) };
    }

    fn map(&self, bytes: usize, align: usize) -> Result<Region, OutOfPages> {
        let _errno = KeepErrno::new();
        map_aligned(bytes, align, READ_WRITE, 0)
    }

    unsafe fn remap(
        &self,
        region: Region,
        bytes: usize,
        may_move: bool,
    ) -> Result<Region, OutOfPages> {
        let _errno = KeepErrno::new();
        let bytes = bytes.checked_next_multiple_of(Self::PAGE).ok_or(OutOfPages)?;
        let flags = if may_move { libc::MREMAP_MAYMOVE } else { 0 };
        // SAFETY: the region is a mapping of ours and is used by its new address only (contract).
        let new = unsafe { libc::mremap(start(region), region.bytes, bytes, flags) };
        if new == libc::MAP_FAILED {
            return Err(OutOfPages);
        }
        Ok(Region { start: NonNull::new(new.cast()).ok_or(OutOfPages)?, bytes })
    }

    unsafe fn release(&self, region: Region) {
        let _errno = KeepErrno::new();
        // SAFETY: nobody uses the region any more (contract).
        unsafe { unmap(region.start.as_ptr(), region.bytes) };
    }
}

fn start(region: Region) -> *mut libc::c_void {
    region.start.as_ptr().cast()
}

/// What RLIMIT_AS allows; `usize::MAX` where nothing is set.
fn address_space_limit() -> usize {
    let mut limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: `limit` is a valid place for the answer.
    let asked = unsafe { libc::getrlimit(libc::RLIMIT_AS, &raw mut limit) };
    if asked != 0 || limit.rlim_cur == libc::RLIM_INFINITY {
        return usize::MAX;
    }
    usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX)
}

fn map_aligned(
    bytes: usize,
    align: usize,
    access: libc::c_int,
    more_flags: libc::c_int,
) -> Result<Region, OutOfPages> {
    let page = LinuxPages::PAGE;
    let bytes = bytes.checked_next_multiple_of(page).filter(|&b| b > 0).ok_or(OutOfPages)?;
    // mmap aligns to the system's own page, which is `page` on x86_64 and may be less elsewhere.
    let slack = if align <= page && cfg!(target_arch = "x86_64") { 0 } else { align.max(page) };
    let wanted = bytes.checked_add(slack).ok_or(OutOfPages)?;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | more_flags;
    // SAFETY: an anonymous mapping at an address that the kernel chooses touches nothing that exists.
    let whole = unsafe { libc::mmap(ptr::null_mut(), wanted, access, flags, -1, 0) };
    if whole == libc::MAP_FAILED {
        return Err(OutOfPages);
    }
    let whole = whole.cast::<u8>();
    if slack == 0 {
        return Ok(Region { start: NonNull::new(whole).ok_or(OutOfPages)?, bytes });
    }
    let head = whole.addr().next_multiple_of(align.max(page)) - whole.addr();
    let tail = slack - head;
    let kept = whole.wrapping_add(head);
    // SAFETY: head and tail lie in the mapping made above, outside of the part that is handed out.
    unsafe {
        unmap(whole, head);
        unmap(kept.wrapping_add(bytes), tail);
    }
    Ok(Region { start: NonNull::new(kept).ok_or(OutOfPages)?, bytes })
}

/// Unmaps, or, where the kernel refuses because that would need one more mapping, drops the content.
///
/// # Safety
/// The range is page aligned, ours, and not used by anybody.
unsafe fn unmap(start: *mut u8, bytes: usize) {
    if bytes == 0 {
        return;
    }
    // SAFETY: the caller's contract.
    if unsafe { libc::munmap(start.cast(), bytes) } != 0 {
        // SAFETY: likewise.
        unsafe { libc::madvise(start.cast(), bytes, libc::MADV_DONTNEED) };
    }
}
