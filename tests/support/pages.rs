//! `MockPages`: pages from mmap, with the provider's contract checked on every call, a limit, and
//! faults on demand. Memory that is not committed is inaccessible, so that a stray access is a crash.

mod held;

use ace_alloc::pages::{OutOfPages, PageProvider, Purged, Region};
use held::{Held, map_aligned};
use parking_lot::{Mutex, MutexGuard};
use std::ops::Range;
use std::ptr::{self, NonNull};
use std::sync::Arc;

const PAGE: usize = 4096;

/// What memory holds that its last user left behind: as a number, an index, a pointer or a set of bits it is wrong.
pub const STALE: u8 = 0xA5;

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
    /// Bytes that are promoted.
    pub promoted: usize,
}

#[derive(Debug)]
struct State {
    fault: Fault,
    limit: usize,
    refuse_purge: bool,
    refuse_promote: bool,
    ledger: Ledger,
    reserved: Vec<Held>,
    mapped: Vec<Held>,
}

/// See the module's documentation. A clone is another handle to the same pages.
///
/// `ZEROED` is [`PageProvider::ZEROED`]. If it is `false`, each page of a reserved region is full of [`STALE`] when it
/// is first committed; mapped and purged ones read as zero in either case.
#[derive(Clone, Debug)]
pub struct MockPages<const ZEROED: bool = true> {
    state: Arc<Mutex<State>>,
}

impl<const ZEROED: bool> MockPages<ZEROED> {
    /// A provider that reserves and maps at most `limit` bytes in all.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        let state = State {
            fault: Fault::Never,
            limit,
            refuse_purge: false,
            refuse_promote: false,
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

    /// Lets every promotion be refused.
    pub fn refuse_promote(&self, refuse: bool) {
        self.lock().refuse_promote = refuse;
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
// committed pages are readable, writable and, if `ZEROED`, zero at first. Nothing here allocates from a heap under
// test: the tests' own allocator is the system's.
unsafe impl<const ZEROED: bool> PageProvider for MockPages<ZEROED> {
    const PAGE: usize = PAGE;
    const ZEROED: bool = ZEROED;

    fn reserve(&self, bytes: usize, align: usize) -> Result<Region, OutOfPages> {
        check_request(bytes, align);
        let mut state = self.lock();
        Self::admit(&mut state)?;
        if bytes > state.limit - state.ledger.reserved - state.ledger.mapped {
            return Err(OutOfPages);
        }
        let start = map_aligned(bytes, align, libc::PROT_NONE)?;
        let start_address = start.as_ptr().expose_provenance();
        state.reserved.push(Held::new(start_address, bytes));
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
        for (at, page) in committed[first..end].iter_mut().enumerate() {
            if !std::mem::replace(page, true) {
                state.ledger.committed += PAGE;
                if !ZEROED {
                    // SAFETY: a page of the range, which was just made writable and which nobody has used yet.
                    unsafe { range.start.add(at * PAGE).write_bytes(STALE, PAGE) };
                }
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
        let (held, pages) = (&state.reserved[held], range.bytes / PAGE);
        assert!(held.is_committed(first, pages), "purge of a page that was never committed");
        assert!(!held.is_promoted(first, pages), "purge inside a promoted range");
        // SAFETY: the range is committed memory of ours and the caller needs its content no more.
        let failed =
            unsafe { libc::madvise(range.start.as_ptr().cast(), range.bytes, libc::MADV_DONTNEED) };
        assert_eq!(failed, 0, "madvise of private anonymous memory");
        Purged::Zeroed
    }

    unsafe fn promote(&self, range: Region) -> bool {
        let mut state = self.lock();
        let (held, first) = locate(&state, range);
        let pages = range.bytes / PAGE;
        let State { reserved, ledger, refuse_promote, .. } = &mut *state;
        let held = &mut reserved[held];
        assert!(held.is_committed(first, pages), "promotion of a page that was never committed");
        assert!(!held.is_promoted(first, pages), "promoted twice");
        if *refuse_promote {
            return false;
        }
        held.promoted.push((first, pages));
        ledger.promoted += range.bytes;
        true
    }

    unsafe fn demote(&self, range: Region) {
        let mut state = self.lock();
        let (held, first) = locate(&state, range);
        let promoted = &mut state.reserved[held].promoted;
        let at = promoted.iter().position(|&one| one == (first, range.bytes / PAGE));
        promoted.swap_remove(at.expect("a range that was promoted"));
        state.ledger.promoted -= range.bytes;
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
        self.mapped.push(Held::new(start, bytes));
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
