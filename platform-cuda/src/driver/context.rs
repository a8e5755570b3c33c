//! A device's primary context. Every call goes through it, so that the first loss is remembered.
//! Floor: lift.

use super::code::{Code, result};
use super::library::Library;
use crate::device::DeviceFault;
use core::ffi::c_uint;
use core::ptr;
use cuda_driver_sys::{CUcontext, CUdevice};
use std::sync::{Arc, OnceLock};

/// A retain of a primary context: the one that CUDA's runtime, and what is built on it, uses too.
#[derive(Debug)]
pub(super) struct Context {
    pub library: Library,
    pub device: CUdevice,
    handle: CUcontext,
    lost: OnceLock<DeviceFault>,
}

// SAFETY: The driver may be called from any thread, with any handle of its own; the handle is not changed
// here, and not dereferenced.
unsafe impl Send for Context {}
// SAFETY: As above.
unsafe impl Sync for Context {}

/// Calls a function of the table, unless the device is lost. The caller stands for the arguments.
macro_rules! call {
    ($context:expr, $name:ident($($argument:expr),* $(,)?)) => {{
        let context: &$crate::driver::context::Context = &$context;
        let entry = &context.library.functions.$name;
        context.ask(entry.symbol, || (entry.function)($($argument),*))
    }};
}
pub(super) use call;

impl Context {
    /// Retains the primary context of a device. It need not be current on any thread.
    pub fn retain(library: Library, device: CUdevice) -> Result<Arc<Self>, DeviceFault> {
        let mut handle = ptr::null_mut();
        let entry = &library.functions.context_retain;
        // SAFETY: The driver writes a handle to a place of ours, and checks the device.
        let got = result(unsafe { (entry.function)(&raw mut handle, device) });
        got.map_err(|code| code.fault(entry.symbol))?;
        Ok(Arc::new(Self { library, device, handle, lost: OnceLock::new() }))
    }

    /// Makes a call and judges what it gave. After a loss nothing is called any more.
    pub fn ask(
        &self,
        symbol: &'static str,
        function: impl FnOnce() -> c_uint,
    ) -> Result<(), DeviceFault> {
        if let Some(lost) = self.lost.get() {
            return Err(*lost);
        }
        result(function()).map_err(|code| self.judge(symbol, code))
    }

    fn judge(&self, symbol: &'static str, code: Code) -> DeviceFault {
        let fault = code.fault(symbol);
        if code.is_loss() { *self.lost.get_or_init(|| fault) } else { fault }
    }

    fn is_lost(&self) -> bool {
        self.lost.get().is_some()
    }

    /// Makes the context current on this thread, for good.
    pub fn attach(&self) -> Result<(), DeviceFault> {
        // SAFETY: The handle is retained.
        unsafe { call!(self, context_set_current(self.handle)) }
    }

    /// Makes the context current on this thread until the guard goes.
    pub fn enter(&self) -> Result<Entered<'_>, DeviceFault> {
        let mut before = ptr::null_mut();
        // SAFETY: The driver writes a handle to a place of ours.
        self.insist(|| unsafe { call!(self, context_get_current(&raw mut before)) })?;
        if before != self.handle {
            self.insist(|| self.attach())?;
        }
        Ok(Entered { context: self, before })
    }

    /// Makes a call that must not be left undone, and makes it once more if it is refused: a refusal did
    /// nothing, and may have been the report of something else.
    pub fn insist(
        &self,
        mut call: impl FnMut() -> Result<(), DeviceFault>,
    ) -> Result<(), DeviceFault> {
        call().or_else(|fault| if self.is_lost() { Err(fault) } else { call() })
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        let entry = &self.library.functions.context_release;
        // SAFETY: It was retained once. Also a lost one is released: that is how it is got rid of.
        let release = || result(unsafe { (entry.function)(self.device) });
        let _ = release().or_else(|_| release());
    }
}

/// A context that is current on this thread for a while.
pub(super) struct Entered<'a> {
    context: &'a Context,
    before: CUcontext,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        if self.before != self.context.handle {
            let set_current = &self.context.library.functions.context_set_current;
            // SAFETY: It was current before, so it is a context or null. Called also after a loss: the
            // other context is not lost.
            let restore = || result(unsafe { (set_current.function)(self.before) });
            let _ = restore().or_else(|_| restore());
        }
    }
}
