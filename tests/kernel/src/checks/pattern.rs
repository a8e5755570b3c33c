//! What checks write into blocks to know them again, and the sequence that they draw sizes from.

use alloc::alloc::{alloc, dealloc};
use core::{alloc::Layout, ptr::NonNull};

/// Marsaglia's xorshift: deterministic, and good enough to mix sizes.
#[derive(Debug)]
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

    /// A size, small ones more often.
    pub fn bytes(&mut self) -> usize {
        let most = [64, 64, 64, 64, 512, 512, 2048, 12_000][self.below(8)];
        1 + self.below(most)
    }
}

/// A block that is filled with a byte of its own, and knows whether it still is.
#[derive(Debug)]
pub struct Filled {
    start: NonNull<u8>,
    layout: Layout,
    fill: u8,
}

// SAFETY: a block belongs to nobody but this, wherever it is.
unsafe impl Send for Filled {}

impl Filled {
    /// `None` if there is no memory.
    pub fn new(bytes: usize, fill: u8) -> Option<Self> {
        let layout = Layout::from_size_align(bytes.max(1), 8).ok()?;
        // SAFETY: the layout is not empty.
        let start = NonNull::new(unsafe { alloc(layout) })?;
        // SAFETY: the block is ours and that long.
        unsafe { start.write_bytes(fill, layout.size()) };
        Some(Self { start, layout, fill })
    }
}

impl Drop for Filled {
    fn drop(&mut self) {
        // SAFETY: the block is ours until the end of this function.
        let bytes = unsafe { core::slice::from_raw_parts(self.start.as_ptr(), self.layout.size()) };
        assert!(bytes.iter().all(|byte| *byte == self.fill), "a block of {:?} changed", self.layout);
        // SAFETY: from `alloc` with this layout, and not used any more.
        unsafe { dealloc(self.start.as_ptr(), self.layout) };
    }
}
