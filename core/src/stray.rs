//! Freed blocks that found no chunk to travel home in: a list through their own first words.
//! Floor: 1st.
//!
//! Only for the hour when not one page is to be had for a chunk; a block that could not be sent
//! would be lost then. Beside `pool/interrupts`, whose blocks wait for a moment only, it is the one
//! place of a heap with slabs that writes into freed blocks. What is read back is checked as if a
//! stranger had handed it in, and links are kept in a form that zeroes, ones and addresses don't
//! have.

use crate::{
    arena::{Arena, CHECKED, Entry},
    geometry::Geometry,
    protocol::inbox::{Links, NO_ITEM},
    size_class::SizeClass,
    slab::Slab,
};

impl<G: Geometry> Arena<G> {
    /// The class of the block that starts at this address; `None` if no block of a slab does, or if
    /// it is not live: strays are live until their owner has them, so a list with a loop ends here.
    fn class_of_stray(&self, committed: u32, address: usize) -> Option<SizeClass> {
        let unit = self.unit_of(address);
        if unit >= committed {
            return None;
        }
        let entry = self.route(unit);
        let is_slab = ![0, Entry::LARGE].contains(&entry.owner());
        let is_stray = is_slab
            && Slab::of(self, address, entry.class()).is_start(address)
            && (!CHECKED || self.is_live(address));
        is_stray.then(|| entry.class())
    }

    /// The link of `block` to `next`, as it is stored; and back.
    fn coded(block: usize, next: usize) -> usize {
        next ^ !block.rotate_left(16)
    }

    fn link(&self, block: usize) -> *mut usize {
        self.base().with_addr(block.try_into().expect("not null")).as_ptr().cast()
    }
}

/// The links of blocks in an inbox of blocks. The addresses given are starts of blocks of this
/// arena's slabs, which the caller has just freed and nobody else holds.
#[derive(Debug)]
pub struct StrayLinks<'a, G: Geometry>(pub &'a Arena<G>);

impl<G: Geometry> Links for StrayLinks<'_, G> {
    fn set_next(&self, block: usize, next: usize) {
        // SAFETY: the type's promise; no class is smaller or less aligned than a word.
        unsafe { self.0.link(block).write(Arena::<G>::coded(block, next)) };
    }
}

/// Walks the blocks that were taken out of an inbox. A block may be used anew as soon as it was
/// yielded.
#[derive(Debug)]
pub struct Strays<'a, G: Geometry> {
    arena: &'a Arena<G>,
    committed: u32,
    next: usize,
    last: usize,
}

impl<'a, G: Geometry> Strays<'a, G> {
    /// From what the inbox returned.
    pub fn new(arena: &'a Arena<G>, committed: u32, first: usize) -> Self {
        Self { arena, committed, next: first, last: first }
    }
}

impl<G: Geometry> Iterator for Strays<'_, G> {
    /// A block and its class; or the address of a block that the program wrote to after it had
    /// freed it, so that the blocks behind it can't be found: the last item.
    type Item = Result<(*mut u8, SizeClass), usize>;

    fn next(&mut self) -> Option<Self::Item> {
        let block = self.next;
        if block == NO_ITEM {
            return None;
        }
        self.next = NO_ITEM;
        let Some(class) = self.arena.class_of_stray(self.committed, block) else {
            return Some(Err(self.last));
        };
        let link = self.arena.link(block);
        // SAFETY: a block of a slab starts here, so its first word is readable memory of the arena.
        self.next = Arena::<G>::coded(block, unsafe { link.read() });
        self.last = block;
        Some(Ok((link.cast(), class)))
    }
}
