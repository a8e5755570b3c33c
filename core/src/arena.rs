//! The reserved range and the tables beside it: route, live bits, prefixes, bitmaps, spans,
//! superslabs, heaps. Floor: 1st (the registry of the house).
//! This file reads and writes the tables; `commit` lays them out and brings them to life.
//!
//! One reservation holds everything: tables first, then the blocks' units. All tables are indexed
//! from the unit's number, so "is it ours, whose is it, which class" is one subtraction, one
//! comparison and one load.
//!
//! Invariants:
//! * A1 Tables are committed for every unit below the committed count, for every heap whose number
//!   was handed out; the blocks' memory likewise.
//! * A2 Fresh tables read as zero, and zero is a valid first state of each of them.
//! * A3 `route[unit]` is [`Entry::NONE`] unless the unit belongs to a slab with an owner, or to a
//!   large block. An entry names heap X only while X owns the slab, and only the holder of X (its
//!   thread, or the pool's lock while it has none) changes it; or a visitor inside X's turnstile,
//!   for a slab of which no block is out: HOT of X's thread then finds none of its blocks live.

mod commit;

pub use crate::route::Entry;
pub use commit::Records;

use crate::{
    geometry::{Geometry, Placement},
    pages::Region,
    prefix::{Prefix, tail_bytes},
    protocol::live,
    span::SpanRecord,
    superslab::Superslab,
    sync::{RelaxedU32, RelaxedU64},
};
use core::{marker::PhantomData, ptr::NonNull};

/// Whether frees are checked against live bits.
pub const CHECKED: bool = !cfg!(feature = "unchecked");

/// See the module's documentation.
#[derive(Debug)]
pub struct Arena<G: Geometry> {
    meta: NonNull<u8>,
    base: NonNull<u8>,
    units: u32,
    pub(crate) heap_count: u32,
    route: NonNull<RelaxedU32>,
    spans: NonNull<SpanRecord>,
    prefixes: NonNull<Prefix>,
    bitmaps: NonNull<u8>,
    live: NonNull<u8>,
    memory: NonNull<RelaxedU64>,
    supers: NonNull<Superslab>,
    serving: NonNull<RelaxedU64>,
    heaps: NonNull<u8>,
    geometry: PhantomData<G>,
}

impl<G: Geometry> Arena<G> {
    /// Bytes of bitmap and of live bits a unit: one bit for each 16 bytes.
    const BITS_BYTES: usize = G::UNIT / 128;
    const TABLE_PREFIXES: bool = matches!(G::PREFIX, Placement::Table);
    /// Whether the prefix of an empty slab survives a purge of its pages.
    pub const PURGE_KEEPS_SLABS: bool = Self::TABLE_PREFIXES;

    /// First byte of chunk `number` (from 0): chunks are numbered by their distance from the first
    /// unit, and live in units that the pool sets aside for them.
    pub(crate) fn chunk_start(&self, number: u32) -> *mut u8 {
        self.base.as_ptr().wrapping_add(number as usize * G::CHUNK_BYTES)
    }

    /// The whole reservation, for giving it back.
    pub fn reservation(&self) -> Region {
        Region { start: self.meta, bytes: self.reserved_bytes() }
    }

    /// Units of the reservation.
    pub fn units(&self) -> u32 {
        self.units
    }

    /// Bytes of the reservation, tables included.
    pub fn reserved_bytes(&self) -> usize {
        self.base.addr().get() - self.meta.addr().get() + self.units as usize * G::UNIT
    }

    /// First byte of the blocks' range.
    #[inline]
    pub fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// The route table, for a front.
    pub fn route_table(&self) -> *const RelaxedU32 {
        self.route.as_ptr()
    }

    /// The live bits, displaced so that the word for address `a` is at index `a / 512`.
    pub fn live_bias(&self) -> *const RelaxedU32 {
        self.live.as_ptr().cast::<RelaxedU32>().wrapping_sub(self.base.addr().get() >> 9)
    }

    /// Number of the unit that holds this address; any number at or above `units` for foreign ones.
    #[inline]
    pub fn unit_of(&self, address: usize) -> u32 {
        let unit = address.wrapping_sub(self.base.addr().get()) >> G::UNIT_SHIFT;
        u32::try_from(unit).unwrap_or(u32::MAX)
    }

    /// First byte of a unit.
    #[inline]
    pub fn unit_start(&self, unit: u32) -> NonNull<u8> {
        debug_assert!(unit <= self.units);
        // SAFETY: unit ≤ units, so the place is inside the reservation or one past its end.
        unsafe { self.base.add((unit as usize) << G::UNIT_SHIFT) }
    }

    /// A run of units.
    pub fn region(&self, head: u32, units: u32) -> Region {
        Region { start: self.unit_start(head), bytes: units as usize * G::UNIT }
    }

    /// The route entry of a unit below `units`. A1: it must be committed.
    #[inline]
    pub fn route(&self, unit: u32) -> Entry {
        // SAFETY: A1.
        Entry(unsafe { self.route.add(unit as usize).as_ref() }.get())
    }

    /// Writes the route entries of a run of units.
    pub fn set_route(&self, unit: u32, count: u32, entry: Entry) {
        for unit in unit..unit + count {
            // SAFETY: A1.
            unsafe { self.route.add(unit as usize).as_ref() }.set(entry.0);
        }
    }

