//! One slab: a run of equal blocks and the bitmap of those that are free. Floor: 1st.
//!
//! Invariants:
//! * B1 A bit is set exactly while its block is free and in no magazine, depot or chunk.
//! * B2 `used` = capacity − set bits.
//! * B3 No bit below word `cursor` is set.
//! * B4 `delivered` of the blocks whose bits are set have their live bits set too: a visitor put
//!   them back, and the owner has not taken note of it yet. It does before it takes blocks out of
//!   the bitmap or asks for a live bit, so nothing is handed out with its live bit set. (Fewer
//!   have, if the owner freed one of them once more: [`Slab::settle`] says so.)
//!
//! The bitmap lies outside the blocks: nothing of a freed block is read or written, so a program
//! that writes to freed memory cannot harm the allocator, and freed pages stay untouched.

mod delivered;

use crate::{
    arena::{Arena, CHECKED, Entry},
    geometry::{ClassShape, Geometry, shape_of},
    platform::MisuseKind,
    prefix::{Listed, NO_UNIT, Prefix},
    size_class::SizeClass,
    sync::RelaxedU64,
};
use core::cell::Cell;

/// A slab that the caller owns (or whose pool lock it holds).
#[derive(Debug)]
pub struct Slab<'a, G: Geometry> {
    arena: &'a Arena<G>,
    head: u32,
    class: SizeClass,
    /// The 32 bytes that describe it.
    pub prefix: &'a Prefix,
}

impl<G: Geometry> Clone for Slab<'_, G> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<G: Geometry> Copy for Slab<'_, G> {}

impl<'a, G: Geometry> Slab<'a, G> {
    /// The slab of `class` that begins at unit `head`.
    #[inline]
    pub fn at(arena: &'a Arena<G>, head: u32, class: SizeClass) -> Self {
        let prefix = arena.prefix(head, G::CLASSES[class.index()].units);
        Self { arena, head, class, prefix }
    }

    /// The slab of `class` that holds this address.
    #[inline]
    pub fn of(arena: &'a Arena<G>, address: usize, class: SizeClass) -> Self {
        let units = G::CLASSES[class.index()].units;
        Self::at(arena, arena.slab_head(arena.unit_of(address), units), class)
    }

