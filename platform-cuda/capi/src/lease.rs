//! States in use. Floor: third.

use crate::foreign;
use crate::open::{AceCudaEngine, AceCudaState, ENGINES, Named, Session};
use crate::status::{AceCudaStatus, Failure, answer};
use crate::table::Table;
use ace_alloc_cuda::device::DeviceAddress;
use ace_alloc_cuda::driver::CudaDevice;
use ace_alloc_cuda::engine::Lease;
use ace_alloc_cuda::planner::Handle;
use ace_alloc_cuda::state::AgentId;
use std::ffi::c_void;
use std::mem;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// States in use, by the number of the use. 0 is none.
pub type AceCudaLease = u64;

/// The handle of the stream that is another one on each thread (`CU_STREAM_PER_THREAD` of cuda.h).
const STREAM_PER_THREAD: u64 = 2;

pub static LEASES: Table<Use> = Table::new("lease");

/// What a lease's number stands for. Its tensors hold it too: the use ends with the last of them.
pub struct Use {
    /// `None` when it is over.
    lease: Option<Lease<CudaDevice>>,
    /// The stream after whose work the use ends, if that was left to the last tensor.
    queue: OnceLock<u64>,
    states: Vec<(AceCudaState, Named)>,
    pub session: Arc<Session>,
}

impl Use {
    fn lease(&self) -> Result<&Lease<CudaDevice>, Failure> {
        let over = || Failure::new(AceCudaStatus::NotInUse, "the use is over");
        self.lease.as_ref().ok_or_else(over)
    }

    /// The state of a number, and where it is.
    pub fn state(&self, number: AceCudaState) -> Result<(Named, DeviceAddress), Failure> {
        let named = self.states.iter().find(|(known, _)| *known == number).map(|(_, named)| *named);
        let found =
            named.and_then(|named| Some((named, self.lease().ok()?.address(named.handle)?)));
        found.ok_or_else(|| {
            let message = format_args!("the state {number} is not part of the lease");
            Failure::new(AceCudaStatus::NotInUse, message)
        })
    }

    /// On failure the use goes on.
    ///
    /// # Safety
    /// As [`Lease::end_after`].
    unsafe fn end_after(&mut self, queue: u64) -> Result<(), Failure> {
        let Some(lease) = self.lease.take() else { return Ok(()) };
        // SAFETY: the caller's promise.
        unsafe { lease.end_after(queue) }.map_err(|error| {
            let failure = Failure::from(error.error());
            self.lease = Some(error.into_lease());
            failure
        })
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        let Some(queue) = self.queue.get().copied() else { return };
        // SAFETY: by the promise of `ace_cuda_end_after` the stream is there until now, and what touches the
        // states is queued on it.
        let ended = unsafe { self.end_after(queue) };
        if ended.is_err_and(|failure| failure.status != AceCudaStatus::DeviceLost) {
            // Nobody knows when the work ends: better in use for good than taken from under it.
            mem::forget(self.lease.take());
        }
    }
}

/// Waits until an agent can use all of some states together, and brings those to the device that are not
/// there. All of them are granted or none. They stay at their addresses until the lease ends.
///
/// `timeout_ms`: how long to wait; 0: not at all, and then nothing is set in motion either; negative: for
/// ever. TIMED_OUT when that is over. No two callers wait for each other, as long as none holds a lease
/// while it waits for another.
///
/// Gives the number of the use to `lease`.
///
/// # Safety
/// `states` holds `count` numbers. `lease` may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ace_cuda_acquire(
    engine: AceCudaEngine,
    agent: u64,
    states: *const AceCudaState,
    count: usize,
    timeout_ms: i64,
    lease: *mut AceCudaLease,
) -> AceCudaStatus {
    answer(|| {
        // SAFETY: the caller's promise.
        let place = unsafe { foreign::place(lease, "lease") }?;
        // SAFETY: as above.
        let numbers = unsafe { foreign::list(states, count, "states") }?;
        let session = ENGINES.get(engine)?;
        let named = |number: &AceCudaState| Ok((*number, session.state(*number)?));
        let states: Vec<(AceCudaState, Named)> =
            numbers.iter().map(named).collect::<Result<_, Failure>>()?;
        let handles: Vec<Handle> = states.iter().map(|(_, named)| named.handle).collect();
        let (engine, agent) = (&session.engine, AgentId(agent));
        let lease = match u64::try_from(timeout_ms) {
            Err(_) => engine.acquire(agent, &handles),
            Ok(0) => engine.try_acquire(agent, &handles),
            Ok(ms) => engine.acquire_timeout(agent, &handles, Duration::from_millis(ms)),
        }?;
        let granted = Use { lease: Some(lease), queue: OnceLock::new(), states, session };
        place.write(LEASES.insert(granted));
        Ok(())
    })
}

/// Where a state of a lease is: a CUdeviceptr. The same whenever the state is in use.
///
/// # Safety
/// `address` may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ace_cuda_address(
    lease: AceCudaLease,
    state: AceCudaState,
    address: *mut u64,
) -> AceCudaStatus {
    answer(|| {
        // SAFETY: the caller's promise.
        let place = unsafe { foreign::place(address, "address") }?;
        place.write(LEASES.get(lease)?.state(state)?.1.0);
        Ok(())
    })
}

