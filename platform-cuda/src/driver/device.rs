//! A device of CUDA as the engine sees it. Floor: first.

use super::code::{Code, result};
use super::context::{Context, call};
use super::error::OpenError;
use super::library::Library;
use super::memory::{self, Block};
use super::module::Module;
use super::stream::{Event, Mark, Pool, Stream};
use crate::device::{Device, DeviceAddress, DeviceFault, DeviceMemory, Lane};
use core::ffi::{CStr, c_char, c_int, c_uint, c_void};
use core::ptr::{self, NonNull};
use cuda_driver_sys::CUdevice;
use std::string::String;
use std::sync::Arc;

/// `CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED`
const VIRTUAL_MEMORY: c_int = 102;
/// `CU_MEMHOSTALLOC_PORTABLE`: pinned for all contexts of the process.
const PORTABLE: u32 = 1;
/// `CU_STREAM_CAPTURE_MODE_RELAXED`
const RELAXED: c_uint = 2;

/// A device, by its primary context: the one that CUDA's runtime, and so PyTorch, works in.
///
/// Dropping it gives back what is its own: two streams, the events of its marks, the context once no mark,
/// stream or module of it is left. What was reserved, created, mapped and pinned through it stays.
#[derive(Debug)]
pub struct CudaDevice {
    context: Arc<Context>,
    granularity: u64,
    copies_in: Stream,
    copies_out: Stream,
    marks: Arc<Pool>,
}

impl CudaDevice {
    /// Opens a device by its number, from 0. The thread's current context stays as it is.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(library: Library, ordinal: u32) -> Result<Self, OpenError> {
        let device = find(library, ordinal)?;
        let explain = |fault| match fault {
            DeviceFault::OutOfMemory => OpenError::NoMemory { ordinal },
            DeviceFault::Lost { call, code } | DeviceFault::Refused { call, code } => {
                library.failed(call, Code(code))
            }
        };
        let context = Context::retain(library, device).map_err(explain)?;
        if attribute(&context, VIRTUAL_MEMORY).map_err(explain)? == 0 {
            return Err(OpenError::NoVirtualMemory { ordinal });
        }
        let granularity = memory::granularity(&context).map_err(explain)?;
        let copies_in = Stream::new(&context).map_err(explain)?;
        let copies_out = Stream::new(&context).map_err(explain)?;
        let marks = Pool::new(&context);
        Ok(Self { context, granularity, copies_in, copies_out, marks })
    }

    /// The device's name.
    ///
    /// # Errors
    /// The driver refuses.
    pub fn name(&self) -> Result<String, DeviceFault> {
        let mut name = [0_u8; 128];
        let (start, length) = (name.as_mut_ptr().cast::<c_char>(), name.len() as c_int);
        // SAFETY: The driver writes at most `length` bytes, of which the last is 0.
        unsafe { call!(self.context, device_get_name(start, length, self.context.device)) }?;
        let name = CStr::from_bytes_until_nul(&name).unwrap_or_default();
        Ok(name.to_string_lossy().into_owned())
    }

    /// An attribute by its number in the driver's header (`CUdevice_attribute`).
    ///
    /// # Errors
    /// The driver does not know it.
    pub fn attribute(&self, attribute: i32) -> Result<i32, DeviceFault> {
        self::attribute(&self.context, attribute)
    }

    /// A new queue of work, besides the two for copies.
    ///
    /// # Errors
    /// The device refuses, or is lost.
    pub fn stream(&self) -> Result<Stream, DeviceFault> {
        Stream::new(&self.context)
    }

    /// A new event that keeps the time.
    ///
    /// # Errors
    /// The device refuses, or is lost.
    pub fn event(&self) -> Result<Event, DeviceFault> {
        Event::new(&self.context, true)
    }

    /// The queue of a lane.
    #[must_use]
    pub fn lane(&self, lane: Lane) -> &Stream {
        match lane {
            Lane::In => &self.copies_in,
            Lane::Out => &self.copies_out,
        }
    }

    /// Copies to memory of the device, and returns when that is done. The thread's current context stays as
    /// it is.
    ///
    /// # Errors
    /// The device refuses, or is lost; the memory may be written in part.
    ///
    /// # Safety
    /// So much is mapped there, and nothing else touches it meanwhile.
    pub unsafe fn write(&self, to: DeviceAddress, from: &[u8]) -> Result<(), DeviceFault> {
        let _entered = self.context.enter()?;
        let (start, stream) = (from.as_ptr().cast::<c_void>(), self.copies_in.handle());
        // SAFETY: The caller's promise; `from` is borrowed until the stream is done.
        unsafe { call!(self.context, copy_in(to.0, start, from.len(), stream)) }?;
        self.copies_in.synchronize()
    }

    /// Copies from memory of the device, and returns when that is done. The thread's current context stays
    /// as it is.
    ///
    /// # Errors
    /// The device refuses, or is lost; `into` may be written in part.
    ///
    /// # Safety
    /// So much is mapped there, and nothing else writes to it meanwhile.
    pub unsafe fn read(&self, from: DeviceAddress, into: &mut [u8]) -> Result<(), DeviceFault> {
        let _entered = self.context.enter()?;
        let (start, stream) = (into.as_mut_ptr().cast::<c_void>(), self.copies_out.handle());
        // SAFETY: The caller's promise; `into` is borrowed until the stream is done.
        unsafe { call!(self.context, copy_out(start, from.0, into.len(), stream)) }?;
        self.copies_out.synchronize()
    }

    /// The first half of [`Device::map`], for who wants to [`Self::allow`] several blocks at once.
    ///
    /// # Errors
    /// Nothing is mapped then.
    ///
    /// # Safety
    /// As of [`Device::map`]; and nobody touches it before it is allowed.
    pub unsafe fn place(&self, start: DeviceAddress, block: &Block) -> Result<(), DeviceFault> {
        // SAFETY: The caller's promise.
        unsafe { memory::place(&self.context, start, block) }
    }

    /// The second half of [`Device::map`], of all blocks at these addresses.
    ///
    /// # Errors
    /// They may not be touched then.
    ///
    /// # Safety
    /// Whole blocks were placed there, without a gap.
    pub unsafe fn allow(&self, start: DeviceAddress, bytes: u64) -> Result<(), DeviceFault> {
        // SAFETY: The caller's promise.
        unsafe { memory::allow(&self.context, start, bytes) }
    }

    /// [`Device::unmap`] of several blocks at once.
    ///
    /// # Errors
    /// They are still mapped then, unless the device is lost.
    ///
    /// # Safety
    /// Whole blocks of `bytes` together are there, without a gap, and no work touches them any more.
    pub unsafe fn unmap_all(&self, start: DeviceAddress, bytes: u64) -> Result<(), DeviceFault> {
        // SAFETY: The caller's promise.
        unsafe { memory::unmap(&self.context, start, bytes) }
    }

    /// Compiles PTX for the device.
    ///
    /// # Errors
    /// It does not compile, or the device is lost.
    pub fn module(&self, ptx: &CStr) -> Result<Arc<Module>, DeviceFault> {
        Module::load(&self.context, ptx)
    }
}

