//! Blocks of other heaps, collected in chunks before they are sent home. Verb: send. Floor: 1st.
//!
//! One open chunk for each pair of owner and class that a thread is freeing for, in a small table: a
//! pair that finds its place taken sends the other's chunk off first. A chunk is also sent when it is
//! full, when its bytes reach the dial's limit, and when the thread does something slow anyway.

use crate::{
    protocol::inbox::{ChunkId, NO_CHUNK},
    size_class::SizeClass,
};
use core::cell::Cell;

const SLOTS: usize = 256;

/// A chunk that is ready to go, and where to.
#[derive(Clone, Copy, Debug)]
pub struct Parcel {
    /// Number of the heap that owns (or owned, when it was packed) the blocks.
    pub owner: u32,
    /// The chunk.
    pub chunk: ChunkId,
}

#[derive(Debug)]
struct Slot {
    owner: Cell<u32>,
    chunk: Cell<ChunkId>,
    class: Cell<u8>,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Outbox {
    slots: [Slot; SLOTS],
    waiting: Cell<u32>,
}

impl Outbox {
    /// Nothing to send.
    #[must_use]
    pub const fn new() -> Self {
        let slots = [const {
            Slot { owner: Cell::new(0), chunk: Cell::new(NO_CHUNK), class: Cell::new(0) }
        }; SLOTS];
        Self { slots, waiting: Cell::new(0) }
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.get() == 0
    }

    fn slot(&self, owner: u32, class: SizeClass) -> &Slot {
        let at = (class.index() as u32).wrapping_add(owner.wrapping_mul(0x9E37_79B1) >> 24);
        &self.slots[at as usize % SLOTS]
    }

    fn close(&self, slot: &Slot) -> Option<Parcel> {
        let chunk = slot.chunk.replace(NO_CHUNK);
        (chunk != NO_CHUNK).then(|| {
            self.waiting.set(self.waiting.get() - 1);
            Parcel { owner: slot.owner.get(), chunk }
        })
    }

    /// The chunk that is open for blocks of `class` that belong to heap `owner`.
    #[inline]
    pub fn open(&self, owner: u32, class: SizeClass) -> Option<ChunkId> {
        let slot = self.slot(owner, class);
        let same = slot.owner.get() == owner && usize::from(slot.class.get()) == class.index();
        (same && slot.chunk.get() != NO_CHUNK).then(|| slot.chunk.get())
    }

    /// Takes the chunk that stands where this pair's chunk stands or would stand.
    pub fn take(&self, owner: u32, class: SizeClass) -> Option<Parcel> {
        self.close(self.slot(owner, class))
    }

    /// Opens `chunk` for this pair. Returns the chunk that had its place.
    pub fn start(&self, owner: u32, class: SizeClass, chunk: ChunkId) -> Option<Parcel> {
        let slot = self.slot(owner, class);
        let other = self.close(slot);
        slot.owner.set(owner);
        slot.class.set(class.index() as u8);
        slot.chunk.set(chunk);
        self.waiting.set(self.waiting.get() + 1);
        other
    }

    /// Takes any chunk that waits.
    pub fn pop(&self) -> Option<Parcel> {
        if self.is_empty() {
            return None;
        }
        self.slots.iter().find_map(|slot| self.close(slot))
    }
}

impl Default for Outbox {
    fn default() -> Self {
        Self::new()
    }
}
