//! Streams, events, and the pool of events behind marks. Floor: lift.

use super::code::Code;
use super::context::{Context, call};
use crate::device::DeviceFault;
use core::ptr;
use cuda_driver_sys::{CUevent, CUstream};
use std::sync::{Arc, Mutex, PoisonError};
use std::vec::Vec;

/// `CU_STREAM_NON_BLOCKING`: it does not wait for the default stream.
const NON_BLOCKING: u32 = 1;
/// `CU_EVENT_DEFAULT`
const TIMED: u32 = 0;
/// `CU_EVENT_DISABLE_TIMING`: cheaper to record and to ask.
const UNTIMED: u32 = 2;

/// A queue of work on a device. It does not wait for the default stream.
#[derive(Debug)]
pub struct Stream {
    context: Arc<Context>,
    handle: CUstream,
}

// SAFETY: The driver may be called from any thread with its handles; this one is not dereferenced here.
unsafe impl Send for Stream {}
// SAFETY: As above.
unsafe impl Sync for Stream {}

impl Stream {
    pub(super) fn new(context: &Arc<Context>) -> Result<Self, DeviceFault> {
        let _entered = context.enter()?;
        let mut handle = ptr::null_mut();
        // SAFETY: The driver writes a handle to a place of ours.
        unsafe { call!(context, stream_create(&raw mut handle, NON_BLOCKING)) }?;
        Ok(Self { context: Arc::clone(context), handle })
    }

    pub(super) fn handle(&self) -> CUstream {
        self.handle
    }

    /// The `CUstream` as a number, for [`crate::device::Device::mark_queue`] and for other libraries.
    #[must_use]
    pub fn as_queue(&self) -> u64 {
        self.handle.expose_provenance() as u64
    }

    /// Waits until all work so far has ended.
    ///
    /// # Errors
    /// The device is lost.
    pub fn synchronize(&self) -> Result<(), DeviceFault> {
        let _entered = self.context.enter()?;
        // SAFETY: The stream exists.
        unsafe { call!(self.context, stream_synchronize(self.handle)) }
    }

    /// Work that is queued from now on waits for the event as it was last recorded.
    ///
    /// # Errors
    /// The device is lost, or the event is another device's.
    pub fn wait(&self, event: &Event) -> Result<(), DeviceFault> {
        let _entered = self.context.enter()?;
        // SAFETY: Stream and event exist; the flags must be 0.
        unsafe { call!(self.context, stream_wait_event(self.handle, event.handle, 0)) }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let Ok(_entered) = self.context.enter() else { return };
        let handle = self.handle;
        // SAFETY: It exists, and nobody can name it after this.
        let destroy = || unsafe { call!(self.context, stream_destroy(handle)) };
        // What is queued on it still runs. If even a second try is refused, the context keeps it.
        let _ = self.context.insist(destroy);
    }
}

/// A point in a stream.
#[derive(Debug)]
pub struct Event {
    context: Arc<Context>,
    handle: CUevent,
}

// SAFETY: As of `Stream`.
unsafe impl Send for Event {}
// SAFETY: As of `Stream`.
unsafe impl Sync for Event {}

impl Event {
    pub(super) fn new(context: &Arc<Context>, is_timed: bool) -> Result<Self, DeviceFault> {
        let _entered = context.enter()?;
        let mut handle = ptr::null_mut();
        let flags = if is_timed { TIMED } else { UNTIMED };
        // SAFETY: The driver writes a handle to a place of ours.
        unsafe { call!(context, event_create(&raw mut handle, flags)) }?;
        Ok(Self { context: Arc::clone(context), handle })
    }

    /// The event is the point after all work of a stream so far.
    ///
    /// # Errors
    /// The device is lost, or the stream is another device's.
    pub fn record(&self, stream: &Stream) -> Result<(), DeviceFault> {
        let _entered = self.context.enter()?;
        // SAFETY: The stream exists.
        unsafe { self.record_on(stream.handle) }
    }

    /// # Safety
    /// The stream exists.
    unsafe fn record_on(&self, stream: CUstream) -> Result<(), DeviceFault> {
        // SAFETY: The event exists, and by the caller's promise the stream does.
        unsafe { call!(self.context, event_record(self.handle, stream)) }
    }

    /// Whether the work before it has ended.
    ///
    /// # Errors
    /// The device is lost.
    pub fn is_ready(&self) -> Result<bool, DeviceFault> {
        // SAFETY: The event exists.
        match unsafe { call!(self.context, event_query(self.handle)) } {
            Err(DeviceFault::Refused { code, .. }) if Code(code) == Code::NOT_READY => Ok(false),
            other => other.map(|()| true),
        }
    }

    /// Waits until the work before it has ended.
    ///
    /// # Errors
    /// The device is lost.
    pub fn synchronize(&self) -> Result<(), DeviceFault> {
        // SAFETY: The event exists.
        unsafe { call!(self.context, event_synchronize(self.handle)) }
    }

    /// The milliseconds between two events that were recorded and are ready.
    ///
    /// # Errors
    /// One of them was not recorded or is not ready, or the device is lost.
    pub fn milliseconds_since(&self, start: &Self) -> Result<f32, DeviceFault> {
        let mut elapsed = 0.0;
        // SAFETY: The events exist, and the driver writes a number to a place of ours.
        unsafe {
            call!(self.context, event_elapsed_time(&raw mut elapsed, start.handle, self.handle))
        }?;
        Ok(elapsed)
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        let handle = self.handle;
        // SAFETY: It exists, and nobody can name it after this.
        let destroy = || unsafe { call!(self.context, event_destroy(handle)) };
        // As of a stream.
        let _ = self.context.insist(destroy);
    }
}

/// Events that are not in use. A mark takes one and brings it back, so that in the long run none is made.
#[derive(Debug)]
pub(super) struct Pool {
    context: Arc<Context>,
    idle: Mutex<Vec<Event>>,
}

impl Pool {
    pub fn new(context: &Arc<Context>) -> Arc<Self> {
        Arc::new(Self { context: Arc::clone(context), idle: Mutex::new(Vec::new()) })
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Event>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A mark after all work of a stream so far.
    ///
    /// # Safety
    /// The stream exists.
    pub unsafe fn mark(self: &Arc<Self>, stream: CUstream) -> Result<Mark, DeviceFault> {
        let idle = self.idle().pop();
        let event = match idle {
            Some(event) => event,
            None => Event::new(&self.context, false)?,
        };
        let mark = Mark { event: Some(event), pool: Arc::clone(self) };
        // SAFETY: The caller's promise.
        mark.event.iter().try_for_each(|event| unsafe { event.record_on(stream) })?;
        Ok(mark)
    }
}

/// A point in a queue of a [`super::CudaDevice`].
#[derive(Debug)]
pub struct Mark {
    /// Until it was seen ready.
    event: Option<Event>,
    pool: Arc<Pool>,
}

impl Mark {
    pub(super) fn is_ready(&mut self) -> Result<bool, DeviceFault> {
        let Some(event) = &self.event else { return Ok(true) };
        let is_ready = event.is_ready()?;
        if is_ready {
            self.retire();
        }
        Ok(is_ready)
    }

    /// An event that has not fired may be recorded anew, so it goes back in any case.
    fn retire(&mut self) {
        self.pool.idle().extend(self.event.take());
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        self.retire();
    }
}
