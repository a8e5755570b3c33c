//! What checks write into blocks to know them again, and the sequence that they draw sizes from.

use crate::heap::GLOBAL;
use alloc::alloc::GlobalAlloc;
use core::{alloc::Layout, ptr::NonNull, slice};

/// Marsaglia's xorshift: deterministic, and good enough to mix sizes.
pub struct Random(u64);

impl Random {
    /// A sequence of its own for every seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// The next number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as usize % bound
    }

    /// A size in bytes, small ones more often.
    pub fn bytes(&mut self) -> usize {
        let most = match self.below(64) {
            0 => 12_000,
            1..8 => 2048,
            8..24 => 512,
            _ => 64,
        };
        1 + self.below(most)
    }
}

/// A block that is filled with one value, and knows whether it still is.
pub struct Filled {
    heap: &'static (dyn GlobalAlloc + Sync),
    start: NonNull<u8>,
    layout: Layout,
    fill: u8,
}

// SAFETY: a block belongs to nobody but this, wherever it is.
unsafe impl Send for Filled {}

impl Filled {
    /// A block of the global heap; `None` if there is no memory.
    pub fn new(bytes: usize, fill: u8) -> Option<Self> {
        Self::new_in(&GLOBAL, bytes, fill)
    }

    /// A block of this heap, of at least one byte; `None` if there is no memory.
    pub fn new_in(heap: &'static (dyn GlobalAlloc + Sync), bytes: usize, fill: u8) -> Option<Self> {
        let layout = Layout::from_size_align(bytes, 8).ok()?;
        // SAFETY: the callers ask for a byte at least.
        let start = NonNull::new(unsafe { heap.alloc(layout) })?;
        // SAFETY: the block is ours and that long.
        unsafe { start.write_bytes(fill, bytes) };
        Some(Self { heap, start, layout, fill })
    }

    /// Makes it longer or shorter. `false`: there was no memory, and it is as it was.
    pub fn resize(&mut self, bytes: usize) -> bool {
        let (old, Ok(layout)) = (self.layout, Layout::from_size_align(bytes, 8)) else {
            return false;
        };
        // SAFETY: the block is of this heap and layout, and the new size is a byte at least.
        let moved = unsafe { self.heap.realloc(self.start.as_ptr(), old, bytes) };
        let Some(start) = NonNull::new(moved) else { return false };
        (self.start, self.layout) = (start, layout);
        if bytes > old.size() {
            // SAFETY: the block is ours and that long.
            unsafe { start.add(old.size()).write_bytes(self.fill, bytes - old.size()) };
        }
        true
    }
}

impl Drop for Filled {
    fn drop(&mut self) {
        // SAFETY: the block is ours until the end of this function.
        let bytes = unsafe { slice::from_raw_parts(self.start.as_ptr(), self.layout.size()) };
        assert!(
            bytes.iter().all(|byte| *byte == self.fill),
            "a block of {:?} changed",
            self.layout
        );
        // SAFETY: from `alloc` of this heap with this layout, and not used any more.
        unsafe { self.heap.dealloc(self.start.as_ptr(), self.layout) };
    }
}
