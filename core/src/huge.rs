//! Huge blocks: each one a region of its own, straight from the provider. Floor: 1st.
//! This file keeps the account of them; everything here happens under the pool's lock.
//!
//! A block has no header, so an open-addressing table maps its address to its length. The table
//! lives in units of the heap and doubles when it is three quarters full.

use core::{cell::Cell, ptr::NonNull};

/// One entry: address (0 = empty) and bytes of a region.
#[repr(C)]
#[derive(Debug)]
pub struct HugeSlot {
    start: Cell<*mut u8>,
    bytes: Cell<usize>,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct HugeTable {
    slots: Option<NonNull<HugeSlot>>,
    capacity: usize,
    len: usize,
    bytes: usize,
}

// SAFETY: the table belongs to the pool and is only reached under its lock.
unsafe impl Send for HugeTable {}

impl HugeTable {
    /// A table without room.
    #[must_use]
    pub const fn new() -> Self {
        Self { slots: None, capacity: 0, len: 0, bytes: 0 }
    }

    /// Number of blocks and their bytes.
    pub fn totals(&self) -> (usize, usize) {
        (self.len, self.bytes)
    }

    /// Whether the next insertion needs [`Self::rehome`] first.
    pub fn is_tight(&self) -> bool {
        (self.len + 1) * 4 > self.capacity * 3
    }

    /// Bytes of the table that `rehome` wants next.
    pub fn next_bytes(&self, smallest: usize) -> usize {
        (self.capacity * size_of::<HugeSlot>() * 2).max(smallest)
    }

    /// Moves the table to zeroed memory of `bytes` bytes. Returns the old place.
    ///
    /// # Safety
    /// `start` is aligned for `HugeSlot`, all zero, and the table's alone; `bytes` is a power of
    /// two and larger than the old table.
    pub unsafe fn rehome(&mut self, start: NonNull<u8>, bytes: usize) -> Option<NonNull<u8>> {
        let old = *self;
        self.slots = Some(start.cast());
        self.capacity = bytes / size_of::<HugeSlot>();
        self.len = 0;
        self.bytes = 0;
        for at in 0..old.capacity {
            let slot = old.slot(at);
            if !slot.start.get().is_null() {
                self.insert(slot.start.get(), slot.bytes.get());
            }
        }
        old.slots.map(NonNull::cast)
    }

    fn slot(&self, at: usize) -> &HugeSlot {
        debug_assert!(at < self.capacity);
        let slots = self.slots.unwrap_or(NonNull::dangling());
        // SAFETY: `at` < capacity, and capacity > 0 only with a table (the promise made to
        // `rehome`).
        unsafe { slots.add(at).as_ref() }
    }

    fn home(&self, address: usize) -> usize {
        let mixed = (address >> 12) as u64;
        (mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20) as usize & (self.capacity - 1)
    }

    fn find(&self, address: usize) -> Option<usize> {
        if self.len == 0 || address == 0 {
            return None;
        }
        let mut at = self.home(address);
        loop {
            let start = self.slot(at).start.get();
            if start.addr() == address {
                return Some(at);
            }
            if start.is_null() {
                return None;
            }
            at = (at + 1) & (self.capacity - 1);
        }
    }

    /// Bytes of the block that starts at this address.
    pub fn get(&self, address: usize) -> Option<usize> {
        self.find(address).map(|at| self.slot(at).bytes.get())
    }

    /// Adds a block. The caller has made room before.
    pub fn insert(&mut self, start: *mut u8, bytes: usize) {
        debug_assert!(self.len < self.capacity);
        let mut at = self.home(start.addr());
        while !self.slot(at).start.get().is_null() {
            at = (at + 1) & (self.capacity - 1);
        }
        self.slot(at).start.set(start);
        self.slot(at).bytes.set(bytes);
        self.len += 1;
        self.bytes += bytes;
    }

    /// Takes a block out; `None` if there is none at this address.
    pub fn remove(&mut self, address: usize) -> Option<usize> {
        let mut hole = self.find(address)?;
        let bytes = self.slot(hole).bytes.get();
        let mask = self.capacity - 1;
        // Entries behind the hole that could not stand at their home move up, so that no search
        // ends early (backward shift deletion).
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let slot = self.slot(at);
            if slot.start.get().is_null() {
                break;
            }
            let home = self.home(slot.start.get().addr());
            if (at.wrapping_sub(home) & mask) >= (at.wrapping_sub(hole) & mask) {
                self.slot(hole).start.set(slot.start.get());
                self.slot(hole).bytes.set(slot.bytes.get());
                hole = at;
            }
        }
        self.slot(hole).start.set(core::ptr::null_mut());
        self.len -= 1;
        self.bytes -= bytes;
        Some(bytes)
    }
}

impl Clone for HugeTable {
    fn clone(&self) -> Self {
        *self
    }
}

impl Copy for HugeTable {}

impl Default for HugeTable {
    fn default() -> Self {
        Self::new()
    }
}