    /// First unit of the slab of this class that `unit` belongs to: slabs are aligned to their
    /// size.
    #[inline]
    pub fn slab_head(&self, unit: u32, units: u8) -> u32 {
        unit & !(u32::from(units) - 1)
    }

    /// The prefix of the slab that begins at `head`.
    #[inline]
    pub fn prefix(&self, head: u32, units: u8) -> &Prefix {
        let place = if Self::TABLE_PREFIXES {
            // SAFETY: A1.
            unsafe { self.prefixes.add(head as usize) }
        } else {
            let tail = G::UNIT * usize::from(units) - size_of::<Prefix>();
            // SAFETY: the tail of a slab lies inside its units.
            unsafe { self.unit_start(head).add(tail) }.cast()
        };
        // SAFETY: A1 and A2; a prefix is made of cells, so sharing the reference is sound.
        unsafe { place.as_ref() }
    }

    /// The bitmap of the slab that begins at `head`: one bit a block, set if it is free.
    #[inline]
    pub fn bitmap(&self, head: u32, units: u8, capacity: usize) -> &[RelaxedU64] {
        let start = if Self::TABLE_PREFIXES {
            // SAFETY: A1.
            unsafe { self.bitmaps.add(head as usize * Self::BITS_BYTES) }
        } else {
            let tail = G::UNIT * usize::from(units) - tail_bytes(capacity);
            // SAFETY: capacity blocks and the tail fit the slab (geometry's class shapes).
            unsafe { self.unit_start(head).add(tail) }
        };
        // SAFETY: A1, A2; a unit has a bit for each 16 bytes, so `capacity` bits fit; start is
        // 8-aligned.
        unsafe { core::slice::from_raw_parts(start.cast().as_ptr(), capacity.div_ceil(64)) }
    }

    #[inline]
    fn live_bit(&self, address: usize) -> (&RelaxedU32, u32) {
        let offset = address - self.base.addr().get();
        // SAFETY: A1; the address lies in a committed unit.
        let word = unsafe { self.live.cast::<RelaxedU32>().add(offset >> 9).as_ref() };
        (word, 1 << (offset >> 4 & 31))
    }

    /// Notes that the block at this address is in the program's hands. Owner of the slab only.
    pub fn set_live(&self, address: usize) {
        if CHECKED {
            let (word, bit) = self.live_bit(address);
            live::grant(word, bit);
        }
    }

    /// Whether it is.
    pub fn is_live(&self, address: usize) -> bool {
        let (word, bit) = self.live_bit(address);
        word.get() & bit != 0
    }

    /// Notes that it no longer is. `false`: it was not. Owner of the slab only, and only for the
    /// start of a block.
    pub fn clear_live(&self, address: usize) -> bool {
        if !CHECKED {
            return true;
        }
        let (word, bit) = self.live_bit(address);
        live::retire(word, bit)
    }

    /// Live bits of a unit, as words.
    pub fn live_words(&self, unit: u32) -> &[RelaxedU32] {
        // SAFETY: the table has BITS_BYTES bytes for each unit.
        let start = unsafe { self.live.add(unit as usize * Self::BITS_BYTES) };
        // SAFETY: A1; BITS_BYTES is a multiple of 4 and the table is page aligned.
        unsafe { core::slice::from_raw_parts(start.cast().as_ptr(), Self::BITS_BYTES / 4) }
    }

    /// The span record of a unit.
    #[inline]
    pub fn span(&self, unit: u32) -> &SpanRecord {
        // SAFETY: A1, A2; records are made of cells and only touched under the pool's lock.
        unsafe { self.spans.add(unit as usize).as_ref() }
    }

    /// Dirty bits of 64 units: set for free units that may hold memory of the system.
    #[inline]
    pub fn dirty_word(&self, word: usize) -> &RelaxedU64 {
        self.memory_word(word * 2)
    }

    /// Purged bits of 64 units: set for free units whose memory was given back to the system.
    #[inline]
    pub fn purged_word(&self, word: usize) -> &RelaxedU64 {
        self.memory_word(word * 2 + 1)
    }

    /// Dirty and purged words stand side by side: who changes one changes the other.
    fn memory_word(&self, at: usize) -> &RelaxedU64 {
        debug_assert!(at / 2 * 64 < self.units as usize + 63);
        // SAFETY: A1; the table is committed as a whole, and has two words for each 64 units.
        unsafe { self.memory.add(at).as_ref() }
    }

    /// The record of the superslab with this number.
    #[inline]
    pub fn superslab(&self, number: u32) -> &Superslab {
        // SAFETY: A1, A2; records are made of cells and atomics.
        unsafe { self.supers.add(number as usize).as_ref() }
    }

    /// Words of each bitmap over superslabs.
    pub fn serving_words(&self) -> usize {
        ((self.units / G::SUPERSLAB_UNITS) as usize).div_ceil(64)
    }

    /// A word of bitmap `list` over superslabs; see `superslab`.
    #[inline]
    pub fn serving(&self, list: usize, word: usize) -> &RelaxedU64 {
        debug_assert!(list < Superslab::LISTS && word < self.serving_words());
        // SAFETY: A1; the table is committed as a whole.
        unsafe { self.serving.add(word * Superslab::LISTS + list).as_ref() }
    }
}
