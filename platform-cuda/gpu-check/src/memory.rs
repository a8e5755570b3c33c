//! Device and pinned memory for a while, and copies that are waited for. Floor: ground.
//!
//! Memory is given back by hand, because that takes the device; what a failure leaves goes with the process.

use ace_alloc_cuda::{
    device::{Device, DeviceAddress, DeviceFault, Lane},
    driver::{Block, CudaDevice},
};
use std::{ptr::NonNull, slice};

/// Device memory behind addresses of its own.
pub struct Mapped {
    start: DeviceAddress,
    bytes: u64,
    block: Block,
}

impl Mapped {
    /// At least so many bytes.
    pub fn new(device: &mut CudaDevice, bytes: u64) -> Result<Self, DeviceFault> {
        let bytes = bytes.max(1).next_multiple_of(device.granularity());
        let start = device.reserve(bytes)?;
        let block = device.create(bytes)?;
        // SAFETY: Reserved just now, and a new block of the same size.
        unsafe { device.map(start, &block) }?;
        Ok(Self { start, bytes, block })
    }

    pub const fn start(&self) -> DeviceAddress {
        self.start
    }

    /// Gives all of it back. Nothing on the device uses it: who queued work has waited for it.
    pub fn free(self, device: &mut CudaDevice) -> Result<(), DeviceFault> {
        // SAFETY: Mapped by `new` with this size, and unused.
        unsafe { device.unmap(self.start, self.bytes) }?;
        device.destroy(self.block)?;
        // SAFETY: Reserved by `new` with this size, and nothing is mapped there any more.
        unsafe { device.release(self.start, self.bytes) }
    }
}

/// Pinned host memory.
pub struct Pinned {
    start: NonNull<u8>,
    bytes: usize,
}

impl Pinned {
    pub fn new(device: &mut CudaDevice, bytes: usize) -> Result<Self, DeviceFault> {
        let start = device.pin(bytes.max(1))?;
        Ok(Self { start, bytes })
    }

    pub fn bytes(&self) -> &[u8] {
        // SAFETY: `pin` gave so many bytes, readable until `free` takes `self`. Copies in this program
        // borrow the slice until they were waited for.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.bytes) }
    }

    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: As above, and writable; `&mut` makes it the only one.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.bytes) }
    }

    pub fn free(self, device: &mut CudaDevice) -> Result<(), DeviceFault> {
        // SAFETY: From `pin`; no slice of it is left, so no copy uses it either.
        unsafe { device.unpin(self.start) }
    }
}

/// Copies to device memory in chunks and waits for the last.
pub fn upload(
    device: &mut CudaDevice,
    to: &Mapped,
    from: &[u8],
    chunk_bytes: usize,
) -> Result<(), DeviceFault> {
    let queued = queue_in(device, to, from, chunk_bytes);
    device.lane(Lane::In).synchronize().and(queued)
}

/// Copies from device memory in chunks and waits for the last.
pub fn download(
    device: &mut CudaDevice,
    into: &mut [u8],
    from: &Mapped,
    chunk_bytes: usize,
) -> Result<(), DeviceFault> {
    let queued = queue_out(device, into, from, chunk_bytes);
    device.lane(Lane::Out).synchronize().and(queued)
}

/// Both at once.
pub fn exchange(
    device: &mut CudaDevice,
    (to, from): (&Mapped, &[u8]),
    (into, source): (&mut [u8], &Mapped),
    chunk_bytes: usize,
) -> Result<(), DeviceFault> {
    let queued = queue_in(device, to, from, chunk_bytes)
        .and_then(|()| queue_out(device, into, source, chunk_bytes));
    let ended = device.lane(Lane::In).synchronize();
    device.lane(Lane::Out).synchronize().and(ended).and(queued)
}

/// The caller waits for the lane before it gives up its borrows, whatever this returns.
pub fn queue_in(
    device: &mut CudaDevice,
    to: &Mapped,
    from: &[u8],
    chunk_bytes: usize,
) -> Result<(), DeviceFault> {
    assert!(from.len() as u64 <= to.bytes, "a copy fits into its target");
    (0u64..).step_by(chunk_bytes).zip(from.chunks(chunk_bytes)).try_for_each(|(offset, chunk)| {
        // SAFETY: The range lies in both, as was checked; both stay until the lane was waited for.
        unsafe { device.copy_in(to.start.plus(offset), start_of(chunk), chunk.len()) }
    })
}

/// As [`queue_in`].
pub fn queue_out(
    device: &mut CudaDevice,
    into: &mut [u8],
    from: &Mapped,
    chunk_bytes: usize,
) -> Result<(), DeviceFault> {
    assert!(into.len() as u64 <= from.bytes, "a copy fits into its target");
    (0u64..).step_by(chunk_bytes).zip(into.chunks_mut(chunk_bytes)).try_for_each(
        |(offset, chunk)| {
            let start = NonNull::from(&mut *chunk).cast();
            // SAFETY: As in `queue_in`; `into` is exclusive.
            unsafe { device.copy_out(start, from.start.plus(offset), chunk.len()) }
        },
    )
}

/// The first byte.
pub fn start_of(bytes: &[u8]) -> NonNull<u8> {
    NonNull::from(bytes).cast()
}
