//! Small blocks of a device's memory, by the core's allocator. Floor: lift.
//!
//! ```text
//!  DeviceHeap      allocate, free, free_after, size_of, stats, trim
//!  late            blocks that are freed before the device is done with them
//!  core            size classes, bitmaps, superslabs, spans, hysteresis: over addresses of the shadow
//!  pages           tables are the host's, blocks are the device's
//!  shadow          host addresses without memory: no block can be touched by mistake
//!  granules        physical memory, mapped where blocks are and given back where none are
//! ```
//!
//! **Beside the residency engine.** Both take memory from one device, each within its own bound:
//! [`Settings::limit_bytes`] here, the engine's budget there. A host divides what the device has between
//! them, and may move the border: [`DeviceHeap::set_limit_bytes`] and [`DeviceHeap::trim`] before the engine's
//! budget grows, or the other way round. States that come and go are the engine's; what stays while they do
//! (page tables of a KV cache, activations, workspaces) is the heap's.
//!
//! **Threads.** All methods may be called from any thread. One lock guards the heap, and the device is
//! called under it when memory is mapped or given back, which is seldom: the core keeps some. The calling
//! thread is attached to the device for that.
//!
//! ```no_run
//! # #[cfg(feature = "driver")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use ace_alloc_cuda::driver::{CudaDevice, Library};
//! use ace_alloc_cuda::heap::{DeviceHeap, Settings};
//!
//! let device = CudaDevice::open(Library::find()?, 0)?;
//! let heap = DeviceHeap::new(device, Settings::new(2 << 30))?;
//! let table = heap.allocate(4096, 256)?;
//! // ... kernels that use it, all of them ended or on one stream ...
//! // SAFETY: no work of the device uses the block any more.
//! unsafe { heap.free(table) }?;
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "driver"))]
//! # fn main() {}
//! ```
//!
//! Addresses of blocks never change. Memory is handed out as it is, with whatever was there before.

mod error;
mod granules;
mod late;
mod pages;
mod shadow;

pub use error::HeapError;

use crate::device::{Device, DeviceAddress};
use ace_alloc::{
    AddressHeap, Dial, Geometry, Misuse, MisuseKind, NoThreads, Platform,
    geometry::Placement,
    ledger::{Imbalance, Ledger},
};
use core::marker::PhantomData;
use late::Late;
use pages::DevicePages;

/// Bytes of a unit.
const UNIT: u64 = DeviceGeometry::UNIT as u64;

/// 32 KiB units: unlike a host's pages, what rounding leaves over in a block is memory all the same, and
/// above the largest class a block is rounded up to units. Superslabs are as large as a usual granule,
/// 2 MiB, so an empty one goes back. Up to 512 GiB of addresses.
struct DeviceGeometry;

impl Geometry for DeviceGeometry {
    const UNIT_SHIFT: u32 = 15;
    const SUPERSLAB_UNITS: u32 = 64;
    const MAX_UNITS: u32 = 1 << 24;
    const MIN_UNITS: u32 = 64;
    const COMMIT_UNITS: u32 = 512;
    // No thread has magazines; these two are of no account here.
    const MAGAZINE_SLOTS: usize = 128;
    const MAGAZINE_BYTES: usize = 512 << 10;
    const MAX_HEAPS: u32 = 1;
    // Slabs have four units: of the next classes, 48 and 56 KiB, they would hold two blocks and a gap.
    const CLASS_MAX: usize = 40 << 10;
    const HUGE_MIN: usize = usize::MAX / 2;
    const PREFIX: Placement = Placement::Table;
}

/// What ties the core to a device of this type.
struct DevicePlatform<D>(PhantomData<D>);

impl<D> DevicePlatform<D> {
    /// 4 KiB on x86_64. Elsewhere the kernel may use up to 64 KiB, and a multiple of the real page size
    /// serves as well.
    const PAGE: usize = if cfg!(target_arch = "x86_64") { 4096 } else { 65536 };
}

impl<D: Device + Send + 'static> Platform for DevicePlatform<D> {
    type Geometry = DeviceGeometry;
    type Pages = DevicePages<D>;
    type Threads = NoThreads;
    type Lock = parking_lot::RawMutex;

    /// At the grain of the kernel's tick, without a system call.
    fn now_ms() -> Option<u64> {
        let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `now` is a valid place for the answer.
        if unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &raw mut now) } != 0 {
            return None;
        }
        let (seconds, nanos) = (u64::try_from(now.tv_sec).ok()?, u64::try_from(now.tv_nsec).ok()?);
        Some(seconds * 1000 + nanos / 1_000_000)
    }

    /// A heap of addresses answers misuse with an error and reports none.
    fn misuse(_: Misuse) {}
}

