//! Calls of the C functions, with sizes and alignments that no program should ask for.

use crate::size::{hostile_alignment, hostile_size, size};
use arbitrary::{Arbitrary, Result, Unstructured};

/// Calls of one execution.
const MOST_CALLS: usize = 400;
/// Largest size that is not hostile.
const LARGEST: usize = 256 << 10;

/// One call. Where a function has several names, the first number says which; numbers of blocks are
/// taken modulo how many there are.
#[derive(Clone, Copy, Debug)]
pub enum Call {
    /// `malloc(bytes)`.
    Malloc(usize, usize),
    /// `calloc(count, bytes)`.
    Calloc(usize, usize, usize),
    /// `realloc` of a block; of NULL if there is none.
    Realloc(usize, usize, usize),
    /// `realloc(NULL, bytes)`.
    ReallocNull(usize, usize),
    /// `posix_memalign(&block, align, bytes)`.
    PosixMemalign(usize, usize, usize),
    /// `aligned_alloc(align, bytes)` and `memalign`.
    Aligned(usize, usize, usize),
    /// `valloc(bytes)`.
    Valloc(usize, usize),
    /// `pvalloc(bytes)`.
    Pvalloc(usize, usize),
    /// `free` of a block, by one of its names, or `free_sized`, or `free_aligned_sized`.
    Free(usize, usize),
    /// `free(NULL)`, by any of them.
    FreeNull(usize),
    /// `malloc_usable_size` of a block.
    Usable(usize),
    /// `malloc_trim(keep)`.
    Trim(usize),
    /// `mallopt(parameter, value)`.
    Mallopt(i32, i32),
    /// `mallinfo` and `mallinfo2`.
    Mallinfo,
    /// `malloc_info(options, stream)`.
    MallocInfo(i32),
}

impl Call {
    /// Bytes that a heap must find for the call, alignment included.
    #[must_use]
    pub fn wanted(self) -> usize {
        match self {
            Self::Malloc(_, bytes)
            | Self::Realloc(_, _, bytes)
            | Self::ReallocNull(_, bytes)
            | Self::Valloc(_, bytes)
            | Self::Pvalloc(_, bytes) => bytes,
            Self::Calloc(_, count, bytes) => count.saturating_mul(bytes),
            Self::PosixMemalign(_, align, bytes) | Self::Aligned(_, align, bytes) => {
                bytes.saturating_add(align)
            }
            _ => 0,
        }
    }
}

/// A program.
#[derive(Clone, Debug)]
pub struct Calls(pub Vec<Call>);

impl<'a> Arbitrary<'a> for Calls {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> Result<Self> {
        let mut calls = Vec::new();
        while !bytes.is_empty() && calls.len() < MOST_CALLS {
            calls.push(call(bytes)?);
        }
        Ok(Self(calls))
    }
}

fn call(bytes: &mut Unstructured<'_>) -> Result<Call> {
    let kind = bytes.arbitrary::<u8>()?;
    let name = usize::from(kind);
    let any = |bytes: &mut Unstructured<'_>| bytes.arbitrary::<u8>().map(usize::from);
    Ok(match kind {
        0..40 => Call::Malloc(name, any_size(bytes)?),
        40..64 => Call::Calloc(name, any_size(bytes)?, 1),
        64..72 => Call::Calloc(name, any_size(bytes)?, any_size(bytes)?),
        72..108 => Call::Realloc(name, any(bytes)?, any_size(bytes)?),
        108..114 => Call::ReallocNull(name, any_size(bytes)?),
        114..136 => Call::PosixMemalign(name, hostile_alignment(bytes)?, any_size(bytes)?),
        136..158 => Call::Aligned(name, hostile_alignment(bytes)?, any_size(bytes)?),
        158..164 => Call::Valloc(name, any_size(bytes)?),
        164..172 => Call::Pvalloc(name, any_size(bytes)?),
        172..216 => Call::Free(name, any(bytes)?),
        216..222 => Call::FreeNull(name),
        222..230 => Call::Usable(any(bytes)?),
        230..238 => Call::Trim(any_size(bytes)?),
        238..246 => Call::Mallopt(bytes.arbitrary::<i8>()?.into(), bytes.arbitrary()?),
        246..252 => Call::Mallinfo,
        _ => Call::MallocInfo(i32::from(kind == 255)),
    })
}

/// A size: one in four hostile.
fn any_size(bytes: &mut Unstructured<'_>) -> Result<usize> {
    if bytes.arbitrary::<u8>()? < 192 { size(bytes, LARGEST) } else { hostile_size(bytes) }
}
