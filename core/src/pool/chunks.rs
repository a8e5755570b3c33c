//! Spare chunks, and the units they live in. Floor: 1st.
//!
//! A unit that is set aside for chunks has no route entries, so nobody can free it. Mail to a
//! thread that sleeps can need many chunks; when they come back, the units of which all chunks are
//! spare return to the heap.

use super::{Locked, Shared};
use crate::{
    chunk::{ChunkId, FIRST_CHUNK, NO_CHUNK},
    geometry::Geometry,
    platform::Platform,
};

/// Spare chunks that are worth a sweep.
const SWEEP_MIN: usize = 2048;

impl<P: Platform> Locked<'_, P> {
    const CHUNKS: u32 = (P::Geometry::UNIT / P::Geometry::CHUNK_BYTES) as u32;

    /// An empty chunk. `None`: out of pages.
    #[inline(never)]
    pub fn take_chunk(&mut self) -> Option<ChunkId> {
        let arena = self.arena;
        if let Some(chunk) = self.chunks.pop(arena) {
            return Some(chunk);
        }
        // One at a time from a fresh unit, so that its pages are touched when they are needed.
        if let Some(number) = self.chunk_run.next() {
            return Some(number + FIRST_CHUNK);
        }
        let unit = self.take_units(1)?;
        if self.take_into_use(unit, 1).is_none() {
            self.give_unused(unit, 1);
            return None;
        }
        self.chunk_units += 1;
        self.chunk_run = unit * Self::CHUNKS..(unit + 1) * Self::CHUNKS;
        self.chunk_run.next().map(|number| number + FIRST_CHUNK)
    }

    /// Takes an empty chunk back.
    pub fn give_chunk(&mut self, chunk: ChunkId) {
        let arena = self.arena;
        self.chunks.push(arena, chunk);
        if self.chunks.len() > SWEEP_MIN.max(self.chunks_swept * 2) && Shared::<P>::may_wait() {
            self.sweep_chunks();
        }
    }

    /// Gives back the units of which every chunk is spare.
    #[cold]
    #[inline(never)]
    pub fn sweep_chunks(&mut self) {
        let arena = self.arena;
        let unit_of = |id: ChunkId| (id - FIRST_CHUNK) / Self::CHUNKS;
        // First count the spare chunks of each unit, in its span record.
        for clear in [true, false] {
            let mut id = self.chunks.first();
            while id != NO_CHUNK {
                let record = arena.span(unit_of(id));
                record.set_count(if clear { 0 } else { record.count() + 1 });
                id = arena.next_chunk(id);
            }
        }
        // Then each chunk either stays, or its visit is counted on; the last visit of a unit, after
        // which no link in it is read, frees it.
        let mut id = self.chunks.take_all();
        while id != NO_CHUNK {
            let next = arena.next_chunk(id);
            let unit = unit_of(id);
            let record = arena.span(unit);
            let whole = self.chunks_made_in(unit);
            if record.count() < whole {
                self.chunks.push(arena, id);
            } else {
                record.set_count(record.count() + 1);
                if record.count() == 2 * whole {
                    if whole < Self::CHUNKS {
                        self.chunk_run = 0..0;
                    }
                    self.chunk_units -= 1;
                    self.give_units(unit, 1);
                }
            }
            id = next;
        }
        self.chunks_swept = self.chunks.len();
        self.settle();
    }

    /// Spare chunks, those never handed out yet, and the number of chunks a unit has room for.
    pub fn chunk_counts(&self) -> (usize, usize, usize) {
        (self.chunks.len(), self.chunk_run.len(), Self::CHUNKS as usize)
    }

    /// Units set aside for chunks.
    pub fn chunk_units(&self) -> u32 {
        self.chunk_units
    }

    /// Chunks of this unit that were ever handed out: all, but for the unit that is being begun.
    fn chunks_made_in(&self, unit: u32) -> u32 {
        let run = &self.chunk_run;
        let begun = !run.is_empty() && run.start / Self::CHUNKS == unit;
        if begun { run.start % Self::CHUNKS } else { Self::CHUNKS }
    }
}
