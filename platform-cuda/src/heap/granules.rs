//! Physical memory of the device, granule by granule, behind one range of its addresses. Floor: adapter.
//!
//! The allocator asks for memory in units, the device gives it in granules of many units.
//!
//! Invariants:
//! * G1 A granule is mapped if a unit of it is held. (After a device refused to unmap one, also otherwise.)
//! * G2 `mapped_bytes` is the sum of the mapped granules, and grows only up to `limit_bytes`.

use super::UNIT;
use crate::device::{Device, DeviceAddress, DeviceFault};
use core::ops::Range;
use std::vec::Vec;

/// See the module's documentation.
pub(super) struct Granules<D: Device> {
    device: D,
    granule_bytes: u64,
    /// What the device set aside, and where in it the first granule lies.
    reserved: Option<(DeviceAddress, u64)>,
    first: DeviceAddress,
    /// A bit for each unit that the allocator has memory for.
    held: Vec<u64>,
    blocks: Vec<Option<D::Block>>,
    /// Most bytes that may be mapped.
    pub(super) limit_bytes: u64,
    /// Bytes that are mapped.
    pub(super) mapped_bytes: u64,
    /// Most that ever were.
    pub(super) peak_bytes: u64,
    /// Whether a device refused to unmap a granule that nothing is in.
    mapped_for_nothing: bool,
    lost: Option<DeviceFault>,
    /// Why the last request failed, unless it was for lack of memory.
    pub(super) refusal: Option<DeviceFault>,
}

impl<D: Device> Granules<D> {
    /// Nothing yet, of a device whose granules are to have this size.
    pub(super) fn new(device: D, granule_bytes: u64, limit_bytes: u64) -> Self {
        Self {
            device,
            granule_bytes,
            reserved: None,
            first: DeviceAddress(0),
            held: Vec::new(),
            blocks: Vec::new(),
            limit_bytes,
            mapped_bytes: 0,
            peak_bytes: 0,
            mapped_for_nothing: false,
            lost: None,
            refusal: None,
        }
    }

    /// Sets `bytes` addresses aside, the first aligned to `align`; both are multiples of the granule.
    pub(super) fn reserve(&mut self, bytes: u64, align: u64) -> Result<DeviceAddress, DeviceFault> {
        debug_assert!(self.reserved.is_none() && align.is_multiple_of(self.granule_bytes));
        // A device aligns to its own granularity.
        let whole = bytes + align;
        self.refusal = self.lost;
        let start = self.device.attach().and_then(|()| self.device.reserve(whole));
        let start = start.inspect_err(|fault| self.note(*fault))?;
        self.reserved = Some((start, whole));
        self.first = DeviceAddress(start.0.next_multiple_of(align));
        Ok(self.first)
    }

    /// Sees that there is memory behind `bytes` bytes at `offset`, both multiples of a unit.
    pub(super) fn populate(&mut self, offset: u64, bytes: u64) -> Result<(), DeviceFault> {
        let granules = self.granules(offset, bytes);
        let units = units(offset, bytes);
        self.refusal = self.lost;
        if let Some(lost) = self.lost {
            return Err(lost);
        }
        self.make_room(granules.end, units.end)?;
        for granule in granules.clone() {
            if self.blocks[granule].is_none()
                && let Err(fault) = self.map(granule)
            {
                self.note(fault);
                // What this call mapped holds nothing.
                self.unmap_idle(granules.start..granule);
                return Err(fault);
            }
        }
        for_words(&units, |word, mask| self.held[word] |= mask);
        Ok(())
    }

    /// Takes the memory of `bytes` bytes at `offset` for needless, and gives back every granule of which
    /// all is. One that the device would not have stays mapped, for [`Self::sweep`] or for later use.
    pub(super) fn purge(&mut self, offset: u64, bytes: u64) {
        let units = units(offset, bytes);
        self.refusal = self.lost;
        if units.end.div_ceil(64) <= self.held.len() {
            for_words(&units, |word, mask| self.held[word] &= !mask);
        }
        let granules = self.granules(offset, bytes);
        self.unmap_idle(granules.start..granules.end.min(self.blocks.len()));
    }

    /// Gives back every granule that is mapped for nothing.
    pub(super) fn sweep(&mut self) {
        if self.mapped_for_nothing {
            self.mapped_for_nothing = false;
            self.unmap_idle(0..self.blocks.len());
        }
    }

    /// A mark after all work so far on a queue of the caller's.
    ///
    /// # Safety
    /// As for [`Device::mark_queue`].
    pub(super) unsafe fn mark(&mut self, queue: u64) -> Result<D::Mark, DeviceFault> {
        self.device.attach()?;
        // SAFETY: the caller's promise.
        unsafe { self.device.mark_queue(queue) }
    }

