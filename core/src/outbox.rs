//! Blocks of other heaps, collected in chunks before they are sent home. Verb: send. Floor: 1st.
//!
//! One open chunk for each pair of owner and class that a thread is freeing for, in a small table:
//! a pair that finds its place taken sends the other's chunk off first. A chunk is also sent when
//! it is full, when its bytes reach the dial's limit, and when the thread does something slow
//! anyway.
//!
//! Adding a block to an open chunk is the one thing that a thread does here without excluding
//! visitors: they may copy the blocks of open chunks and send them in its stead. Of a chunk that is
//! closed, only those are left that nobody copied.

use crate::{
    arena::{Arena, Entry},
    chunk::{ChunkId, NO_CHUNK},
    geometry::Geometry,
    size_class::SizeClass,
};
use core::cell::Cell;

const SLOTS: usize = 256;

/// What became of a block that was to be packed.
#[derive(Clone, Copy, Debug)]
pub enum Packed {
    /// It waits for more of its kind.
    Waits,
    /// It filled its chunk, which is to be taken and sent.
    Full,
    /// No chunk is open for its pair: see [`Outbox::begin`].
    NoChunk,
}

/// A chunk that is ready to go, and where to. It may be empty.
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

    fn close<G: Geometry>(&self, arena: &Arena<G>, slot: &Slot) -> Option<Parcel> {
        let chunk = slot.chunk.replace(NO_CHUNK);
        (chunk != NO_CHUNK).then(|| {
            arena.chunk(chunk).drop_copied();
            self.waiting.set(self.waiting.get() - 1);
            Parcel { owner: slot.owner.get(), chunk }
        })
    }

    /// Adds a block to the chunk that is open for the slab's owner and class (`entry`).
    #[inline]
    pub fn pack<G: Geometry>(&self, arena: &Arena<G>, entry: Entry, block: *mut u8) -> Packed {
        let (owner, class) = (entry.owner(), entry.class());
        let slot = self.slot(owner, class);
        let same = slot.owner.get() == owner && usize::from(slot.class.get()) == class.index();
        if !same || slot.chunk.get() == NO_CHUNK {
            return Packed::NoChunk;
        }
        let chunk = arena.chunk(slot.chunk.get());
        chunk.push(block);
        if chunk.len() < chunk.limit() { Packed::Waits } else { Packed::Full }
    }

    /// Takes the chunk that stands where the chunk for this owner and class would stand.
    pub fn take<G: Geometry>(&self, arena: &Arena<G>, entry: Entry) -> Option<Parcel> {
        self.close(arena, self.slot(entry.owner(), entry.class()))
    }

    /// Opens `chunk` for this owner and class, for `limit` blocks with `block` the first. Returns a
    /// chunk that is to be sent: this one, if one block fills it, or the one that had its place.
    pub fn begin<G: Geometry>(
        &self,
        arena: &Arena<G>,
        entry: Entry,
        chunk: ChunkId,
        limit: usize,
        block: *mut u8,
    ) -> Option<Parcel> {
        arena.chunk(chunk).begin(entry.class(), limit);
        arena.chunk(chunk).push(block);
        let owner = entry.owner();
        if limit == 1 {
            return Some(Parcel { owner, chunk });
        }
        let slot = self.slot(owner, entry.class());
        let other = self.close(arena, slot);
        slot.owner.set(owner);
        slot.class.set(entry.class().index() as u8);
        slot.chunk.set(chunk);
        self.waiting.set(self.waiting.get() + 1);
        other
    }

    /// Takes any chunk that waits.
    pub fn pop<G: Geometry>(&self, arena: &Arena<G>) -> Option<Parcel> {
        if self.is_empty() {
            return None;
        }
        self.slots.iter().find_map(|slot| self.close(arena, slot))
    }

    /// The open chunks, for a visitor to copy.
    pub fn open(&self) -> impl Iterator<Item = Parcel> {
        let slots = if self.is_empty() { &[][..] } else { &self.slots[..] };
        slots
            .iter()
            .filter(|slot| slot.chunk.get() != NO_CHUNK)
            .map(|slot| Parcel { owner: slot.owner.get(), chunk: slot.chunk.get() })
    }
}

impl Default for Outbox {
    fn default() -> Self {
        Self::new()
    }
}
