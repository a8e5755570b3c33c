//! Streams, events, copies. Floor: second.

use super::answer;
use crate::code::{INVALID_VALUE, NOT_READY};
use crate::queue::{Engine, Work};
use crate::state::{CAPTURE_MODE, CAPTURE_RELAXED, State, call, call_until};
use std::ffi::c_uint;
use std::ptr;

/// The flags of a stream: non-blocking.
const STREAM_FLAGS: c_uint = 1;
/// The flags of an event: blocking wait, without timing, between processes.
const EVENT_FLAGS: c_uint = 7;
const EVENT_UNTIMED: c_uint = 2;

/// # Safety
/// `stream` is null or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamCreate(stream: *mut *mut u8, flags: c_uint) -> c_uint {
    call("cuStreamCreate", |state| {
        let (device, handle) = (state.device()?, State::handle());
        if flags & !STREAM_FLAGS != 0 {
            return Err(INVALID_VALUE);
        }
        // SAFETY: The caller's promise.
        unsafe { answer(stream, ptr::without_provenance_mut(handle as usize)) }?;
        state.queue.create_stream(device, handle);
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuStreamDestroy_v2(stream: *mut u8) -> c_uint {
    call("cuStreamDestroy_v2", |state| {
        let device = state.device()?;
        state.queue.destroy_stream(device, stream.addr() as u64)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuStreamSynchronize(stream: *mut u8) -> c_uint {
    call_until("cuStreamSynchronize", |state| {
        let device = state.device()?;
        state.queue.tail(device, stream.addr() as u64).copied()
    })
}

/// # Safety
/// `status` is null or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamIsCapturing(stream: *mut u8, status: *mut c_uint) -> c_uint {
    call("cuStreamIsCapturing", |state| {
        let device = state.device()?;
        state.queue.tail(device, stream.addr() as u64)?;
        let found = c_uint::try_from(state.options.capture_status).map_err(|_| INVALID_VALUE)?;
        // SAFETY: The caller's promise.
        unsafe { answer(status, found) }
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuStreamWaitEvent(stream: *mut u8, event: *mut u8, flags: c_uint) -> c_uint {
    call("cuStreamWaitEvent", |state| {
        if flags != 0 {
            return Err(INVALID_VALUE);
        }
        let device = state.device()?;
        state.queue.wait(device, stream.addr() as u64, event.addr() as u64)
    })
}

/// # Safety
/// `mode` is null or may be read and written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuThreadExchangeStreamCaptureMode(mode: *mut c_uint) -> c_uint {
    call("cuThreadExchangeStreamCaptureMode", |_| {
        if mode.is_null() {
            return Err(INVALID_VALUE);
        }
        // SAFETY: The caller's promise.
        let wanted = unsafe { mode.read() };
        if wanted > CAPTURE_RELAXED {
            return Err(INVALID_VALUE);
        }
        // SAFETY: The caller's promise.
        unsafe { mode.write(CAPTURE_MODE.replace(wanted)) };
        Ok(())
    })
}

/// # Safety
/// `event` is null or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuEventCreate(event: *mut *mut u8, flags: c_uint) -> c_uint {
    call("cuEventCreate", |state| {
        state.device()?;
        if flags & !EVENT_FLAGS != 0 {
            return Err(INVALID_VALUE);
        }
        let handle = State::handle();
        // SAFETY: The caller's promise.
        unsafe { answer(event, ptr::without_provenance_mut(handle as usize)) }?;
        state.queue.create_event(handle, flags & EVENT_UNTIMED == 0);
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuEventDestroy_v2(event: *mut u8) -> c_uint {
    call("cuEventDestroy_v2", |state| state.queue.destroy_event(event.addr() as u64))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuEventRecord(event: *mut u8, stream: *mut u8) -> c_uint {
    call("cuEventRecord", |state| {
        let (device, now) = (state.device()?, state.now_ns);
        state.queue.record(event.addr() as u64, device, stream.addr() as u64, now)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuEventQuery(event: *mut u8) -> c_uint {
    call("cuEventQuery", |state| {
        state.spare_captures()?;
        let at = state.queue.fires_at(event.addr() as u64)?;
        if at <= state.now_ns { Ok(()) } else { Err(NOT_READY) }
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuEventSynchronize(event: *mut u8) -> c_uint {
    call_until("cuEventSynchronize", |state| state.queue.fires_at(event.addr() as u64))
}

/// # Safety
/// `milliseconds` is null or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuEventElapsedTime(
    milliseconds: *mut f32,
    start: *mut u8,
    end: *mut u8,
) -> c_uint {
    call("cuEventElapsedTime", |state| {
        let (start, end) = (start.addr() as u64, end.addr() as u64);
        let elapsed = state.queue.elapsed_ns(start, end, state.now_ns)?;
        // SAFETY: The caller's promise.
        unsafe { answer(milliseconds, elapsed as f32 / 1e6) }
    })
}

/// Queues a copy; gives the time until which the caller waits, for memory that is not pinned.
fn copy(
    state: &mut State,
    (to, from, bytes): (u64, u64, u64),
    engine: Engine,
    stream: *mut u8,
) -> Result<u64, u32> {
    let device = state.device()?;
    let (there, host) = if engine == Engine::In { (to, from) } else { (from, to) };
    if !state.memory.is_usable(device, there, bytes) {
        return Err(INVALID_VALUE);
    }
    let is_pinned = state.memory.is_pinned(host, bytes);
    let speed = match engine {
        _ if !is_pinned => state.options.pageable_bytes_per_second,
        Engine::In => state.options.in_bytes_per_second,
        _ => state.options.out_bytes_per_second,
    };
    let lasts = u128::from(bytes) * 1_000_000_000;
    let lasts = lasts.checked_div(u128::from(speed)).unwrap_or(0);
    let times = (state.now_ns, u64::try_from(lasts).map_err(|_| INVALID_VALUE)?);
    let work = Work::Copy { to, from, bytes, engine, is_pinned };
    let end = state.queue.submit((device, stream.addr() as u64), engine, times, work)?;
    Ok(if is_pinned { 0 } else { end })
}

/// # Safety
/// `from` holds `bytes`, is pinned or may be read now, and stays until the copy is done.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyHtoDAsync_v2(
    to: u64,
    from: *const u8,
    bytes: usize,
    stream: *mut u8,
) -> c_uint {
    let from = from.expose_provenance() as u64;
    call_until("cuMemcpyHtoDAsync_v2", |state| {
        copy(state, (to, from, bytes as u64), Engine::In, stream)
    })
}

/// # Safety
/// `to` holds `bytes`, is pinned or may be written to now, and stays until the copy is done.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyDtoHAsync_v2(
    to: *mut u8,
    from: u64,
    bytes: usize,
    stream: *mut u8,
) -> c_uint {
    let to = to.expose_provenance() as u64;
    call_until("cuMemcpyDtoHAsync_v2", |state| {
        copy(state, (to, from, bytes as u64), Engine::Out, stream)
    })
}
