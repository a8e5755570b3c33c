//! Static memory for heaps to claim.

use core::cell::UnsafeCell;

/// Bytes that nobody touches but the heap that claims them.
#[repr(align(16))]
pub struct Storage<const BYTES: usize>(UnsafeCell<[u8; BYTES]>);

// SAFETY: the type's own code never touches the bytes; who claims them promises to be the only one.
unsafe impl<const BYTES: usize> Sync for Storage<BYTES> {}

impl<const BYTES: usize> Storage<BYTES> {
    /// All zero.
    pub const fn new() -> Self {
        Self(UnsafeCell::new([0; BYTES]))
    }

    /// The first byte.
    pub fn start(&self) -> *mut u8 {
        self.0.get().cast()
    }

    /// How many there are.
    pub const fn bytes(&self) -> usize {
        BYTES
    }
}