    /// How slabs of this class look.
    #[inline]
    pub fn shape(&self) -> &'static ClassShape {
        shape_of::<G>(self.class)
    }

    /// Size class.
    pub fn class(&self) -> SizeClass {
        self.class
    }

    /// First unit.
    pub fn head(&self) -> u32 {
        self.head
    }

    /// Number of units.
    pub fn units(&self) -> u32 {
        u32::from(self.shape().units)
    }

    fn bitmap(&self) -> &'a [RelaxedU64] {
        let shape = self.shape();
        self.arena.bitmap(self.head, shape.units, usize::from(shape.capacity))
    }

    /// Sets up an empty slab on units that hold none.
    pub fn format(&self) {
        let shape = self.shape();
        let prefix = self.prefix;
        prefix.class.set(self.class.index() as u8);
        prefix.units.set(shape.units);
        prefix.head.set(self.head);
        prefix.capacity.set(shape.capacity);
        prefix.used.set(0);
        prefix.delivered.set(0);
        prefix.cursor.set(0);
        prefix.listed.set(Listed::Nowhere as u8);
        prefix.next.set(NO_UNIT);
        prefix.prev.set(NO_UNIT);
        let mut left = usize::from(shape.capacity);
        for word in self.bitmap() {
            let bits = left.min(64);
            word.set(if bits == 64 { u64::MAX } else { (1 << bits) - 1 });
            left -= bits;
        }
        prefix.formatted.set(1);
    }

    /// Hands the slab over: prefix and route now name `owner`.
    pub fn set_owner(&self, owner: u32) {
        self.prefix.set_owner(owner);
        self.arena.set_route(self.head, self.units(), Entry::slab(owner, self.class));
    }

    /// Takes the slab out of the route: its blocks can't be freed any more.
    pub fn clear_owner(&self) {
        self.prefix.set_owner(0);
        self.arena.set_route(self.head, self.units(), Entry::NONE);
    }

    /// Blocks in the bitmap.
    pub fn free_blocks(&self) -> u64 {
        self.bitmap().iter().map(|word| u64::from(word.get().count_ones())).sum()
    }

    /// Blocks in the program's hands or on their way home; without live bits, those that are not in
    /// the bitmap.
    pub fn live_blocks(&self) -> u64 {
        if !CHECKED {
            return u64::from(self.prefix.used.get());
        }
        self.live_bits().saturating_sub(self.prefix.delivered.get().into())
    }

    fn live_bits(&self) -> u64 {
        (self.head..self.head + self.units())
            .flat_map(|unit| self.arena.live_words(unit))
            .map(|word| u64::from(word.get().count_ones()))
            .sum()
    }

    /// Whether all blocks are in the bitmap.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.prefix.used.get() == 0
    }

    /// Whether no block is in the bitmap.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.prefix.used.get() == self.prefix.capacity.get()
    }

    /// Takes up to `want` free blocks in the order of their addresses; returns how many.
    #[inline]
    pub fn take(&self, want: usize, mut hand: impl FnMut(*mut u8)) -> usize {
        let bytes = self.shape().bytes as usize;
        let start = self.arena.unit_start(self.head).as_ptr();
        let bitmap = self.bitmap();
        let mut at = usize::from(self.prefix.cursor.get());
        let mut got = 0;
        while at < bitmap.len() {
            let mut word = bitmap[at].get();
            while word != 0 && got < want {
                let index = at * 64 + word.trailing_zeros() as usize;
                word &= word - 1;
                hand(start.wrapping_add(index * bytes));
                got += 1;
            }
            bitmap[at].set(word);
            if got == want {
                break;
            }
            at += 1;
        }
        self.prefix.cursor.set(at as u16);
        self.prefix.used.add(got as u16);
        got
    }

    /// Puts a block back.
    ///
    /// # Errors
    /// The address is not the start of a block, or the block is in the bitmap already; nothing is
    /// changed then.
    #[inline]
    pub fn put(&self, block: *mut u8) -> Result<(), MisuseKind> {
        let shape = self.shape();
        let offset = block.addr() - self.arena.unit_start(self.head).addr().get();
        let index = shape.index_of(offset);
        let (word, bit) = (index / 64, 1_u64 << (index % 64));
        if index * shape.bytes as usize != offset || index >= usize::from(shape.capacity) {
            return Err(MisuseKind::Interior);
        }
        let word_cell = &self.bitmap()[word];
        if word_cell.get() & bit != 0 {
            return Err(MisuseKind::DoubleFree);
        }
        word_cell.set(word_cell.get() | bit);
        if (word as u16) < self.prefix.cursor.get() {
            self.prefix.cursor.set(word as u16);
        }
        self.prefix.used.sub(1);
        Ok(())
    }

    /// Whether a block starts at this address of the slab.
    pub fn is_start(&self, address: usize) -> bool {
        self.fault(address) == MisuseKind::DoubleFree
    }

    /// Whether a block that is not in the bitmap starts at this address.
    pub fn is_out(&self, address: usize) -> bool {
        let offset = address - self.arena.unit_start(self.head).addr().get();
        let index = self.shape().index_of(offset);
        self.is_start(address) && self.bitmap()[index / 64].get() >> (index % 64) & 1 == 0
    }

    /// Takes a block out of the program's hands: the first half of every free but HOT's.
    ///
    /// # Errors
    /// The address is not a live block's; nothing is changed then.
    pub fn retire(&self, address: usize) -> Result<(), MisuseKind> {
        if self.is_start(address) && self.arena.clear_live(address) {
            Ok(())
        } else {
            Err(self.fault(address))
        }
    }

    /// What is wrong with an address in this slab that is not a live block's.
    pub fn fault(&self, address: usize) -> MisuseKind {
        let shape = self.shape();
        let offset = address - self.arena.unit_start(self.head).addr().get();
        let index = shape.index_of(offset);
        if index >= usize::from(shape.capacity) {
            MisuseKind::NeverAllocated
        } else if index * shape.bytes as usize != offset {
            MisuseKind::Interior
        } else {
            MisuseKind::DoubleFree
        }
    }

    /// Sets the bitmap and `used` anew after their writer was lost in a fork. A block that is not
    /// live is free, wherever the lost thread had it; without live bits only `used` can be mended.
    pub fn recount(&self) {
        let bitmap = self.bitmap();
        let start = self.arena.unit_start(self.head).addr().get();
        let mut free = 0;
        for index in 0..usize::from(self.prefix.capacity.get()) {
            let (word, bit) = (&bitmap[index / 64], 1_u64 << (index % 64));
            let address = start + index * self.shape().bytes as usize;
            if CHECKED && !self.arena.is_live(address) {
                word.set(word.get() | bit);
            }
            free += u16::from(word.get() & bit != 0);
        }
        self.prefix.used.set(self.prefix.capacity.get() - free);
        self.prefix.cursor.set(0);
    }
}

