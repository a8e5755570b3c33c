//! `MockPages`: pages from mmap, with the provider's contract checked on every call, a limit, and
//! faults on demand. Memory that is not committed is inaccessible, so that a stray access is a crash.

use ace_alloc::pages::{OutOfPages, PageProvider, Purged, Region};
use parking_lot::{Mutex, MutexGuard};
use std::ops::Range;
use std::ptr::{self, NonNull};
use std::sync::Arc;

const PAGE: usize = 4096;

/// Which calls of the provider fail. Calls of reserve, commit, purge, map and remap are counted from
/// zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// None.
    #[default]
    Never,
    /// This one alone.
    Call(u64),
    /// These two alone.
    Calls(u64, u64),
    /// This one and all that follow.
    From(u64),
}

impl Fault {
    fn hits(self, call: u64) -> bool {
        match self {
            Self::Never => false,
            Self::Call(bad) => call == bad,
            Self::Calls(first, second) => call == first || call == second,
            Self::From(first) => call >= first,
        }
    }
}

/// What the provider has handed out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Fallible calls so far.
    pub calls: u64,
    /// Calls that were made to fail.
    pub faults: u64,
    /// Bytes reserved.
    pub reserved: usize,
    /// Bytes of the reserved regions that are committed.
    pub committed: usize,
    /// Bytes in regions mapped on their own.
    pub mapped: usize,
    /// Regions mapped on their own.
    pub maps: usize,
}

#[derive(Debug)]
struct Held {
    start: usize,
    bytes: usize,
    /// One entry a page, up to the last that was ever committed; none for a region that was mapped on
    /// its own.
    committed: Vec<bool>,
}

#[derive(Debug)]
struct State {
    fault: Fault,
    limit: usize,
    refuse_purge: bool,
    ledger: Ledger,
    reserved: Vec<Held>,
    mapped: Vec<Held>,
}

/// See the module's documentation. A clone is another handle to the same pages.
#[derive(Clone, Debug)]
pub struct MockPages {
    state: Arc<Mutex<State>>,
}

impl MockPages {
    /// A provider that reserves and maps at most `limit` bytes in all.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        let state = State {
            fault: Fault::Never,
            limit,
            refuse_purge: false,
            ledger: Ledger::default(),
            reserved: Vec::new(),
            mapped: Vec::new(),
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Sets which calls fail from now on. Counting starts anew.
    pub fn set_fault(&self, fault: Fault) {
        let mut state = self.lock();
        state.fault = fault;
        state.ledger.calls = 0;
    }

    /// Lets every purge be answered with [`Purged::Kept`].
    pub fn refuse_purge(&self, refuse: bool) {
        self.lock().refuse_purge = refuse;
    }