/// How a heap is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Most bytes of the device's memory that the heap holds.
    pub limit_bytes: u64,
    /// Alignment in bytes of every block, and what sizes are rounded to: a power of two, 16 to 32768. CUDA's
    /// own allocators give 256.
    pub min_align: u64,
    /// Most bytes of addresses to set aside; no more of the heap can ever be in use. Far more than the
    /// limit does no harm and lets large blocks be found among small ones.
    pub range_bytes: u64,
    /// Bytes that are mapped at a time, and given back only together, up to 1 GiB. Raised to what the device
    /// can do.
    pub granule_bytes: u64,
    /// Free bytes that stay mapped, since mapping is slow; or a tenth of what is in use, if that is more. The
    /// core adds what it learns from reuse, and all of it goes when memory runs out.
    pub keep_bytes: u64,
}

impl Settings {
    /// Blocks as CUDA aligns them, within so many bytes of the device's memory.
    #[must_use]
    pub const fn new(limit_bytes: u64) -> Self {
        Self {
            limit_bytes,
            min_align: 256,
            range_bytes: limit_bytes.saturating_mul(4),
            granule_bytes: 0,
            keep_bytes: 16 << 20,
        }
    }
}

/// What a heap holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Blocks in use, and those that wait.
    pub blocks: u64,
    /// Blocks that were freed and wait for a queue of the device.
    pub waiting: u64,
    /// Bytes of them, as [`DeviceHeap::size_of`] tells.
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

impl Stats {
    /// The share of the memory held that is in no block: from 0 to 1.
    #[must_use]
    pub fn fragmentation(&self) -> f64 {
        if self.mapped_bytes == 0 {
            return 0.0;
        }
        1.0 - self.live_bytes as f64 / self.mapped_bytes as f64
    }
}

/// A heap of small blocks in a device's memory. See the module's documentation.
///
/// Dropping it gives all memory back that no block is in. Memory with blocks in it, those that wait among
/// them, and its addresses are left as they are: work of the device may be using them.
pub struct DeviceHeap<D: Device + Send + 'static> {
    heap: AddressHeap<DevicePlatform<D>>,
    min_align: usize,
    late: Late<D::Mark>,
}

