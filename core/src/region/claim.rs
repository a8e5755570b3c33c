//! Memory becomes a region. Floor: annex.

use super::{
    ground::{Control, Ground},
    scale::{GRANULE, Link, Scale, bins},
};
use crate::{ace::Larder, claim::ClaimError};
use core::ptr::NonNull;

/// The whole granules between `start` and `start + bytes`: the first, and how many. Regions begin
/// at a multiple of a word, so that their control data does.
pub fn granules_between(start: *mut u8, bytes: usize) -> Result<(NonNull<u8>, usize), ClaimError> {
    let align = const { if align_of::<usize>() > GRANULE { align_of::<usize>() } else { GRANULE } };
    let end = start.addr().checked_add(bytes).ok_or(ClaimError::Invalid)?;
    let first = NonNull::new(start).ok_or(ClaimError::Invalid)?;
    let skipped = first.addr().get().wrapping_neg() % align;
    let granules = (bytes.checked_sub(skipped).ok_or(ClaimError::TooSmall)?) / GRANULE;
    debug_assert!(first.addr().get() + skipped <= end);
    // SAFETY: at most `bytes` further, inside the caller's memory.
    Ok((unsafe { first.add(skipped) }, granules))
}

impl<S: Scale> Ground<S> {
    /// Makes a region of this memory: of as many granules as links reach, if there are more.
    /// Answers its granules, control data included.
    ///
    /// # Safety
    /// `base`, aligned to a granule and a word, begins `granules` granules of memory that are
    /// nobody else's for as long as the region is used.
    pub unsafe fn found(base: NonNull<u8>, granules: usize) -> Result<(Self, usize), ClaimError> {
        const { assert!(align_of::<Control<S>>() <= GRANULE) }
        let granules = granules.min(S::Link::MOST);
        if granules < Self::LEAST {
            return Err(ClaimError::TooSmall);
        }
        let first = Self::control_granules(granules);
        // SAFETY: the caller's promise; the control data fits, as was just seen.
        let ground = unsafe { Self::at(base) };
        // SAFETY: as above; all zero is "no block" for heads, map and bits, and valid in each field
        // of `Control`.
        unsafe { base.write_bytes(0, first * GRANULE) };
        let free = granules - first;
        ground.edit(|control| {
            (control.first, control.limit, control.low) = (first, granules, free);
            if S::CACHED > 0 {
                control.larder = Larder::new(S::CACHE_SHIFT as u8);
                control.budget = free >> S::CACHE_SHIFT;
                control.room = control.budget.cast_signed();
            }
        });
        if Self::MAPPED {
            let end = bins::<S>();
            ground.set_map(end / usize::BITS as usize, 1 << (end % usize::BITS as usize));
        }
        ground.flip(granules, 0b11);
        ground.give(first, free, 0);
        Ok((ground, granules))
    }

    /// Whether a part of these granules is this region's.
    pub fn overlaps(self, base: NonNull<u8>, granules: usize) -> bool {
        let (own, other) = (self.base().addr().get(), base.addr().get());
        let own_bytes = self.get(|control| control.limit) * GRANULE;
        other.wrapping_sub(own) < own_bytes || own.wrapping_sub(other) < granules * GRANULE
    }

    /// Whether an address is this region's.
    pub fn has(self, address: NonNull<u8>) -> bool {
        let offset = address.addr().get().wrapping_sub(self.base().addr().get());
        offset / GRANULE < self.get(|control| control.limit)
    }
}
