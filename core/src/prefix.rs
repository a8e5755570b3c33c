//! The 32 bytes that describe a slab: pool, type, class, owner, counts. Floor: ground.
//!
//! Read in WARM and COLD only. Written by the slab's owner: the thread whose heap it belongs to, or
//! whoever holds the pool's lock for slabs of the shared pool. Others may look at single fields.
//!
//! The *seal* ties a prefix to its place, class and owner. It is checked where a prefix is taken
//! over or read for somebody else's pointer, so a stray write over a prefix in a slab's tail is
//! noticed before it is believed.

use crate::sync::{RelaxedU8, RelaxedU16, RelaxedU32};

/// No unit; the end of a list of slabs.
pub const NO_UNIT: u32 = u32::MAX;

/// Where a slab is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Listed {
    /// In no list.
    Nowhere = 0,
    /// The slab that its heap refills from.
    Current = 1,
    /// Among its owner's slabs with free blocks.
    Partial = 2,
    /// Among its owner's slabs without.
    Full = 3,
    /// In the warm pool: empty and without owner.
    Warm = 4,
}

/// See the module's documentation.
#[repr(C)]
#[derive(Debug)]
pub struct Prefix {
    /// 1 while the bitmap is set up for this class.
    pub formatted: RelaxedU8,
    /// A [`Listed`].
    pub listed: RelaxedU8,
    /// Size class.
    pub class: RelaxedU8,
    /// Units of the slab.
    pub units: RelaxedU8,
    /// Number of the owner.
    pub owner: RelaxedU32,
    /// Blocks that are not in the bitmap: in the program's hands, in a magazine or on their way.
    pub used: RelaxedU16,
    /// Blocks of the slab.
    pub capacity: RelaxedU16,
    /// First bitmap word that may have a free block.
    pub cursor: RelaxedU16,
    /// Blocks that a visitor put into the bitmap, of which the owner does not know yet: their live
    /// bits are still set.
    pub delivered: RelaxedU16,
    /// Next slab of the list, or [`NO_UNIT`].
    pub next: RelaxedU32,
    /// Previous slab of the list, or [`NO_UNIT`].
    pub prev: RelaxedU32,
    /// First unit of the slab.
    pub head: RelaxedU32,
    seal: RelaxedU32,
}

const _: () = assert!(size_of::<Prefix>() == 32 && align_of::<Prefix>() == 4);

/// Bytes at a slab's tail for the prefix and the bitmap of `blocks` blocks.
#[must_use]
pub const fn tail_bytes(blocks: usize) -> usize {
    size_of::<Prefix>() + blocks.div_ceil(64) * 8
}

impl Prefix {
    /// The list that the slab is in.
    pub fn listed(&self) -> Listed {
        match self.listed.get() {
            1 => Listed::Current,
            2 => Listed::Partial,
            3 => Listed::Full,
            4 => Listed::Warm,
            _ => Listed::Nowhere,
        }
    }

    fn expected_seal(&self) -> u32 {
        let class = u32::from(self.class.get());
        (self.head.get() ^ self.owner.get().rotate_left(16) ^ (class << 24))
            .wrapping_mul(0x9E37_79B1)
            ^ 0x5EA1_5EA1
    }

    /// Writes owner and seal.
    pub fn set_owner(&self, owner: u32) {
        self.owner.set(owner);
        self.seal.set(self.expected_seal());
    }

    /// Whether the seal fits the other fields and the place.
    pub fn is_sealed(&self, head: u32) -> bool {
        self.head.get() == head && self.seal.get() == self.expected_seal()
    }
}
