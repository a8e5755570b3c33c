//! Chunks: out-of-object parcels of free blocks of one class. Floor: 1st.
//!
//! The unit of a thread's depot, of a message to another heap, and of the balance between threads.
//! A chunk is half a magazine: 8 bytes of its own, then pointers. Chunks live in units of the heap
//! that hold nothing else, and are named by number, so the lock-free protocols deal in integers.
//!
//! Invariant K1: every number that was handed out names a chunk in a committed unit of the pool's.

use crate::{
    arena::Arena,
    geometry::Geometry,
    protocol::inbox::{FIRST_ITEM, Links, NO_ITEM},
    size_class::SizeClass,
    sync::{RelaxedU8, RelaxedU32},
};
use core::{cell::Cell, ptr};

/// Number of a chunk; also the item that an inbox knows it by.
pub type ChunkId = u32;

/// No chunk; the end of a list.
pub const NO_CHUNK: ChunkId = NO_ITEM as ChunkId;
/// The smallest number that a chunk has.
pub const FIRST_CHUNK: ChunkId = FIRST_ITEM as ChunkId;

/// The word in front of a chunk's pointers.
#[repr(C)]
#[derive(Debug)]
pub struct ChunkHeader {
    next: RelaxedU32,
    blocks: RelaxedU8,
    class: RelaxedU8,
    limit: RelaxedU8,
    copied: RelaxedU8,
}

const _: () = assert!(size_of::<ChunkHeader>() == 8);

/// A chunk that the caller holds alone.
#[derive(Debug)]
pub struct Chunk<'a> {
    header: &'a ChunkHeader,
    pointers: *mut *mut u8,
}

impl<G: Geometry> Arena<G> {
    /// The chunk with this number.
    pub fn chunk(&self, id: ChunkId) -> Chunk<'_> {
        let start = self.chunk_start(id - FIRST_CHUNK);
        // SAFETY: K1, and a header is valid for any bytes.
        let header = unsafe { &*start.cast::<ChunkHeader>() };
        // SAFETY: K1; the pointers follow the header inside the same chunk.
        let pointers = unsafe { start.add(size_of::<ChunkHeader>()) }.cast();
        Chunk { header, pointers }
    }

    /// Number that follows `id` in its list.
    pub fn next_chunk(&self, id: ChunkId) -> ChunkId {
        self.chunk(id).header.next.get()
    }
}

impl<G: Geometry> Links for Arena<G> {
    fn set_next(&self, chunk: usize, next: usize) {
        self.chunk(chunk as ChunkId).header.next.set(next as ChunkId);
    }
}

