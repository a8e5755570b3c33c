//! `Ticket`: a place in the queue. `Lease`: states in use. Floor: third.

use super::{EngineError, thread::Shared, uses::GroupId};
use crate::{
    device::{Device, DeviceAddress},
    planner::Handle,
};
use alloc::{sync::Arc, vec::Vec};
use core::{fmt, mem::ManuallyDrop, ops::Range};
use std::{
    thread,
    time::{Duration, Instant},
};

/// A group, from its request on. Dropping it takes the request back or ends the use.
struct Held<D: Device> {
    shared: Arc<Shared<D>>,
    group: GroupId,
}

impl<D: Device> Drop for Held<D> {
    fn drop(&mut self) {
        // Without a host there is nothing to end.
        let _ = self.shared.with_desk(|desk| {
            desk.waiting.remove(&self.group);
            if let Some(host) = &mut desk.host {
                host.withdraw(self.group);
            }
            Ok(())
        });
    }
}

/// A request that waits for its turn. Dropping it takes the request back.
#[must_use = "dropping a ticket takes the request back"]
pub struct Ticket<D: Device> {
    held: Held<D>,
    states: Vec<Handle>,
}

impl<D: Device> Ticket<D> {
    pub(super) const fn new(shared: Arc<Shared<D>>, group: GroupId, states: Vec<Handle>) -> Self {
        Self { held: Held { shared, group }, states }
    }

    /// The lease if it was granted, the ticket again if it still waits.
    ///
    /// # Errors
    /// Why it was refused.
    pub fn poll(self) -> Result<Result<Lease<D>, Self>, EngineError> {
        match self.held.shared.with(|host| Ok(host.outcome(self.held.group)))? {
            None => Ok(Err(self)),
            Some(Ok(())) => self.lease().map(Ok),
            Some(Err(error)) => Err(error),
        }
    }

    /// Waits until it is granted.
    ///
    /// # Errors
    /// Why it was refused; [`EngineError::Stopped`]; [`EngineError::Died`].
    pub fn wait(self) -> Result<Lease<D>, EngineError> {
        self.wait_until(None)
    }

    /// Waits until it is granted, at most for so long.
    ///
    /// # Errors
    /// As [`Self::wait`]; [`EngineError::TimedOut`]: the request was taken back.
    pub fn wait_timeout(self, time: Duration) -> Result<Lease<D>, EngineError> {
        // What is too long for a clock has no end.
        self.wait_until(Instant::now().checked_add(time))
    }

    fn wait_until(self, until: Option<Instant>) -> Result<Lease<D>, EngineError> {
        let Held { shared, group } = &self.held;
        loop {
            let outcome = shared.with_desk(|desk| {
                let host = desk.host.as_mut().ok_or(EngineError::Stopped)?;
                let outcome = host.outcome(*group);
                if outcome.is_none() {
                    desk.waiting.insert(*group, thread::current());
                }
                Ok(outcome)
            })?;
            match outcome {
                Some(Ok(())) => return self.lease(),
                Some(Err(error)) => return Err(error),
                None => {}
            }
            // May return too early; then the outcome is asked for again.
            match until.map(|until| until.saturating_duration_since(Instant::now())) {
                None => thread::park(),
                Some(Duration::ZERO) => return Err(EngineError::TimedOut),
                Some(left) => thread::park_timeout(left),
            }
        }
    }

    fn lease(self) -> Result<Lease<D>, EngineError> {
        let group = self.held.group;
        let parts = self.held.shared.with(|host| {
            let part = |state: &Handle| {
                let (address, is_fresh) = host.granted_state(group, *state)?;
                Ok(Part { state: *state, address, is_fresh })
            };
            self.states.iter().map(part).collect::<Result<Vec<_>, _>>()
        })?;
        Ok(Lease { held: self.held, parts })
    }
}

impl<D: Device> fmt::Debug for Ticket<D> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Ticket").field("group", &self.held.group).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug)]
struct Part {
    state: Handle,
    address: DeviceAddress,
    is_fresh: bool,
}

