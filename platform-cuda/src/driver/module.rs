//! Kernels: load a module of PTX, look a kernel up, launch it. Floor: ground.

use super::context::{Context, call};
use super::stream::Stream;
use crate::device::{DeviceAddress, DeviceFault};
use core::ffi::{CStr, c_void};
use core::ptr;
use cuda_driver_sys::{CUfunction, CUmodule};
use std::sync::Arc;
use std::vec::Vec;

/// Code on a device.
#[derive(Debug)]
pub struct Module {
    context: Arc<Context>,
    handle: CUmodule,
}

// SAFETY: The driver may be called from any thread with its handles; this one is not dereferenced here.
unsafe impl Send for Module {}
// SAFETY: As above.
unsafe impl Sync for Module {}

impl Module {
    /// Compiles PTX, as text, for the device.
    pub(super) fn load(context: &Arc<Context>, ptx: &CStr) -> Result<Arc<Self>, DeviceFault> {
        let _entered = context.enter()?;
        let mut handle = ptr::null_mut();
        let image = ptx.as_ptr().cast::<c_void>();
        // SAFETY: The image is a C string, as the driver takes PTX, and it writes a handle to a place of
        // ours.
        unsafe { call!(context, module_load_data(&raw mut handle, image)) }?;
        Ok(Arc::new(Self { context: Arc::clone(context), handle }))
    }

    /// The kernel of this name. It keeps the module.
    ///
    /// # Errors
    /// There is none, or the device is lost.
    pub fn function(self: &Arc<Self>, name: &CStr) -> Result<Function, DeviceFault> {
        let _entered = self.context.enter()?;
        let mut handle = ptr::null_mut();
        // SAFETY: The module exists, the name is a C string, the handle goes to a place of ours.
        unsafe {
            call!(self.context, module_get_function(&raw mut handle, self.handle, name.as_ptr()))
        }?;
        Ok(Function { module: Arc::clone(self), handle })
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        let Ok(_entered) = self.context.enter() else { return };
        let handle = self.handle;
        // SAFETY: It exists, its functions are gone, and nobody can name it after this.
        let unload = || unsafe { call!(self.context, module_unload(handle)) };
        // If even a second try is refused, the context keeps it.
        let _ = self.context.insist(unload);
    }
}

/// A kernel.
#[derive(Debug)]
pub struct Function {
    module: Arc<Module>,
    handle: CUfunction,
}

// SAFETY: As of `Module`.
unsafe impl Send for Function {}
// SAFETY: As of `Module`.
unsafe impl Sync for Function {}

/// How many threads run a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Blocks, along each side.
    pub blocks: [u32; 3],
    /// Threads of a block, along each side.
    pub threads: [u32; 3],
}

/// An argument of a kernel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Argument {
    /// `.u32`
    U32(u32),
    /// `.u64`
    U64(u64),
    /// `.f32`
    F32(f32),
    /// `.u64`, an address.
    Address(DeviceAddress),
}

impl Argument {
    /// Where the driver reads it; each kind has its own size.
    fn place(&mut self) -> *mut c_void {
        match self {
            Self::U32(value) => (&raw mut *value).cast(),
            Self::U64(value) => (&raw mut *value).cast(),
            Self::F32(value) => (&raw mut *value).cast(),
            Self::Address(value) => (&raw mut *value).cast(),
        }
    }
}

impl Function {
    /// Queues a run of the kernel.
    ///
    /// # Errors
    /// The device refuses, or is lost. What a kernel does wrong shows in a later call.
    ///
    /// # Safety
    /// The arguments are as many, and of the kinds, as the kernel declares, and it touches only memory that
    /// is mapped, and left alone by others, until the stream has come past it.
    pub unsafe fn launch(
        &self,
        grid: Grid,
        stream: &Stream,
        arguments: &[Argument],
    ) -> Result<(), DeviceFault> {
        let _entered = self.module.context.enter()?;
        let mut arguments = arguments.to_vec();
        let mut places: Vec<_> = arguments.iter_mut().map(Argument::place).collect();
        let ([x, y, z], [wide, high, deep]) = (grid.blocks, grid.threads);
        let (places, none) = (places.as_mut_ptr(), ptr::null_mut());
        // SAFETY: The function and the stream exist. The driver reads each argument during the call; that
        // they fit, and what the kernel does, is the caller's promise.
        unsafe {
            call!(
                self.module.context,
                launch_kernel(
                    self.handle,
                    x,
                    y,
                    z,
                    wide,
                    high,
                    deep,
                    0,
                    stream.handle(),
                    places,
                    none
                )
            )
        }
    }
}