impl Chunk<'_> {
    /// Starts afresh for blocks of `class`, `limit` of them at most.
    pub fn begin(&self, class: SizeClass, limit: usize) {
        self.header.class.set(class.index() as u8);
        self.header.limit.set(limit as u8);
        self.header.copied.set(0);
        self.header.blocks.set(0);
    }

    /// The number of blocks that the chunk was begun for.
    #[inline]
    pub fn limit(&self) -> usize {
        usize::from(self.header.limit.get())
    }

    /// Class of the blocks.
    pub fn class(&self) -> SizeClass {
        SizeClass::from_entry(self.header.class.get())
    }

    /// Number of blocks.
    pub fn len(&self) -> usize {
        usize::from(self.header.blocks.get())
    }

    /// Adds a block. The caller keeps within the limit. Others may look meanwhile: see
    /// [`Self::copy_fresh`].
    #[inline]
    pub fn push(&self, block: *mut u8) {
        let at = self.len();
        // SAFETY: a limit is at most CHUNK_BLOCKS, for which a chunk has room, and the caller keeps
        // within it.
        unsafe { self.pointers.add(at).write(block) };
        self.header.blocks.publish(at as u8 + 1);
    }

    /// Whether there is something for [`Self::copy_fresh`].
    pub fn has_fresh(&self) -> bool {
        self.header.blocks.get() != self.header.copied.get()
    }

    /// Copies to `other` what was added since the last copy, while the holder may be adding more;
    /// the holder does nothing else with the chunk meanwhile. Returns the number of blocks.
    pub fn copy_fresh(&self, other: &Chunk<'_>) -> usize {
        let (from, to) = (usize::from(self.header.copied.get()), self.header.blocks.observe());
        let count = usize::from(to) - from;
        other.begin(self.class(), count);
        // SAFETY: `to` pointers were written before that number was published, and they stay as
        // they are.
        unsafe { other.fill(self.pointers.add(from), count) };
        self.header.copied.set(to);
        count
    }

    /// Drops the blocks that were copied.
    pub fn drop_copied(&self) {
        let copied = usize::from(self.header.copied.get());
        if copied > 0 {
            self.header.copied.set(0);
            let left = self.len() - copied;
            // SAFETY: both runs are among the pointers that were written.
            unsafe { ptr::copy(self.pointers.add(copied), self.pointers, left) };
            self.header.blocks.set(left as u8);
        }
    }

    /// Fills the chunk with `count` pointers from `from`.
    ///
    /// # Safety
    /// `from` is readable for `count` pointers, at most `CHUNK_BLOCKS`.
    pub unsafe fn fill(&self, from: *const *mut u8, count: usize) {
        // SAFETY: the caller's promise, and a chunk has room for CHUNK_BLOCKS pointers.
        unsafe { ptr::copy_nonoverlapping(from, self.pointers, count) };
        self.header.blocks.set(count as u8);
    }

    /// Keeps the blocks for which `keep` says so.
    pub fn retain(&self, mut keep: impl FnMut(*mut u8) -> bool) {
        let mut kept = 0;
        for at in 0..self.len() {
            // SAFETY: at < len, and `kept` never overtakes it.
            let block = unsafe { self.pointers.add(at).read() };
            if keep(block) {
                // SAFETY: as above.
                unsafe { self.pointers.add(kept).write(block) };
                kept += 1;
            }
        }
        self.header.blocks.set(kept as u8);
    }

    /// The blocks.
    pub fn blocks(&self) -> &[*mut u8] {
        // SAFETY: `len` pointers were written, and the chunk is held by the caller alone.
        unsafe { core::slice::from_raw_parts(self.pointers, self.len()) }
    }
}

/// A list of chunks that one thread (or the pool's lock) guards.
#[derive(Debug)]
pub struct ChunkStack {
    head: Cell<ChunkId>,
    len: Cell<u32>,
}

impl ChunkStack {
    /// An empty stack.
    #[must_use]
    pub const fn new() -> Self {
        Self { head: Cell::new(NO_CHUNK), len: Cell::new(0) }
    }

    /// Number of chunks.
    pub fn len(&self) -> usize {
        self.len.get() as usize
    }

    /// The top one, or `NO_CHUNK`.
    pub fn first(&self) -> ChunkId {
        self.head.get()
    }

    /// The chunks, from the top down.
    pub fn iter<'a, G: Geometry>(&self, arena: &'a Arena<G>) -> impl Iterator<Item = Chunk<'a>> {
        let next = |id: ChunkId| (id != NO_CHUNK).then_some(id);
        core::iter::successors(next(self.first()), move |&id| next(arena.next_chunk(id)))
            .map(|id| arena.chunk(id))
    }

    /// Takes all of them: the first of the list.
    pub fn take_all(&self) -> ChunkId {
        self.len.set(0);
        self.head.replace(NO_CHUNK)
    }

    /// Puts a chunk on top.
    pub fn push<G: Geometry>(&self, arena: &Arena<G>, id: ChunkId) {
        arena.chunk(id).header.next.set(self.head.get());
        self.head.set(id);
        self.len.set(self.len.get() + 1);
    }

    /// Takes the top one.
    pub fn pop<G: Geometry>(&self, arena: &Arena<G>) -> Option<ChunkId> {
        let id = self.head.get();
        if id == NO_CHUNK {
            return None;
        }
        self.head.set(arena.next_chunk(id));
        self.len.set(self.len.get() - 1);
        Some(id)
    }
}

impl Default for ChunkStack {
    fn default() -> Self {
        Self::new()
    }
}