/// The driver's handle of a device.
fn find(library: Library, ordinal: u32) -> Result<CUdevice, OpenError> {
    let count = library.device_count()?;
    let number = c_int::try_from(ordinal).ok().filter(|_| ordinal < count);
    let number = number.ok_or(OpenError::NoSuchDevice { ordinal, count })?;
    let mut device = 0;
    let call = &library.functions.device_get;
    // SAFETY: The driver writes a handle to a place of ours.
    let got = result(unsafe { (call.function)(&raw mut device, number) });
    got.map_err(|code| library.failed(call.symbol, code))?;
    Ok(device)
}

fn attribute(context: &Context, attribute: c_int) -> Result<c_int, DeviceFault> {
    let mut value = 0;
    // SAFETY: The driver writes a number to a place of ours, and checks the attribute.
    unsafe { call!(context, device_get_attribute(&raw mut value, attribute, context.device)) }?;
    Ok(value)
}

// SAFETY: The driver hands out no address or memory twice before it was given back, and an event is done
// when all that was queued on its stream before it is.
unsafe impl Device for CudaDevice {
    type Block = Block;
    type Mark = Mark;

    fn attach(&mut self) -> Result<(), DeviceFault> {
        self.context.attach()
    }

    /// While any thread captures a stream in global mode, as PyTorch does, what may not be captured is
    /// refused on all threads and breaks the capture: asking an event, pinning memory. Not so on threads that
    /// are relaxed; what this device is asked to do belongs into nobody's capture.
    fn own_thread(&mut self) -> Result<(), DeviceFault> {
        let mut mode = RELAXED;
        // SAFETY: The driver reads and writes a number at a place of ours.
        unsafe { call!(self.context, thread_exchange_capture_mode(&raw mut mode)) }
    }

