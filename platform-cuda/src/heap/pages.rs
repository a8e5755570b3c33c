//! A device's memory as pages of the core. Floor: adapter.
//!
//! Tables come from the host, blocks from the device: the core commits the one and populates the other.

use super::{DevicePlatform, UNIT, granules::Granules, shadow::Shadow};
use crate::device::{Device, DeviceAddress};
use ace_alloc::{OutOfPages, PageProvider, Purged, Region};
use parking_lot::{Mutex, MutexGuard};
use std::sync::OnceLock;

/// See the module's documentation.
pub(super) struct DevicePages<D: Device> {
    granules: Mutex<Granules<D>>,
    range: OnceLock<DeviceRange>,
    /// Most addresses worth setting aside, and the alignment of the first.
    range_bytes: u64,
    align: u64,
}

/// Addresses of the shadow and of the device, side by side.
struct DeviceRange {
    shadow: Shadow,
    device: DeviceAddress,
}

impl<D: Device + Send> DevicePages<D> {
    pub(super) fn new(
        device: D,
        granule_bytes: u64,
        limit_bytes: u64,
        range_bytes: u64,
        align: u64,
    ) -> Self {
        let granules = Mutex::new(Granules::new(device, granule_bytes, limit_bytes));
        Self { granules, range: OnceLock::new(), range_bytes, align }
    }

    /// The account of physical memory.
    pub(super) fn granules(&self) -> MutexGuard<'_, Granules<D>> {
        self.granules.lock()
    }

    /// Largest alignment that addresses of shadow and device share.
    pub(super) fn most_align(&self) -> u64 {
        self.align
    }

    /// Bytes of addresses that are set aside.
    pub(super) fn reserved_bytes(&self) -> u64 {
        self.range.get().map_or(0, |range| range.shadow.bytes() as u64)
    }

    /// The device's address that a shadow's stands for.
    pub(super) fn to_device(&self, shadow: usize) -> Option<DeviceAddress> {
        let range = self.range.get()?;
        Some(range.device.plus(shadow.wrapping_sub(range.shadow.start().addr().get()) as u64))
    }

    /// The shadow's address that stands for a device's; `None` for addresses of others.
    pub(super) fn to_shadow(&self, device: DeviceAddress) -> Option<usize> {
        let range = self.range.get()?;
        let offset = usize::try_from(device.0.checked_sub(range.device.0)?).ok()?;
        (offset < range.shadow.bytes()).then(|| range.shadow.start().addr().get() + offset)
    }

    /// Where a run of blocks lies, counted from the first address.
    fn offset(&self, blocks: Region) -> Option<u64> {
        let shadow = &self.range.get()?.shadow;
        let offset = blocks.start.addr().get() - shadow.start().addr().get();
        debug_assert!(shadow.holds(blocks.start, blocks.bytes));
        debug_assert!((offset as u64).is_multiple_of(UNIT));
        Some(offset as u64)
    }
}

// SAFETY: the region is a fresh mapping of this provider's, aligned as asked, and lasts as long as it. What
// is committed (tables only: blocks are not touchable) reads as zero at first and stays accessible. Nothing
// here allocates through the heap that is served.
unsafe impl<D: Device + Send + 'static> PageProvider for DevicePages<D> {
    const PAGE: usize = DevicePlatform::<D>::PAGE;
    const TOUCHABLE: bool = false;

    fn reserve(&self, bytes: usize, least: usize) -> Result<Region, OutOfPages> {
        if bytes as u64 > self.range_bytes {
            return Err(OutOfPages);
        }
        let align = usize::try_from(self.align).map_err(|_| OutOfPages)?.max(least);
        // Blocks lie at the end of what the core reserves, and are a power of two of units. So they begin at
        // a granule if the end is at one; what is too much lies in front of the tables.
        let whole = bytes.checked_next_multiple_of(align).ok_or(OutOfPages)?;
        let shadow = Shadow::reserve(whole, align).ok_or(OutOfPages)?;
        let device = self.granules().reserve(whole as u64, align as u64);
        let device = device.map_err(|_| OutOfPages)?;
        let spare = (whole - bytes) / least * least;
        // SAFETY: the mapping has `whole` bytes, and so many are spare.
        let start = unsafe { shadow.start().add(spare) };
        // Once only: the heap reserves no second time after this has succeeded.
        let _ = self.range.set(DeviceRange { shadow, device });
        Ok(Region { start, bytes })
    }

    unsafe fn commit(&self, range: Region) -> Result<(), OutOfPages> {
        let opened = self.range.get().is_some_and(|of| of.shadow.open(range.start, range.bytes));
        if opened { Ok(()) } else { Err(OutOfPages) }
    }

    unsafe fn populate(&self, blocks: Region) -> Result<(), OutOfPages> {
        let offset = self.offset(blocks).ok_or(OutOfPages)?;
        self.granules().populate(offset, blocks.bytes as u64).map_err(|_| OutOfPages)
    }

    unsafe fn purge(&self, blocks: Region) -> Purged {
        let Some(offset) = self.offset(blocks) else { return Purged::Kept };
        self.granules().purge(offset, blocks.bytes as u64);
        Purged::Zeroed
    }

    /// The reservation goes with the provider.
    unsafe fn release(&self, _: Region) {}
}