/// States in use: they stay on the device, at these addresses, until it is dropped. Drop it when all work on
/// the device that touches them is done, or give it to [`Self::end_after`].
#[must_use = "dropping a lease ends the use"]
pub struct Lease<D: Device> {
    held: Held<D>,
    parts: Vec<Part>,
}

impl<D: Device> Lease<D> {
    fn part(&self, state: Handle) -> Option<&Part> {
        self.parts.iter().find(|part| part.state == state)
    }

    /// Where a state of the lease is; `None` if it has no such state.
    #[must_use]
    pub fn address(&self, state: Handle) -> Option<DeviceAddress> {
        self.part(state).map(|part| part.address)
    }

    /// Whether a state of the lease had memory without contents when it was granted: the user computes them
    /// and says so with [`Self::wrote`]. Several who use it at once agree among themselves who does.
    #[must_use]
    pub fn is_fresh(&self, state: Handle) -> bool {
        self.part(state).is_some_and(|part| part.is_fresh)
    }

    /// The states of the lease.
    pub fn states(&self) -> impl Iterator<Item = Handle> {
        self.parts.iter().map(|part| part.state)
    }

    /// The user writes to a part of a state; before the lease ends, its copy on the host is the older one.
    ///
    /// # Errors
    /// [`EngineError::NotInUse`]; [`EngineError::BadRange`]; [`EngineError::Poisoned`];
    /// [`EngineError::Stopped`].
    pub fn wrote(&self, state: Handle, range: Range<u64>) -> Result<(), EngineError> {
        let group = self.held.group;
        self.held.shared.with(|host| host.wrote(group, state, range))
    }

    /// Ends the use when all work that is queued on a queue of the caller's now is done; for CUDA, a
    /// `CUstream` as a number. Returns when the device has noted it; the queue may be destroyed then.
    ///
    /// # Errors
    /// The device did not note it. The states stay in use: see [`EndAfterError`]. So it is with a stream that
    /// is capturing, whose work has not even begun: end the lease after the graph's launch.
    ///
    /// # Safety
    /// The queue exists and belongs to the device's context, and all work that touches the states is done,
    /// is queued there, or is waited for there. It is not `CU_STREAM_PER_THREAD` (2): that names another queue
    /// on the engine's thread.
    pub unsafe fn end_after(self, queue: u64) -> Result<(), EndAfterError<D>> {
        let group = self.held.group;
        // SAFETY: the caller's promise.
        let answer = self.held.shared.errand(move |host| unsafe { host.end_after(group, queue) });
        match answer {
            // The use is over already, or ends with its mark; either way dropping the lease does nothing.
            Ok(()) | Err(EngineError::Stopped) => Ok(()),
            Err(error) => Err(EndAfterError { error, lease: ManuallyDrop::new(self) }),
        }
    }
}

impl<D: Device> fmt::Debug for Lease<D> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = &self.parts;
        out.debug_struct("Lease").field("group", &self.held.group).field("parts", parts).finish()
    }
}

/// [`Lease::end_after`] failed. Nobody knows when the work ends, so the states stay in use for good if this
/// is dropped: better so than to take memory from under work that goes on.
pub struct EndAfterError<D: Device> {
    error: EngineError,
    lease: ManuallyDrop<Lease<D>>,
}

impl<D: Device> EndAfterError<D> {
    /// Why.
    #[must_use]
    pub const fn error(&self) -> EngineError {
        self.error
    }

    /// The lease: to try again, or to drop when the work is known to be done.
    pub fn into_lease(self) -> Lease<D> {
        ManuallyDrop::into_inner(self.lease)
    }
}

impl<D: Device> fmt::Debug for EndAfterError<D> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("EndAfterError").field("error", &self.error).finish_non_exhaustive()
    }
}

impl<D: Device> fmt::Display for EndAfterError<D> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "the states stay in use: {}", self.error)
    }
}

impl<D: Device> core::error::Error for EndAfterError<D> {}
