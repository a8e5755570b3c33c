//! A device as the engine sees it: [`Device`], implemented by `driver::CudaDevice` and, in tests, by a
//! model. Floor: lift.
//!
//! Verbs at this boundary: reserve and release addresses, create and destroy physical memory, map and
//! unmap it, pin and unpin host memory, copy in and out, mark and poll.
//!
//! The host never dereferences a [`DeviceAddress`].

use core::{fmt, ptr::NonNull};

/// A byte of device memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct DeviceAddress(pub u64);

impl DeviceAddress {
    /// So many bytes further on.
    #[must_use]
    pub const fn plus(self, bytes: u64) -> Self {
        Self(self.0 + bytes)
    }
}

/// What a device says of its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceMemory {
    /// Free now, for everybody.
    pub free_bytes: u64,
    /// All there is.
    pub total_bytes: u64,
}

/// Why a device did not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceFault {
    /// There is no memory of the kind that was asked for. Nothing was changed.
    OutOfMemory,
    /// The device, or the context on it, is gone with all that was there; every further call fails.
    Lost {
        /// The function that said so first.
        call: &'static str,
        /// The device's own number for it.
        code: u32,
    },
    /// Anything else. Nothing was changed.
    Refused {
        /// The function that failed.
        call: &'static str,
        /// The device's own number for it.
        code: u32,
    },
}

impl fmt::Display for DeviceFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfMemory => write!(out, "the device is out of memory"),
            Self::Lost { call, code } => write!(out, "the device is lost: {call} gave {code}"),
            Self::Refused { call, code } => write!(out, "{call} failed with {code}"),
        }
    }
}

impl core::error::Error for DeviceFault {}

/// Which way a copy goes. A device has one queue for each; within one, copies end in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// From the host to the device.
    In,
    /// From the device to the host.
    Out,
}

/// A device with memory that can be mapped under addresses that stay.
///
/// # Safety
/// Addresses handed out are unique and stay reserved until released. Memory handed out by [`Device::pin`]
/// is unique, readable and writable until unpinned. A mark is ready only when all that was queued before
/// it has ended.
pub unsafe trait Device {
    /// Physical memory. Dropping it without [`Device::destroy`] leaks it.
    type Block: Send;
    /// A point in a queue of the device.
    type Mark: Send;

    /// Makes the calling thread able to use the device. The thread that drives it calls this first.
    ///
    /// # Errors
    /// The device refuses, or is lost.
    fn attach(&mut self) -> Result<(), DeviceFault>;

    /// The calling thread does this device's work and nobody else's, from now on. So what holds for a whole
    /// thread may be set to suit the device. The engine's thread says so, once, before anything else.
    ///
    /// # Errors
    /// The device refuses, or is lost.
    fn own_thread(&mut self) -> Result<(), DeviceFault> {
        Ok(())
    }

    /// The grain of addresses and physical memory, in bytes: a power of two. 2 MiB is usual.
    fn granularity(&self) -> u64;

    /// How much memory there is.
    ///
    /// # Errors
    /// The device is lost.
    fn memory(&mut self) -> Result<DeviceMemory, DeviceFault>;

    /// Sets addresses aside, a multiple of the granularity; nothing is behind them yet.
    ///
    /// # Errors
    /// No addresses are left, or the device is lost.
    fn reserve(&mut self, bytes: u64) -> Result<DeviceAddress, DeviceFault>;

    /// Gives addresses back.
    ///
    /// # Errors
    /// The device is lost: there are no addresses to give back any more.
    ///
    /// # Safety
    /// They came from `reserve` with this length, nothing is mapped there, and nobody uses them.
    unsafe fn release(&mut self, start: DeviceAddress, bytes: u64) -> Result<(), DeviceFault>;

    /// Physical memory, a multiple of the granularity. Its contents are arbitrary.
    ///
    /// # Errors
    /// [`DeviceFault::OutOfMemory`], or the device is lost.
    fn create(&mut self, bytes: u64) -> Result<Self::Block, DeviceFault>;

    /// Gives physical memory back. It is not mapped.
    ///
    /// # Errors
    /// The device refuses, or is lost; the block is gone either way.
    fn destroy(&mut self, block: Self::Block) -> Result<(), DeviceFault>;

    /// Puts a whole block behind addresses and makes them usable.
    ///
    /// # Errors
    /// Nothing is mapped then.
    ///
    /// # Safety
    /// The addresses are reserved, nothing is mapped there, and the block is mapped nowhere.
    unsafe fn map(&mut self, start: DeviceAddress, block: &Self::Block) -> Result<(), DeviceFault>;

    /// Takes the block, of this size, from behind the addresses.
    ///
    /// # Errors
    /// It is still mapped then, unless the device is lost.
    ///
    /// # Safety
    /// `map` put one block of `bytes` there, and no work on the device touches it any more.
    unsafe fn unmap(&mut self, start: DeviceAddress, bytes: u64) -> Result<(), DeviceFault>;

    /// Host memory that the device copies from and to without the host's help.
    ///
    /// # Errors
    /// [`DeviceFault::OutOfMemory`], or the device is lost.
    fn pin(&mut self, bytes: usize) -> Result<NonNull<u8>, DeviceFault>;

    /// Gives pinned host memory back.
    ///
    /// # Errors
    /// The device is lost. The memory is gone either way.
    ///
    /// # Safety
    /// It came from `pin`, and neither the host nor a copy uses it.
    unsafe fn unpin(&mut self, start: NonNull<u8>) -> Result<(), DeviceFault>;

    /// Queues a copy to the device. From memory that is not pinned it may be made before this returns.
    ///
    /// # Errors
    /// Nothing was queued.
    ///
    /// # Safety
    /// Both sides hold `bytes`, are mapped, and are left alone until a later mark of [`Lane::In`] is ready.
    unsafe fn copy_in(
        &mut self,
        to: DeviceAddress,
        from: NonNull<u8>,
        bytes: usize,
    ) -> Result<(), DeviceFault>;

    /// Queues a copy from the device. To memory that is not pinned it may be made before this returns.
    ///
    /// # Errors
    /// Nothing was queued.
    ///
    /// # Safety
    /// Both sides hold `bytes`, are mapped, and are left alone until a later mark of [`Lane::Out`] is
    /// ready.
    unsafe fn copy_out(
        &mut self,
        to: NonNull<u8>,
        from: DeviceAddress,
        bytes: usize,
    ) -> Result<(), DeviceFault>;

    /// A mark after all copies of a lane so far.
    ///
    /// # Errors
    /// The device refuses, or is lost.
    fn mark(&mut self, lane: Lane) -> Result<Self::Mark, DeviceFault>;

    /// A mark after all work so far on a queue of the caller's: for CUDA, a `CUstream` as a number.
    ///
    /// # Errors
    /// The device refuses, or is lost. A queue that only records its work for later, as a stream of CUDA does
    /// that is capturing, is refused: the mark would never be ready.
    ///
    /// # Safety
    /// The queue exists and belongs to this device's context.
    unsafe fn mark_queue(&mut self, queue: u64) -> Result<Self::Mark, DeviceFault>;

    /// Whether everything before a mark has ended. A mark that is ready is not asked about again.
    ///
    /// # Errors
    /// The device is lost; what was queued will not end.
    fn is_ready(&mut self, mark: &mut Self::Mark) -> Result<bool, DeviceFault>;
}