    fn granularity(&self) -> u64 {
        self.granularity
    }

    fn memory(&mut self) -> Result<DeviceMemory, DeviceFault> {
        let (mut free, mut total) = (0, 0);
        // SAFETY: The driver writes two numbers to places of ours.
        unsafe { call!(self.context, mem_get_info(&raw mut free, &raw mut total)) }?;
        Ok(DeviceMemory { free_bytes: free as u64, total_bytes: total as u64 })
    }

    fn reserve(&mut self, bytes: u64) -> Result<DeviceAddress, DeviceFault> {
        memory::reserve(&self.context, bytes)
    }

    unsafe fn release(&mut self, start: DeviceAddress, bytes: u64) -> Result<(), DeviceFault> {
        // SAFETY: The caller's promise.
        unsafe { memory::release(&self.context, start, bytes) }
    }

    fn create(&mut self, bytes: u64) -> Result<Block, DeviceFault> {
        memory::create(&self.context, bytes)
    }

    fn destroy(&mut self, block: Block) -> Result<(), DeviceFault> {
        memory::destroy(&self.context, block)
    }

    unsafe fn map(&mut self, start: DeviceAddress, block: &Block) -> Result<(), DeviceFault> {
        // SAFETY: The caller's promise.
        unsafe { memory::map(&self.context, start, block) }
    }

    unsafe fn unmap(&mut self, start: DeviceAddress, bytes: u64) -> Result<(), DeviceFault> {
        // SAFETY: The caller's promise.
        unsafe { memory::unmap(&self.context, start, bytes) }
    }

    fn pin(&mut self, bytes: usize) -> Result<NonNull<u8>, DeviceFault> {
        let mut start = ptr::null_mut();
        // SAFETY: The driver writes a pointer to a place of ours.
        unsafe { call!(self.context, mem_host_alloc(&raw mut start, bytes, PORTABLE)) }?;
        NonNull::new(start.cast()).ok_or(DeviceFault::OutOfMemory)
    }

    unsafe fn unpin(&mut self, start: NonNull<u8>) -> Result<(), DeviceFault> {
        let start = start.as_ptr().cast::<c_void>();
        // SAFETY: By the caller's promise it came from `pin` and is not used any more.
        self.context.insist(|| unsafe { call!(self.context, mem_free_host(start)) })
    }

    unsafe fn copy_in(
        &mut self,
        to: DeviceAddress,
        from: NonNull<u8>,
        bytes: usize,
    ) -> Result<(), DeviceFault> {
        let (from, stream) = (from.as_ptr().cast::<c_void>(), self.copies_in.handle());
        // SAFETY: By the caller's promise both sides hold `bytes` and stay until a later mark is ready.
        unsafe { call!(self.context, copy_in(to.0, from, bytes, stream)) }
    }

    unsafe fn copy_out(
        &mut self,
        to: NonNull<u8>,
        from: DeviceAddress,
        bytes: usize,
    ) -> Result<(), DeviceFault> {
        let (to, stream) = (to.as_ptr().cast::<c_void>(), self.copies_out.handle());
        // SAFETY: By the caller's promise both sides hold `bytes` and stay until a later mark is ready.
        unsafe { call!(self.context, copy_out(to, from.0, bytes, stream)) }
    }

    fn mark(&mut self, lane: Lane) -> Result<Mark, DeviceFault> {
        // SAFETY: The stream is the device's own.
        unsafe { self.marks.mark(self.lane(lane).handle()) }
    }

    unsafe fn mark_queue(&mut self, queue: u64) -> Result<Mark, DeviceFault> {
        let stream = ptr::with_exposed_provenance_mut(queue as usize);
        let mut status = 0;
        // SAFETY: By the caller's promise the stream exists; the driver writes a number to a place of ours.
        unsafe { call!(self.context, stream_is_capturing(stream, &raw mut status)) }?;
        if status != 0 {
            // The event would become part of the capture and never fire.
            let call = self.context.library.functions.stream_is_capturing.symbol;
            return Err(Code::CAPTURING.fault(call));
        }
        // SAFETY: By the caller's promise the stream exists.
        unsafe { self.marks.mark(stream) }
    }

    fn is_ready(&mut self, mark: &mut Mark) -> Result<bool, DeviceFault> {
        mark.is_ready()
    }
}