/// Whether a state of a lease has no contents (1), so that the user computes them and says so with
/// ace_cuda_wrote, or has (0).
///
/// # Safety
/// `is_fresh` may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ace_cuda_is_fresh(
    lease: AceCudaLease,
    state: AceCudaState,
    is_fresh: *mut u32,
) -> AceCudaStatus {
    answer(|| {
        // SAFETY: the caller's promise.
        let place = unsafe { foreign::place(is_fresh, "is_fresh") }?;
        let held = LEASES.get(lease)?;
        let (named, _) = held.state(state)?;
        place.write(u32::from(held.lease()?.is_fresh(named.handle)));
        Ok(())
    })
}

/// The user writes to a part of a state of a lease: it will be copied to the host before the state leaves
/// the device. Say so before the lease ends.
#[unsafe(no_mangle)]
pub extern "C" fn ace_cuda_wrote(
    lease: AceCudaLease,
    state: AceCudaState,
    offset_bytes: u64,
    bytes: u64,
) -> AceCudaStatus {
    answer(|| {
        let held = LEASES.get(lease)?;
        let (named, _) = held.state(state)?;
        let end = offset_bytes.checked_add(bytes);
        let end = end.ok_or_else(|| Failure::argument("the range ends beyond all numbers"))?;
        Ok(held.lease()?.wrote(named.handle, offset_bytes..end)?)
    })
}

/// The state of a number and the address of a part of it.
fn part(
    held: &Use,
    state: AceCudaState,
    offset_bytes: u64,
    bytes: usize,
) -> Result<(Named, DeviceAddress), Failure> {
    let (named, address) = held.state(state)?;
    let end = offset_bytes.checked_add(bytes as u64);
    end.filter(|end| *end <= named.bytes).ok_or_else(|| {
        let all = named.bytes;
        Failure::argument(format_args!("{bytes} bytes at {offset_bytes} are beyond {all}"))
    })?;
    Ok((named, address.plus(offset_bytes)))
}

/// Copies from the host to a part of a state of a lease, and returns when that is done. What ace_cuda_wrote
/// says is said by this, too. For those who have no other means of copying: it is done on a stream of its own,
/// through the driver's buffers.
///
/// # Safety
/// `from` holds so many bytes. No work on the device touches that part meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ace_cuda_copy_in(
    lease: AceCudaLease,
    state: AceCudaState,
    offset_bytes: u64,
    from: *const c_void,
    bytes: usize,
) -> AceCudaStatus {
    answer(|| {
        // SAFETY: the caller's promise.
        let from = unsafe { foreign::list(from.cast::<u8>(), bytes, "from") }?;
        let held = LEASES.get(lease)?;
        let (named, to) = part(&held, state, offset_bytes, bytes)?;
        if from.is_empty() {
            return Ok(());
        }
        // First, so that what is written in part before a failure counts, too.
        let end = offset_bytes.saturating_add(bytes as u64);
        held.lease()?.wrote(named.handle, offset_bytes..end)?;
        // SAFETY: the lease keeps the state's memory mapped while it is held; the rest is the caller's promise.
        held.session.copy(|device| unsafe { device.write(to, from) })
    })
}

/// Copies a part of a state of a lease to the host, and returns when that is done. As ace_cuda_copy_in, for
/// those who have no other means.
///
/// # Safety
/// So many bytes at `into` may be written to. No work on the device writes to that part meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ace_cuda_copy_out(
    lease: AceCudaLease,
    state: AceCudaState,
    offset_bytes: u64,
    into: *mut c_void,
    bytes: usize,
) -> AceCudaStatus {
    answer(|| {
        // SAFETY: the caller's promise.
        let into = unsafe { foreign::bytes_mut(into.cast::<u8>(), bytes, "into") }?;
        let held = LEASES.get(lease)?;
        let (_, from) = part(&held, state, offset_bytes, bytes)?;
        if into.is_empty() {
            return Ok(());
        }
        // SAFETY: as of `ace_cuda_copy_in`.
        held.session.copy(|device| unsafe { device.read(from, into) })
    })
}

/// Ends a use. All work on the device that touches its states is done. If tensors of it live, the use ends
/// with the last of them, and the same holds for the work on those.
#[unsafe(no_mangle)]
pub extern "C" fn ace_cuda_end(lease: AceCudaLease) -> AceCudaStatus {
    answer(|| LEASES.remove(lease).map(drop))
}

/// Ends a use when all work is done that is queued on a CUstream now; NULL is the legacy default stream, and
/// CU_STREAM_PER_THREAD is a BAD_ARGUMENT, because it is another stream on another thread. If tensors of it
/// live, the use ends with the last of them, when all work is done that is queued on the stream by then.
///
/// If the device fails to note it, the lease stays: wait for the work and call ace_cuda_end.
///
/// # Safety
/// The stream is there until this returns, until the last tensor is gone, and until every other call on this
/// lease that is under way on another thread has returned. It belongs to the device's primary context. All
/// work that touches the states is done, is queued on it, or is waited for on it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ace_cuda_end_after(
    lease: AceCudaLease,
    stream: *mut c_void,
) -> AceCudaStatus {
    answer(|| {
        let queue = stream.expose_provenance() as u64;
        if queue == STREAM_PER_THREAD {
            return Err(Failure::argument("CU_STREAM_PER_THREAD is another stream elsewhere"));
        }
        match Arc::try_unwrap(LEASES.remove(lease)?) {
            Ok(mut held) => {
                // SAFETY: the caller's promise.
                let ended = unsafe { held.end_after(queue) };
                if ended.is_err() {
                    LEASES.put_back(lease, held);
                }
                ended
            }
            Err(shared) => {
                // The lease was in the table until now, so nobody has set it.
                let _ = shared.queue.set(queue);
                Ok(())
            }
        }
    })
}
