//! Host memory by its address: [`Home`], where a state's host copy lives. Floor: cellar.
//!
//! A device copies from and to it while the host goes on, so it is never behind a reference that lasts.

use super::EngineError;
use alloc::alloc::{Layout, alloc_zeroed, dealloc};
use core::ptr::{self, NonNull};

/// Copies by the processor and the device are fastest from such addresses; a page on most machines.
const ALIGN: usize = 4096;

/// The first of some bytes of host memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct HostAddress(pub NonNull<u8>);

// SAFETY: an address by itself touches nothing; who dereferences it names the invariant it rests on.
unsafe impl Send for HostAddress {}

impl HostAddress {
    /// So many bytes further on.
    ///
    /// # Safety
    /// They are part of the same memory.
    pub unsafe fn plus(self, bytes: usize) -> Self {
        // SAFETY: the caller's promise.
        Self(unsafe { self.0.add(bytes) })
    }

    /// Copies by the processor.
    ///
    /// # Safety
    /// Both sides hold `bytes` and do not overlap; nobody writes to either, and nobody reads the target.
    pub unsafe fn copy_from(self, from: Self, bytes: usize) {
        // SAFETY: the caller's promise.
        unsafe { ptr::copy_nonoverlapping(from.0.as_ptr(), self.0.as_ptr(), bytes) };
    }
}

/// Whose the memory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// A part of the pinned arena; it takes it back.
    Pinned,
    /// The process's ordinary memory.
    Heap,
    /// The caller's.
    Borrowed,
}

/// Memory for a state's host copy.
#[derive(Debug)]
pub(super) struct Home {
    pub start: HostAddress,
    pub bytes: usize,
    pub keep: Keep,
}

impl Home {
    /// Ordinary memory, zeroed.
    pub fn on_heap(bytes: usize) -> Result<Self, EngineError> {
        let layout = Layout::from_size_align(bytes, ALIGN).ok().filter(|_| bytes > 0);
        let layout = layout.ok_or(EngineError::BadSize)?;
        // SAFETY: the layout has a size above 0.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) });
        let start = HostAddress(start.ok_or(EngineError::OutOfHostMemory)?);
        Ok(Self { start, bytes, keep: Keep::Heap })
    }

    /// The bytes from `offset` on; `None` beyond the end.
    pub fn at(&self, offset: usize, bytes: usize) -> Option<HostAddress> {
        let fits = offset.checked_add(bytes).is_some_and(|end| end <= self.bytes);
        // SAFETY: `offset` is within this memory.
        fits.then(|| unsafe { self.start.plus(offset) })
    }

    /// Gives new memory its first contents: these, or zeros.
    pub fn fill(&mut self, contents: Option<&[u8]>) -> Result<(), EngineError> {
        match contents {
            Some(contents) if contents.len() != self.bytes => Err(EngineError::BadSize),
            // SAFETY: no copy concerns memory before it belongs to a state.
            Some(contents) => unsafe { self.write(0, contents) },
            None => {
                if self.keep == Keep::Pinned {
                    // SAFETY: it holds so many bytes, and they are ours alone: see above.
                    unsafe { self.start.0.write_bytes(0, self.bytes) };
                }
                Ok(())
            }
        }
    }

    /// # Safety
    /// No copy of the device concerns these bytes.
    pub unsafe fn write(&mut self, offset: usize, from: &[u8]) -> Result<(), EngineError> {
        let start = self.at(offset, from.len()).ok_or(EngineError::BadRange)?;
        // SAFETY: the range was checked, the device leaves it alone, and `&mut` keeps others out; `from`
        // can't overlap it, because nobody has a reference to it.
        unsafe { ptr::copy_nonoverlapping(from.as_ptr(), start.0.as_ptr(), from.len()) };
        Ok(())
    }

    /// # Safety
    /// No copy of the device writes to these bytes.
    pub unsafe fn read(&self, offset: usize, into: &mut [u8]) -> Result<(), EngineError> {
        let start = self.at(offset, into.len()).ok_or(EngineError::BadRange)?;
        // SAFETY: the range was checked and nobody writes to it; `into` is exclusive.
        unsafe { ptr::copy_nonoverlapping(start.0.as_ptr(), into.as_mut_ptr(), into.len()) };
        Ok(())
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if self.keep == Keep::Heap {
            // SAFETY: `on_heap` made it with this size and alignment, which it checked.
            unsafe {
                let layout = Layout::from_size_align_unchecked(self.bytes, ALIGN);
                dealloc(self.start.0.as_ptr(), layout);
            }
        }
    }
}

/// Memory of the caller's that holds a state's host copy.
#[derive(Debug)]
pub struct Borrowed {
    start: HostAddress,
    bytes: usize,
}

impl Borrowed {
    /// Names memory of the caller's.
    ///
    /// # Safety
    /// It holds `bytes` and stays until the state was unregistered and is not held any more, or the engine
    /// was stopped; for good, if its thread has panicked. Meanwhile the engine reads and writes it; the
    /// caller reads it only while the host holds the newest contents, and does not write to it.
    #[must_use]
    pub const unsafe fn new(start: NonNull<u8>, bytes: usize) -> Self {
        Self { start: HostAddress(start), bytes }
    }

    pub(super) const fn home(self) -> Home {
        Home { start: self.start, bytes: self.bytes, keep: Keep::Borrowed }
    }
}

/// Where a state's host copy is kept.
#[derive(Debug)]
pub enum HostCopy<'a> {
    /// In memory of the engine's: zeros at first. Pinned while the arena has room.
    Kept,
    /// In memory of the engine's, with these contents at first: as many bytes as the state has.
    KeptFrom(&'a [u8]),
    /// In memory of the caller's, which is not pinned: copies go through the arena.
    Borrowed(Borrowed),
}
