//! Owns the harness's own memory: one table of block pointers per thread, mapped from the kernel.
//!
//! The table comes from no allocator and is resident before the clock starts, so that it costs
//! every allocator the same time and the same memory.

use std::sync::atomic::AtomicPtr;
use std::{ops, ptr, slice};

/// Pointers to blocks, all null at first.
pub struct Table {
    first: *mut *mut u8,
    len: usize,
}

impl Table {
    /// A table of `len` slots (at least one).
    pub fn new(len: usize) -> Self {
        let len = len.max(1);
        // SAFETY: a fresh anonymous mapping touches nothing that exists.
        let first = unsafe {
            libc::mmap(
                ptr::null_mut(),
                len * size_of::<*mut u8>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE,
                -1,
                0,
            )
        };
        assert!(first != libc::MAP_FAILED, "no memory for a table of {len} slots");
        Self { first: first.cast(), len }
    }

    /// The slots as a place where threads meet.
    pub fn shared(&mut self) -> &[AtomicPtr<u8>] {
        // SAFETY: AtomicPtr has the representation of a pointer, and the borrow keeps plain
        // accesses away.
        unsafe { slice::from_raw_parts(self.first.cast(), self.len) }
    }
}

// SAFETY: the mapping belongs to the table alone and is bound to no thread; the blocks that its slots
// point to may be freed by any thread (Peer's contract).
unsafe impl Send for Table {}

impl ops::Deref for Table {
    type Target = [*mut u8];

    fn deref(&self) -> &Self::Target {
        // SAFETY: `new` mapped `len` slots; zero bytes are null pointers.
        unsafe { slice::from_raw_parts(self.first, self.len) }
    }
}

impl ops::DerefMut for Table {
    fn deref_mut(&mut self) -> &mut Self::Target {
        // SAFETY: as in `deref`, and `self` is the mapping's only owner.
        unsafe { slice::from_raw_parts_mut(self.first, self.len) }
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        // SAFETY: `new` made this mapping with this length; no slice of it outlives `self`.
        unsafe { libc::munmap(self.first.cast(), self.len * size_of::<*mut u8>()) };
    }
}