    /// What is handed out now.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.lock().ledger
    }

    /// The addresses of the region that is reserved, if there is one.
    #[must_use]
    pub fn reservation(&self) -> Option<Range<usize>> {
        let state = self.lock();
        state.reserved.first().map(|held| held.start..held.start + held.bytes)
    }

    /// Bytes of the reserved regions that the system holds memory for.
    ///
    /// # Panics
    /// If the system does not tell.
    #[must_use]
    pub fn resident(&self) -> usize {
        let state = self.lock();
        let mut present = 0;
        for held in &state.reserved {
            let mut pages = vec![0_u8; held.bytes / PAGE];
            let start = ptr::with_exposed_provenance_mut(held.start);
            // SAFETY: the region is a mapping of ours and the vector has a byte for each page.
            let failed = unsafe { libc::mincore(start, held.bytes, pages.as_mut_ptr()) };
            assert_eq!(failed, 0, "mincore of a region of ours");
            present += pages.iter().filter(|page| **page & 1 != 0).count();
        }
        present * PAGE
    }

    /// Unmaps everything.
    ///
    /// # Safety
    /// The heap on these pages and all its blocks are no longer used.
    pub unsafe fn unmap_all(&self) {
        let mut state = self.lock();
        let state = &mut *state;
        for held in state.reserved.drain(..).chain(state.mapped.drain(..)) {
            // SAFETY: the region was mapped by this provider; the caller uses nothing in it any more.
            let failed =
                unsafe { libc::munmap(ptr::with_exposed_provenance_mut(held.start), held.bytes) };
            assert_eq!(failed, 0, "munmap of a region of ours");
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Counts a call and says whether it may succeed.
    fn admit(state: &mut State) -> Result<(), OutOfPages> {
        let call = state.ledger.calls;
        state.ledger.calls += 1;
        if state.fault.hits(call) {
            state.ledger.faults += 1;
            return Err(OutOfPages);
        }
        Ok(())
    }
}

// SAFETY: regions are fresh mappings, aligned by trimming, and live until `release` or `unmap_all`;
// committed pages are readable, writable and zero at first. Nothing here allocates from a heap under
// test: the tests' own allocator is the system's.
unsafe impl PageProvider for MockPages {
    const PAGE: usize = PAGE;

    fn reserve(&self, bytes: usize, align: usize) -> Result<Region, OutOfPages> {
        check_request(bytes, align);
        let mut state = self.lock();
        Self::admit(&mut state)?;
        if bytes > state.limit - state.ledger.reserved - state.ledger.mapped {
            return Err(OutOfPages);
        }
        let start = map_aligned(bytes, align, libc::PROT_NONE)?;
        let start_address = start.as_ptr().expose_provenance();
        state.reserved.push(Held { start: start_address, bytes, committed: Vec::new() });
        state.ledger.reserved += bytes;
        Ok(Region { start, bytes })
    }

    unsafe fn commit(&self, range: Region) -> Result<(), OutOfPages> {
        let mut state = self.lock();
        let (held, first) = locate(&state, range);
        Self::admit(&mut state)?;
        // SAFETY: the range lies in a region of ours, checked by `locate`.
        let failed = unsafe {
            libc::mprotect(
                range.start.as_ptr().cast(),
                range.bytes,
                libc::PROT_READ | libc::PROT_WRITE,
            )
        };
        if failed != 0 {
            return Err(OutOfPages);
        }
        let state = &mut *state;
        let committed = &mut state.reserved[held].committed;
        let end = first + range.bytes / PAGE;
        committed.resize(committed.len().max(end), false);
        for page in &mut committed[first..end] {
            if !std::mem::replace(page, true) {
                state.ledger.committed += PAGE;
            }
        }
        Ok(())
    }

    unsafe fn purge(&self, range: Region) -> Purged {
        let mut state = self.lock();
        let (held, first) = locate(&state, range);
        if Self::admit(&mut state).is_err() || state.refuse_purge {
            return Purged::Kept;
        }
        let pages = state.reserved[held].committed.get(first..first + range.bytes / PAGE);
        let committed = pages.is_some_and(|pages| pages.iter().all(|page| *page));
        assert!(committed, "purge of a page that was never committed");
        // SAFETY: the range is committed memory of ours and the caller needs its content no more.
        let failed =
            unsafe { libc::madvise(range.start.as_ptr().cast(), range.bytes, libc::MADV_DONTNEED) };
        assert_eq!(failed, 0, "madvise of private anonymous memory");
        Purged::Zeroed
    }

    fn map(&self, bytes: usize, align: usize) -> Result<Region, OutOfPages> {
        check_request(bytes, align);
        let mut state = self.lock();
        Self::admit(&mut state)?;
        if bytes > state.limit - state.ledger.reserved - state.ledger.mapped {
            return Err(OutOfPages);
        }
        let start = map_aligned(bytes, align, libc::PROT_READ | libc::PROT_WRITE)?;
        state.hold(start, bytes);
        Ok(Region { start, bytes })
    }

    unsafe fn remap(
        &self,
        region: Region,
        bytes: usize,
        may_move: bool,
    ) -> Result<Region, OutOfPages> {
        check_request(bytes, PAGE);
        let mut state = self.lock();
        let index = state.index_of_map(region);
        Self::admit(&mut state)?;
        let taken = state.ledger.reserved + state.ledger.mapped - region.bytes;
        if bytes > state.limit - taken {
            return Err(OutOfPages);
        }
        let flags = if may_move { libc::MREMAP_MAYMOVE } else { 0 };
        // SAFETY: the region is a mapping of ours; the caller gives its old address up.
        let moved =
            unsafe { libc::mremap(region.start.as_ptr().cast(), region.bytes, bytes, flags) };
        if moved == libc::MAP_FAILED {
            return Err(OutOfPages);
        }
        state.drop_map(index);
        let start = NonNull::new(moved.cast::<u8>()).ok_or(OutOfPages)?;
        state.hold(start, bytes);
        Ok(Region { start, bytes })
    }

    unsafe fn release(&self, region: Region) {
        let mut state = self.lock();
        let start = region.start.as_ptr().expose_provenance();
        if let Some(whole) = state.reserved.iter().position(|held| held.start == start) {
            let held = state.reserved.swap_remove(whole);
            assert_eq!(held.bytes, region.bytes, "release of a part of the reservation");
            state.ledger.reserved -= held.bytes;
            state.ledger.committed -= held.committed.iter().filter(|page| **page).count() * PAGE;
        } else {
            let index = state.index_of_map(region);
            state.drop_map(index);
        }
        // SAFETY: the region is a mapping of ours that the caller uses no more.
        let failed = unsafe { libc::munmap(region.start.as_ptr().cast(), region.bytes) };
        assert_eq!(failed, 0, "munmap of a region of ours");
    }
}

impl State {
    fn hold(&mut self, start: NonNull<u8>, bytes: usize) {
        let start = start.as_ptr().expose_provenance();
        self.mapped.push(Held { start, bytes, committed: Vec::new() });
        self.ledger.mapped += bytes;
        self.ledger.maps += 1;
    }

    fn index_of_map(&self, region: Region) -> usize {
        let start = region.start.as_ptr().expose_provenance();
        let index = self.mapped.iter().position(|held| held.start == start);
        let index = index.expect("a region that `map` returned");
        assert_eq!(self.mapped[index].bytes, region.bytes, "the length that `map` returned");
        index
    }

    fn drop_map(&mut self, index: usize) {
        let held = self.mapped.swap_remove(index);
        self.ledger.mapped -= held.bytes;
        self.ledger.maps -= 1;
    }
}

fn check_request(bytes: usize, align: usize) {
    assert!(bytes > 0 && bytes.is_multiple_of(PAGE), "whole pages, not {bytes} bytes");
    assert!(align.is_power_of_two() && align >= PAGE, "an alignment of pages, not {align}");
}

/// The reserved region that holds `range` and the number of the range's first page in it.
fn locate(state: &State, range: Region) -> (usize, usize) {
    let start = range.start.as_ptr().expose_provenance();
    check_request(range.bytes, PAGE);
    assert!(start.is_multiple_of(PAGE), "a range starts at a page: {start:#x}");
    let inside =
        |held: &Held| start >= held.start && start + range.bytes <= held.start + held.bytes;
    let held = state.reserved.iter().position(inside);
    let held = held.unwrap_or_else(|| panic!("{range:?} lies in no reserved region"));
    (held, (start - state.reserved[held].start) / PAGE)
}

fn map_aligned(bytes: usize, align: usize, protection: i32) -> Result<NonNull<u8>, OutOfPages> {
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
