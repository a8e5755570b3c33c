//! What an address is, as the witness of a heap under attack knows it, and what may be reported of it.

use ace_alloc::platform::MisuseKind::{self, DoubleFree, Foreign, Interior, NeverAllocated};

/// What an address is. Blocks are named by their number in the shadow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No address.
    Null,
    /// The start of this live block.
    Start(usize),
    /// Inside this live block of the heap's range.
    Inside(usize),
    /// In the range, but in no live block.
    Empty,
    /// In the range, where no block ever was.
    Virgin,
    /// Not the heap's.
    Outside,
}

impl Verdict {
    /// What may be reported of such an address.
    #[must_use]
    pub const fn kinds(self) -> &'static [MisuseKind] {
        match self {
            Self::Null | Self::Start(_) => &[],
            Self::Inside(_) => &[Interior],
            // What lies there now depends on what became of the slab: it may serve another class.
            Self::Empty => &[DoubleFree, NeverAllocated, Interior],
            // Below the blocks the range holds the heap's own tables.
            Self::Virgin => &[NeverAllocated, Foreign],
            Self::Outside => &[Foreign],
        }
    }
}
