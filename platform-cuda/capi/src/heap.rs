//! Small blocks of device memory. Floor: third.

use crate::foreign::{self, Versioned};
use crate::open;
use crate::status::{AceCudaStatus, Failure, answer};
use crate::table::Table;
use ace_alloc_cuda::device::DeviceAddress;
use ace_alloc_cuda::driver::CudaDevice;
use ace_alloc_cuda::heap::{DeviceHeap, Settings};
use std::ffi::c_char;

/// A heap of device memory, by its number. 0 is none.
pub type AceCudaHeap = u64;

static HEAPS: Table<DeviceHeap<CudaDevice>> = Table::new("heap");

/// What a heap holds. Set `size` before the call.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub struct AceCudaHeapStats {
    /// sizeof(struct AceCudaHeapStats).
    pub size: usize,
    /// Blocks in use.
    pub blocks: u64,
    /// Bytes of them.
    pub live_bytes: u64,
    /// Most that ever were in use.
    pub peak_live_bytes: u64,
    /// Bytes of the device's memory that the heap holds.
    pub mapped_bytes: u64,
    /// Most that it ever held.
    pub peak_mapped_bytes: u64,
    /// Most that it may hold.
    pub limit_bytes: u64,
    /// Bytes of addresses set aside.
    pub reserved_bytes: u64,
}

// SAFETY: `repr(C)`, `size` comes first, and every field takes any bytes.
unsafe impl Versioned for AceCudaHeapStats {}

/// Opens a heap of small blocks in a device's memory, beside engines: it holds at most `limit_bytes`.
/// Functions that take a heap may be called from any thread; they may make the device's primary context the
/// calling thread's current one.
///
/// Gives the heap's number to `heap`.
///
/// # Safety
/// `driver` is as in AceCudaSettings. `heap` may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ace_cuda_heap_open(
    driver: *const c_char,
    device: u32,
    limit_bytes: u64,
    heap: *mut AceCudaHeap,
) -> AceCudaStatus {
    answer(|| {
        // SAFETY: the caller's promise.
        let place = unsafe { foreign::place(heap, "heap") }?;
        // SAFETY: as above.
        let driver = unsafe { foreign::text(driver) };
        if limit_bytes == 0 {
            return Err(Failure::argument("limit_bytes is 0"));
        }
        // SAFETY: as above.
        let device = CudaDevice::open(unsafe { open::library(driver) }?, device)?;
        place.write(HEAPS.insert(DeviceHeap::new(device, Settings::new(limit_bytes))?));
        Ok(())
    })
}

/// Closes a heap and gives its memory back. IN_USE while it has blocks in use: it goes on then.
#[unsafe(no_mangle)]
pub extern "C" fn ace_cuda_heap_close(heap: AceCudaHeap) -> AceCudaStatus {
    answer(|| HEAPS.remove_alone(heap, |heap| heap.stats().blocks == 0).map(drop))
}

/// A block of at least `bytes` bytes, aligned to `align`, a power of two; 0: to 256, as CUDA does it. What is
/// in it is arbitrary. Gives its address, a CUdeviceptr, to `address`.
///
/// # Safety
/// `address` may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ace_cuda_heap_alloc(
    heap: AceCudaHeap,
    bytes: u64,
    align: u64,
    address: *mut u64,
) -> AceCudaStatus {
    answer(|| {
        // SAFETY: the caller's promise.
        let place = unsafe { foreign::place(address, "address") }?;
        place.write(HEAPS.get(heap)?.allocate(bytes, align.max(1))?.0);
        Ok(())
    })
}

/// Gives a block back. UNKNOWN_HANDLE if no block in use starts there: freed twice, or another heap's.
///
/// # Safety
/// All work of the device that uses the block has ended.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ace_cuda_heap_free(heap: AceCudaHeap, address: u64) -> AceCudaStatus {
    // SAFETY: the caller's promise.
    answer(|| Ok(unsafe { HEAPS.get(heap)?.free(DeviceAddress(address)) }?))
}

/// Bytes of a block: those that were asked for, or a few more.
///
/// # Safety
/// `bytes` may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ace_cuda_heap_size(
    heap: AceCudaHeap,
    address: u64,
    bytes: *mut u64,
) -> AceCudaStatus {
    answer(|| {
        // SAFETY: the caller's promise.
        let place = unsafe { foreign::place(bytes, "bytes") }?;
        place.write(HEAPS.get(heap)?.size_of(DeviceAddress(address))?);
        Ok(())
    })
}

/// Gives free memory back to the device, all but `keep_bytes`.
#[unsafe(no_mangle)]
pub extern "C" fn ace_cuda_heap_trim(heap: AceCudaHeap, keep_bytes: u64) -> AceCudaStatus {
    answer(|| {
        HEAPS.get(heap)?.trim(keep_bytes);
        Ok(())
    })
}

/// Tells what a heap holds. Fields that this version does not know are set to 0.
///
/// # Safety
/// `stats` holds as many bytes as its field `size` says, and may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ace_cuda_heap_stats(
    heap: AceCudaHeap,
    stats: *mut AceCudaHeapStats,
) -> AceCudaStatus {
    answer(|| {
        let found = HEAPS.get(heap)?.stats();
        let found = AceCudaHeapStats {
            size: size_of::<AceCudaHeapStats>(),
            blocks: found.blocks,
            live_bytes: found.live_bytes,
            peak_live_bytes: found.peak_live_bytes,
            mapped_bytes: found.mapped_bytes,
            peak_mapped_bytes: found.peak_mapped_bytes,
            limit_bytes: found.limit_bytes,
            reserved_bytes: found.reserved_bytes,
        };
        // SAFETY: the caller's promise.
        unsafe { foreign::give_versioned(stats, &found, "stats") }
    })
}
