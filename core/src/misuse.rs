//! A program's mistakes, as a heap reports them. Floor: cellar.

/// A program's mistake that the heap noticed. It is reported through [`crate::Platform::misuse`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Misuse {
    /// What was wrong.
    pub kind: MisuseKind,
    /// The address that was handed in.
    pub address: usize,
    /// Size of the block's class in bytes; 0 where there is none.
    pub block_bytes: usize,
    /// Number of the heap that owns the slab; 0 where there is none.
    pub owner: u32,
}

/// Kinds of misuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MisuseKind {
    /// The block is free already.
    DoubleFree,
    /// The address lies inside a block, not at its start.
    Interior,
    /// The address lies in the heap's range where no block was ever handed out.
    NeverAllocated,
    /// The address is not of this heap at all.
    Foreign,
    /// What the heap knows of a slab, or keeps in free memory, was overwritten.
    Corrupt,
}

impl MisuseKind {
    /// The reason in words, for a message.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::DoubleFree => "double free",
            Self::Interior => "pointer into the middle of a block",
            Self::NeverAllocated => "never allocated",
            Self::Corrupt => "the heap's own data was overwritten",
            Self::Foreign => "not a pointer of this allocator",
        }
    }
}
