//! What a heap answers when it is given memory. Floor: cellar.

use core::fmt;

/// Why memory was not taken. The heap is as it was, and did not touch it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClaimError {
    /// Less than the heap's tables and one block need.
    TooSmall,
    /// A part of it belongs to the heap already.
    Overlaps,
    /// It begins at null, or runs past the end of the address space.
    Invalid,
    /// The heap notes no more regions.
    TooMany,
}

impl fmt::Display for ClaimError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::TooSmall => "too small for a region",
            Self::Overlaps => "overlaps a region of the heap",
            Self::Invalid => "not a range of addresses",
            Self::TooMany => "the heap notes no more regions",
        })
    }
}

impl core::error::Error for ClaimError {}
