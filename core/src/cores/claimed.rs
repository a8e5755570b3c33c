//! The pages of a heap that was given its memory as one region. Floor: roof.

use crate::{
    pages::{OutOfPages, PageProvider, Purged, Region},
    sync::{AtomicPtr, AtomicUsize, Ordering},
};
use core::ptr::{NonNull, null_mut};

/// The region that [`super::CoreHeap::claim`] was given first. All of it has memory, which is never given back.
#[derive(Debug)]
pub struct Claimed {
    start: AtomicPtr<u8>,
    /// 0: there is no region (yet).
    bytes: AtomicUsize,
}

impl Claimed {
    /// No region.
    #[must_use]
    pub const fn new() -> Self {
        Self { start: AtomicPtr::new(null_mut()), bytes: AtomicUsize::new(0) }
    }

    /// The region is there from now on. One caller at a time.
    pub(super) fn offer(&self, start: NonNull<u8>, bytes: usize) {
        self.start.store(start.as_ptr(), Ordering::Relaxed);
        // Release: pairs with the Acquire of `fixed`.
        self.bytes.store(bytes, Ordering::Release);
    }

    /// It is not, after all: nobody has reserved it.
    pub(super) fn withdraw(&self) {
        self.bytes.store(0, Ordering::Relaxed);
    }
}

impl Default for Claimed {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: by the promise made to `claim` the region is the heap's alone, for ever, and a heap reserves once. What the
// memory holds is not known, and not said to be.
unsafe impl PageProvider for Claimed {
    /// The largest magazine, below which a page must not be.
    const PAGE: usize = 1024;
    const ZEROED: bool = false;

    fn reserve(&self, _: usize, _: usize) -> Result<Region, OutOfPages> {
        Err(OutOfPages)
    }

    fn fixed(&self) -> Option<Region> {
        let bytes = self.bytes.load(Ordering::Acquire);
        let start = NonNull::new(self.start.load(Ordering::Relaxed))?;
        let skipped = start.addr().get().wrapping_neg() & (Self::PAGE - 1);
        let bytes = bytes.checked_sub(skipped)? & !(Self::PAGE - 1);
        // SAFETY: `skipped` is at most the region's length.
        (bytes > 0).then(|| Region { start: unsafe { start.add(skipped) }, bytes })
    }

    unsafe fn commit(&self, _: Region) -> Result<(), OutOfPages> {
        Ok(())
    }

    unsafe fn purge(&self, _: Region) -> Purged {
        Purged::Kept
    }

    unsafe fn release(&self, _: Region) {}
}