impl<D: Device + Send + 'static> DeviceHeap<D> {
    /// A heap that holds nothing yet: the first allocation sets addresses aside.
    ///
    /// # Errors
    /// [`HeapError::Alignment`]: the smallest alignment is not one of those that [`Settings`] names.
    pub fn new(device: D, settings: Settings) -> Result<Self, HeapError> {
        let Settings { limit_bytes, min_align, range_bytes, granule_bytes, keep_bytes } = settings;
        if !min_align.is_power_of_two() || !(16..=UNIT).contains(&min_align) {
            return Err(HeapError::Alignment { align: min_align, most: UNIT });
        }
        let granule =
            granule_bytes.min(1 << 30).next_power_of_two().max(device.granularity()).max(UNIT);
        let most_align = granule.max(DeviceGeometry::SUPERSLAB as u64).max(2 << 20);
        let pages = DevicePages::new(device, granule, limit_bytes, range_bytes, most_align);
        let heap = AddressHeap::new(pages);
        heap.dials().set(Dial::DirtyFloorKib, u32::try_from(keep_bytes >> 10).unwrap_or(u32::MAX));
        let min_align = min_align as usize;
        Ok(Self { heap, min_align, late: Late::new() })
    }

    /// A block of at least `bytes` bytes, aligned to `align`, a power of two.
    ///
    /// # Errors
    /// [`HeapError::ZeroBytes`], [`HeapError::Alignment`] beyond the larger of 2 MiB and a granule,
    /// [`HeapError::OutOfMemory`], and [`HeapError::Device`] if the device fails in another way. Nothing is
    /// changed then, but that what the heap kept has been given back.
    pub fn allocate(&self, bytes: u64, align: u64) -> Result<DeviceAddress, HeapError> {
        let pages = self.heap.pages();
        if bytes == 0 {
            return Err(HeapError::ZeroBytes);
        }
        if !align.is_power_of_two() || align > pages.most_align() {
            return Err(HeapError::Alignment { align, most: pages.most_align() });
        }
        let (Ok(size), Ok(fit)) = (usize::try_from(bytes), usize::try_from(align)) else {
            return Err(HeapError::OutOfMemory { bytes });
        };
        let fit = fit.max(self.min_align);
        let mut block = self.heap.alloc(size, fit);
        if block.is_none() && self.collect(true) {
            block = self.heap.alloc(size, fit);
        }
        block.and_then(|block| pages.to_device(block.address)).ok_or_else(|| {
            let refusal = pages.granules().refusal;
            refusal.map_or(HeapError::OutOfMemory { bytes }, HeapError::Device)
        })
    }

    /// Gives a block back.
    ///
    /// # Errors
    /// [`HeapError::Misuse`]: no live block starts at this address; nothing is changed.
    ///
    /// # Safety
    /// All work of the device that uses the block has ended, and no more will be queued: its memory may
    /// be unmapped at once, or go to somebody else.
    pub unsafe fn free(&self, address: DeviceAddress) -> Result<(), HeapError> {
        if self.late.holds(address) {
            return Err(HeapError::Misuse { kind: MisuseKind::DoubleFree, address });
        }
        // SAFETY: the caller's promise.
        unsafe { self.give_back(address) }
    }

    /// Gives a block back once what has been queued so far on a queue of the caller's has ended. Until then
    /// it counts as in use. It is looked for when the next one comes, when memory runs out, and by
    /// [`Self::trim`].
    ///
    /// # Errors
    /// [`HeapError::Misuse`]: no live block starts at this address. [`HeapError::Device`]: the queue can't be
    /// marked. Nothing is changed then.
    ///
    /// # Safety
    /// The queue (for CUDA, a `CUstream` as a number) exists and belongs to the device's context; no work
    /// on other queues uses the block, and no more will be queued.
    pub unsafe fn free_after(&self, address: DeviceAddress, queue: u64) -> Result<(), HeapError> {
        self.collect(false);
        self.size_of(address)?;
        let marked = self.late.push(address, || {
            // SAFETY: the caller's promise.
            unsafe { self.heap.pages().granules().mark(queue) }
        });
        let again = HeapError::Misuse { kind: MisuseKind::DoubleFree, address };
        marked.ok_or(again)?.map_err(HeapError::Device)
    }

    /// Frees blocks whose queue has got so far: those that came first, or all. Says whether any.
    fn collect(&self, all: bool) -> bool {
        let pages = self.heap.pages();
        let ready = self.late.take_ready(all, |mark| pages.granules().is_ready(mark));
        for address in &ready {
            // It was a live block when it came, and `free` takes none that waits.
            // SAFETY: the promise of the caller of `free_after`, and the queue has got to the mark.
            let _ = unsafe { self.give_back(*address) };
        }
        !ready.is_empty()
    }

    /// # Safety
    /// As for [`Self::free`].
    unsafe fn give_back(&self, address: DeviceAddress) -> Result<(), HeapError> {
        let shadow = self.shadow(address)?;
        let misuse = |kind| HeapError::Misuse { kind, address };
        // SAFETY: the caller's promise.
        unsafe { self.heap.free(shadow) }.map(drop).map_err(misuse)
    }

    fn shadow(&self, address: DeviceAddress) -> Result<usize, HeapError> {
        let foreign = HeapError::Misuse { kind: MisuseKind::Foreign, address };
        self.heap.pages().to_shadow(address).ok_or(foreign)
    }

    /// Bytes of the block at this address: those that were asked for, or a few more.
    ///
    /// # Errors
    /// [`HeapError::Misuse`]: no live block starts at this address.
    pub fn size_of(&self, address: DeviceAddress) -> Result<u64, HeapError> {
        let misuse = |kind| HeapError::Misuse { kind, address };
        self.heap.size_of(self.shadow(address)?).map(|bytes| bytes as u64).map_err(misuse)
    }

    /// Whether the address lies in the range that the heap has set aside.
    pub fn owns(&self, address: DeviceAddress) -> bool {
        self.heap.pages().to_shadow(address).is_some()
    }

    /// Gives free memory back to the device, all but `keep_bytes`. Returns the bytes given back: fewer than
    /// are free if every granule left has a block in it.
    pub fn trim(&self, keep_bytes: u64) -> u64 {
        let before = self.heap.pages().granules().mapped_bytes;
        self.collect(true);
        self.heap.trim(usize::try_from(keep_bytes).unwrap_or(usize::MAX));
        let mut granules = self.heap.pages().granules();
        granules.sweep();
        before.saturating_sub(granules.mapped_bytes)
    }

    /// Moves the bound on the memory that the heap holds. What it holds beyond a lower bound it keeps; see
    /// [`Self::trim`].
    pub fn set_limit_bytes(&self, bytes: u64) {
        self.heap.pages().granules().limit_bytes = bytes;
    }

    /// What the heap holds.
    pub fn stats(&self) -> Stats {
        let live = self.heap.live();
        let granules = self.heap.pages().granules();
        Stats {
            blocks: live.blocks as u64,
            waiting: self.late.count() as u64,
            live_bytes: live.bytes as u64,
            peak_live_bytes: self.heap.peak_bytes() as u64,
            mapped_bytes: granules.mapped_bytes,
            peak_mapped_bytes: granules.peak_bytes,
            limit_bytes: granules.limit_bytes,
            reserved_bytes: self.heap.pages().reserved_bytes(),
        }
    }

    /// Walks the whole heap and holds its tables against its counters. For tests and reports.
    ///
    /// # Errors
    /// The first thing that does not come out.
    pub fn audit(&self) -> Result<Ledger, Imbalance> {
        let ledger = self.heap.ledger();
        ledger.audit().map(|()| ledger)
    }
}

impl<D: Device + Send + 'static> Drop for DeviceHeap<D> {
    fn drop(&mut self) {
        self.trim(0);
    }
}
