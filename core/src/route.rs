//! What the route table says of a unit: whose it is and of which class. Floor: ground.

use crate::size_class::SizeClass;

/// What the route table says of a unit: owner in the upper 24 bits, class in the lower 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry(pub u32);

impl Entry {
    /// No block begins or lies here.
    pub const NONE: Self = Self(0);
    /// Owner number of the shared pool.
    pub const POOL: u32 = 1;
    /// Owner number that marks large blocks.
    pub const LARGE: u32 = 2;
    /// The smallest number that a thread's heap has.
    pub const FIRST_HEAP: u32 = 3;
    /// First unit of a large block.
    pub const LARGE_HEAD: Self = Self(Self::LARGE << 8 | 0xFE);
    /// Further units of a large block.
    pub const LARGE_BODY: Self = Self(Self::LARGE << 8 | 0xFF);

    /// The entry of a slab.
    #[must_use]
    pub const fn slab(owner: u32, class: SizeClass) -> Self {
        Self(owner << 8 | class.index() as u32)
    }

    /// Owner number.
    #[must_use]
    pub const fn owner(self) -> u32 {
        self.0 >> 8
    }

    /// Class of the slab. Only for entries of slabs.
    #[must_use]
    pub const fn class(self) -> SizeClass {
        SizeClass::from_entry(self.0 as u8)
    }
}