/// A doubly linked list of slabs of one class.
#[derive(Debug)]
pub struct SlabList {
    head: Cell<u32>,
}

impl SlabList {
    /// An empty list.
    #[must_use]
    pub const fn new() -> Self {
        Self { head: Cell::new(NO_UNIT) }
    }

    /// Forgets all slabs.
    pub fn clear(&self) {
        self.head.set(NO_UNIT);
    }

    /// The first slab.
    pub fn first<'a, G: Geometry>(
        &self,
        arena: &'a Arena<G>,
        class: SizeClass,
    ) -> Option<Slab<'a, G>> {
        let head = self.head.get();
        (head != NO_UNIT).then(|| Slab::at(arena, head, class))
    }

    /// The slabs, from the first to the last.
    pub fn iter<'a, G: Geometry>(
        &self,
        arena: &'a Arena<G>,
        class: SizeClass,
    ) -> impl Iterator<Item = Slab<'a, G>> {
        core::iter::successors(self.first(arena, class), move |slab| {
            let next = slab.prefix.next.get();
            (next != NO_UNIT).then(|| Slab::at(arena, next, class))
        })
    }

    /// Puts a slab in front.
    pub fn push<G: Geometry>(&self, slab: &Slab<'_, G>, listed: Listed) {
        let next = self.head.get();
        slab.prefix.listed.set(listed as u8);
        slab.prefix.next.set(next);
        slab.prefix.prev.set(NO_UNIT);
        if next != NO_UNIT {
            Slab::at(slab.arena, next, slab.class).prefix.prev.set(slab.head);
        }
        self.head.set(slab.head);
    }

    /// Takes a slab out, wherever it stands in this list.
    pub fn remove<G: Geometry>(&self, slab: &Slab<'_, G>) {
        let (next, prev) = (slab.prefix.next.get(), slab.prefix.prev.get());
        if next != NO_UNIT {
            Slab::at(slab.arena, next, slab.class).prefix.prev.set(prev);
        }
        if prev == NO_UNIT {
            debug_assert_eq!(self.head.get(), slab.head);
            self.head.set(next);
        } else {
            Slab::at(slab.arena, prev, slab.class).prefix.next.set(next);
        }
        slab.prefix.listed.set(Listed::Nowhere as u8);
    }

    /// Takes the fullest of the first `look` slabs: the others then have a chance to become empty.
    pub fn take_fullest<'a, G: Geometry>(
        &self,
        arena: &'a Arena<G>,
        class: SizeClass,
        look: usize,
    ) -> Option<Slab<'a, G>> {
        let mut best = self.first(arena, class)?;
        for slab in self.iter(arena, class).take(look).skip(1) {
            if slab.prefix.used.get() > best.prefix.used.get() {
                best = slab;
            }
        }
        self.remove(&best);
        Some(best)
    }
}

impl Default for SlabList {
    fn default() -> Self {
        Self::new()
    }
}
