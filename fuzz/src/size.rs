//! Sizes and alignments from a few bytes: mostly small, often at the edge of a size class.

use ace_alloc::SizeClass;
use arbitrary::{Result, Unstructured};

/// A size up to `largest`.
///
/// # Errors
/// None: where the bytes end, zeros follow.
pub fn size(bytes: &mut Unstructured<'_>, largest: usize) -> Result<usize> {
    let raw = usize::from(bytes.arbitrary::<u16>()?);
    let (scale, value) = (raw >> 13, raw & 0x1FFF);
    let size = match scale {
        0..2 => value % 257,
        2..4 => value % 1025,
        4 => value,
        5 => value * 8,
        6 => value * value / 0x1FFF * largest / 0x1FFF,
        _ => edge_of_a_class(value),
    };
    Ok(size.min(largest))
}

/// A class's size, one less or one more.
fn edge_of_a_class(value: usize) -> usize {
    let class = SizeClass::new(value % SizeClass::USED);
    class.bytes() + value / SizeClass::USED % 3 - 1
}

/// A size that no heap can be expected to serve, or the edge of one.
///
/// # Errors
/// None, as for [`size`].
pub fn hostile_size(bytes: &mut Unstructured<'_>) -> Result<usize> {
    let kind = bytes.arbitrary::<u8>()?;
    let more = usize::from(bytes.arbitrary::<u8>()?);
    Ok(match kind {
        // Around a power of two.
        0..128 => (1_usize << (kind % 64)).wrapping_add(more).wrapping_sub(128),
        128..160 => usize::MAX - more,
        160..192 => (isize::MAX.unsigned_abs() - 128) + more,
        192..224 => usize::MAX - (more << 12),
        // Around the size from which blocks are mapped on their own.
        224..240 => (32 << 20) + (more << 9) - (128 << 9),
        _ => usize::MAX / (more + 1),
    })
}

/// What the C functions are asked to align to; seldom a power of two where `kind` says so.
///
/// # Errors
/// None, as for [`size`].
pub fn hostile_alignment(bytes: &mut Unstructured<'_>) -> Result<usize> {
    let kind = bytes.arbitrary::<u8>()?;
    Ok(match kind {
        // Up to a page or so.
        0..100 => 1 << (kind % 17),
        100..180 => 1 << (kind % 64),
        180..220 => usize::from(bytes.arbitrary::<u8>()?),
        220..240 => (1 << (kind % 64)) | usize::from(bytes.arbitrary::<u8>()?),
        _ => usize::MAX - usize::from(bytes.arbitrary::<u8>()?),
    })
}