    /// Whether all before a mark has ended. With a device that is lost, everything has.
    pub(super) fn is_ready(&mut self, mark: &mut D::Mark) -> bool {
        if self.lost.is_some() {
            return true;
        }
        let ready = self.device.attach().and_then(|()| self.device.is_ready(mark));
        ready.unwrap_or_else(|fault| {
            self.note(fault);
            self.lost.is_some()
        })
    }

    fn granules(&self, offset: u64, bytes: u64) -> Range<usize> {
        let granule = self.granule_bytes;
        (offset / granule) as usize..(offset + bytes).div_ceil(granule) as usize
    }

    fn make_room(&mut self, granules: usize, units: usize) -> Result<(), DeviceFault> {
        let words = units.div_ceil(64).saturating_sub(self.held.len());
        let more = granules.saturating_sub(self.blocks.len());
        let had_room =
            self.held.try_reserve(words).is_ok() && self.blocks.try_reserve(more).is_ok();
        if !had_room {
            return Err(DeviceFault::OutOfMemory);
        }
        self.held.resize(self.held.len() + words, 0);
        self.blocks.resize_with(self.blocks.len() + more, || None);
        Ok(())
    }

    fn address(&self, granule: usize) -> DeviceAddress {
        self.first.plus(granule as u64 * self.granule_bytes)
    }

    fn is_held(&self, granule: usize) -> bool {
        let start = granule as u64 * self.granule_bytes;
        let mut held = false;
        for_words(&units(start, self.granule_bytes), |word, mask| {
            held |= self.held.get(word).is_some_and(|bits| bits & mask != 0);
        });
        held
    }

    fn map(&mut self, granule: usize) -> Result<(), DeviceFault> {
        let bytes = self.granule_bytes;
        if bytes > self.limit_bytes.saturating_sub(self.mapped_bytes) {
            return Err(DeviceFault::OutOfMemory);
        }
        self.device.attach()?;
        let block = self.device.create(bytes)?;
        // SAFETY: the granule lies in the reservation and nothing is mapped there (no block is noted); the
        // block is new.
        if let Err(fault) = unsafe { self.device.map(self.address(granule), &block) } {
            // Whatever it answers, the block is gone.
            let _ = self.device.destroy(block);
            return Err(fault);
        }
        self.blocks[granule] = Some(block);
        self.mapped_bytes += bytes;
        self.peak_bytes = self.peak_bytes.max(self.mapped_bytes);
        Ok(())
    }

    /// Unmaps the granules of a range of which no unit is held.
    fn unmap_idle(&mut self, granules: Range<usize>) {
        for granule in granules {
            if self.blocks[granule].is_some()
                && !self.is_held(granule)
                && let Err(fault) = self.unmap(granule)
            {
                self.note(fault);
                self.mapped_for_nothing = true;
            }
        }
    }

    fn unmap(&mut self, granule: usize) -> Result<(), DeviceFault> {
        // With the device, the mapping is gone.
        if self.lost.is_none() {
            self.device.attach()?;
            // SAFETY: `map` put a block of this size there. No block of the heap lies in it, and who freed
            // the last one promised that no work of the device touches it any more.
            unsafe { self.device.unmap(self.address(granule), self.granule_bytes) }?;
        }
        if let Some(block) = self.blocks[granule].take() {
            self.mapped_bytes -= self.granule_bytes;
            // The block is gone either way: a refusal is noted, not undone.
            self.device.destroy(block).unwrap_or_else(|fault| self.note(fault));
        }
        Ok(())
    }

    fn note(&mut self, fault: DeviceFault) {
        match fault {
            DeviceFault::OutOfMemory => {}
            DeviceFault::Lost { .. } => (self.lost, self.refusal) = (Some(fault), Some(fault)),
            DeviceFault::Refused { .. } => self.refusal = Some(fault),
        }
    }
}

impl<D: Device> Drop for Granules<D> {
    /// Gives the addresses back, unless something is mapped still: then blocks of the heap are in use, and
    /// they stay.
    fn drop(&mut self) {
        if let Some((start, bytes)) = self.reserved
            && self.mapped_bytes == 0
            && self.device.attach().is_ok()
        {
            // SAFETY: it came from `reserve`, and nothing is mapped there. A device that is lost has no
            // addresses to give back to.
            let _ = unsafe { self.device.release(start, bytes) };
        }
    }
}

fn units(offset: u64, bytes: u64) -> Range<usize> {
    (offset / UNIT) as usize..(offset + bytes).div_ceil(UNIT) as usize
}

/// Calls `each` with number and mask of the words of a bitmap in which the bits of a range lie.
fn for_words(bits: &Range<usize>, mut each: impl FnMut(usize, u64)) {
    let mut at = bits.start;
    while at < bits.end {
        let (word, low) = (at / 64, at % 64);
        let count = (64 - low).min(bits.end - at);
        each(word, u64::MAX >> (64 - count) << low);
        at += count;
    }
}
