//! `Engine`: what a program calls, from any thread. Floor: roof.

use super::{
    EngineError, GroupId, Host, HostCopy, Lease, Loss, Settings, Stats, Ticket, host::Described,
    memory::Home, thread::Shared,
};
use crate::{
    device::{Device, DeviceFault},
    distance::{NextUse, Source},
    planner::{Handle, Place},
    policy::Policy,
    state::{AgentId, AgentState},
};
use alloc::{boxed::Box, sync::Arc, vec::Vec};
use std::{
    sync::{Mutex, PoisonError, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

/// Keeps the right states on a device: one thread, called from any other. Clones are the same engine; the
/// last one that is dropped stops it. See the [module's documentation](super).
pub struct Engine<D: Device + Send + 'static> {
    inner: Arc<Inner<D>>,
}

struct Inner<D: Device + Send + 'static> {
    shared: Arc<Shared<D>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl<D: Device + Send + 'static> Clone for Engine<D> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<D: Device + Send + 'static> core::fmt::Debug for Engine<D> {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.debug_struct("Engine").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl<D: Device + Send + 'static> Engine<D> {
    /// Starts the thread and makes the device its own.
    ///
    /// # Errors
    /// [`EngineError::BadSettings`]; [`EngineError::NoThread`]; the device can't be used.
    pub fn start(
        mut device: D,
        policy: Box<dyn Policy>,
        settings: Settings,
    ) -> Result<Self, EngineError> {
        let (reply, answer) = mpsc::sync_channel(1);
        let run = move || {
            let owned = device.own_thread().map_err(EngineError::from);
            match owned.and_then(|()| Host::new(device, policy, settings)) {
                Ok(host) => {
                    let shared = Arc::new(Shared::new(host));
                    if reply.send(Ok(Arc::clone(&shared))).is_ok() {
                        shared.run();
                    }
                }
                Err(error) => drop(reply.send(Err(error))),
            }
        };
        let builder = thread::Builder::new().name("ace-alloc-cuda".into());
        let thread = builder.spawn(run).map_err(|_| EngineError::NoThread)?;
        let shared = answer.recv().map_err(|_| EngineError::Died)??;
        Ok(Self { inner: Arc::new(Inner { shared, thread: Mutex::new(Some(thread)) }) })
    }

    fn with<R>(
        &self,
        call: impl FnOnce(&mut Host<D>) -> Result<R, EngineError>,
    ) -> Result<R, EngineError> {
        self.inner.shared.with(call)
    }

    /// Takes a state into its care. The state is described once, now.
    ///
    /// # Errors
    /// [`EngineError::BadSize`]; [`EngineError::TooLarge`] for the device; [`EngineError::OutOfHostMemory`];
    /// [`EngineError::Stopped`]; [`EngineError::Died`].
    pub fn register(
        &self,
        state: &dyn AgentState,
        copy: HostCopy<'_>,
    ) -> Result<Handle, EngineError> {
        let described = Described::of(state);
        let home = match copy {
            HostCopy::Borrowed(borrowed) => borrowed.home(),
            HostCopy::Kept => self.new_home(described.own_bytes, None)?,
            HostCopy::KeptFrom(contents) => self.new_home(described.own_bytes, Some(contents))?,
        };
        self.with(|host| host.register_at(described, home))
    }

    /// Contents are copied by the caller, so that nobody else waits for it.
    fn new_home(&self, bytes: u64, contents: Option<&[u8]>) -> Result<Home, EngineError> {
        if contents.is_some_and(|contents| contents.len() as u64 != bytes) {
            return Err(EngineError::BadSize);
        }
        let mut home = self.inner.shared.errand(move |host| host.home(bytes))?;
        home.fill(contents)?;
        Ok(home)
    }

    /// Forgets a state, and waits until its memory, also the caller's, is left alone. Who waits for it is
    /// refused.
    ///
    /// # Errors
    /// [`EngineError::UnknownState`]; [`EngineError::InUse`]; [`EngineError::Stopped`];
    /// [`EngineError::Died`].
    pub fn unregister(&self, state: Handle) -> Result<(), EngineError> {
        self.with(|host| host.unregister(state))?;
        self.inner.shared.wait_released(|host| !host.holds(state))
    }

    /// Asks for states that an agent needs together, and returns at once: loads are on their way while the
    /// caller does something else.
    ///
    /// # Errors
    /// As [`Host::request`]; [`EngineError::Died`].
    pub fn request(&self, agent: AgentId, states: &[Handle]) -> Result<Ticket<D>, EngineError> {
        let group: GroupId = self.with(|host| host.request(agent, states))?;
        Ok(Ticket::new(Arc::clone(&self.inner.shared), group, states.to_vec()))
    }

    /// Waits for states that an agent needs together. No two callers can wait for each other, as long as
    /// none holds a lease while it waits for another.
    ///
    /// # Errors
    /// As [`Self::request`] and [`Ticket::wait`].
    pub fn acquire(&self, agent: AgentId, states: &[Handle]) -> Result<Lease<D>, EngineError> {
        self.request(agent, states)?.wait()
    }

    /// As [`Self::acquire`], for a limited time.
    ///
    /// # Errors
    /// As [`Self::request`] and [`Ticket::wait_timeout`].
    pub fn acquire_timeout(
        &self,
        agent: AgentId,
        states: &[Handle],
        time: Duration,
    ) -> Result<Lease<D>, EngineError> {
        self.request(agent, states)?.wait_timeout(time)
    }

    /// As [`Self::acquire`] if that need not wait; nothing is set in motion otherwise.
    ///
    /// # Errors
    /// As [`Self::request`]; [`EngineError::WouldBlock`].
    pub fn try_acquire(&self, agent: AgentId, states: &[Handle]) -> Result<Lease<D>, EngineError> {
        let group = self.with(|host| {
            if host.is_ready(agent, states)? {
                host.request(agent, states)
            } else {
                Err(EngineError::WouldBlock)
            }
        })?;
        let ticket = Ticket::new(Arc::clone(&self.inner.shared), group, states.to_vec());
        ticket.poll()?.map_err(|_| EngineError::WouldBlock)
    }

    /// A step begins. See [`Host::step`].
    ///
    /// # Errors
    /// [`EngineError::PastStep`]; [`EngineError::Stopped`]; [`EngineError::Died`].
    pub fn step(&self, step: u64) -> Result<(), EngineError> {
        self.with(|host| host.step(step))
    }

    /// A source predicts when an agent is used next; [`NextUse::UNKNOWN`] takes a prediction back.
    ///
    /// # Errors
    /// [`EngineError::PastHint`]; [`EngineError::UnknownAgent`]; [`EngineError::Stopped`];
    /// [`EngineError::Died`].
    pub fn expect(
        &self,
        agent: AgentId,
        source: Source,
        next_use: NextUse,
    ) -> Result<(), EngineError> {
        self.expect_all(&[(agent, source, next_use)])
    }

    /// See [`Host::expect_all`].
    ///
    /// # Errors
    /// As [`Self::expect`].
    pub fn expect_all(&self, hints: &[(AgentId, Source, NextUse)]) -> Result<(), EngineError> {
        self.with(|host| host.expect_all(hints))
    }

    /// See [`Host::pin`].
    ///
    /// # Errors
    /// As there; [`EngineError::Stopped`]; [`EngineError::Died`].
    pub fn pin(&self, state: Handle) -> Result<(), EngineError> {
        self.with(|host| host.pin(state))
    }

    /// See [`Host::unpin`].
    ///
    /// # Errors
    /// As there; [`EngineError::Stopped`]; [`EngineError::Died`].
    pub fn unpin(&self, state: Handle) -> Result<(), EngineError> {
        self.with(|host| host.unpin(state))
    }

    /// See [`Host::retain`].
    ///
    /// # Errors
    /// As there; [`EngineError::Stopped`]; [`EngineError::Died`].
    pub fn retain(&self, state: Handle, until_step: u64) -> Result<(), EngineError> {
        self.with(|host| host.retain(state, until_step))
    }

    /// See [`Host::prefetch`].
    ///
    /// # Errors
    /// As there; [`EngineError::Stopped`]; [`EngineError::Died`].
    pub fn prefetch(&self, state: Handle) -> Result<(), EngineError> {
        self.with(|host| host.prefetch(state))
    }

    /// See [`Host::cancel`].
    ///
    /// # Errors
    /// As there; [`EngineError::Stopped`]; [`EngineError::Died`].
    pub fn cancel(&self, state: Handle) -> Result<(), EngineError> {
        self.with(|host| host.cancel(state))
    }

    /// See [`Host::demote`].
    ///
    /// # Errors
    /// As there; [`EngineError::Stopped`]; [`EngineError::Died`].
    pub fn demote(&self, state: Handle) -> Result<(), EngineError> {
        self.with(|host| host.demote(state))
    }

    /// See [`Host::share`].
    ///
    /// # Errors
    /// As there; [`EngineError::Stopped`]; [`EngineError::Died`].
    pub fn share(&self, state: Handle, agent: AgentId) -> Result<(), EngineError> {
        self.with(|host| host.share(state, agent))
    }

    /// See [`Host::unshare`].
    ///
    /// # Errors
    /// As there; [`EngineError::Stopped`]; [`EngineError::Died`].
    pub fn unshare(&self, state: Handle, agent: AgentId) -> Result<(), EngineError> {
        self.with(|host| host.unshare(state, agent))
    }

    /// See [`Host::accept_loss`].
    ///
    /// # Errors
    /// As there; [`EngineError::Stopped`]; [`EngineError::Died`].
    pub fn accept_loss(&self, state: Handle) -> Result<(), EngineError> {
        self.with(|host| host.accept_loss(state))
    }

    /// See [`Host::losses`].
    ///
    /// # Errors
    /// [`EngineError::Stopped`]; [`EngineError::Died`].
    pub fn losses(&self) -> Result<Vec<Loss>, EngineError> {
        self.with(|host| Ok(host.losses()))
    }

    /// See [`Host::set_budget`].
    ///
    /// # Errors
    /// [`EngineError::Stopped`]; [`EngineError::Died`].
    pub fn set_budget(&self, bytes: u64) -> Result<(), EngineError> {
        self.with(|host| {
            host.set_budget(bytes);
            Ok(())
        })
    }

    /// See [`Host::write_host`].
    ///
    /// # Errors
    /// As there; [`EngineError::Stopped`]; [`EngineError::Died`].
    pub fn write_host(&self, state: Handle, offset: u64, from: &[u8]) -> Result<(), EngineError> {
        self.with(|host| host.write_host(state, offset, from))
    }

    /// See [`Host::read_host`].
    ///
    /// # Errors
    /// As there; [`EngineError::Stopped`]; [`EngineError::Died`].
    pub fn read_host(
        &self,
        state: Handle,
        offset: u64,
        into: &mut [u8],
    ) -> Result<(), EngineError> {
        self.with(|host| host.read_host(state, offset, into))
    }

    /// See [`Host::place`].
    ///
    /// # Errors
    /// As there; [`EngineError::Stopped`]; [`EngineError::Died`].
    pub fn place(&self, state: Handle) -> Result<Place, EngineError> {
        self.with(|host| host.place(state))
    }

    /// See [`Host::stats`].
    ///
    /// # Errors
    /// [`EngineError::Stopped`]; [`EngineError::Died`].
    pub fn stats(&self) -> Result<Stats, EngineError> {
        self.with(|host| Ok(host.stats()))
    }

    /// See [`Host::restore`].
    ///
    /// # Errors
    /// As there; [`EngineError::Stopped`]; [`EngineError::Died`].
    pub fn restore(
        &self,
        open: impl FnOnce() -> Result<D, DeviceFault> + Send + 'static,
    ) -> Result<(), EngineError> {
        self.inner.shared.errand(move |host| host.restore(open))
    }

    /// Refuses who waits, and waits until copies under way have ended and all memory is given back.
    ///
    /// # Errors
    /// [`EngineError::InUse`]: leases are held; the engine ends with the last of them.
    /// [`EngineError::Died`].
    pub fn stop(&self) -> Result<(), EngineError> {
        self.inner.stop()
    }
}

impl<D: Device + Send + 'static> Inner<D> {
    fn stop(&self) -> Result<(), EngineError> {
        let leases = self.shared.with_desk(|desk| {
            desk.stopping = true;
            let host = desk.host.as_mut().ok_or(EngineError::Stopped)?;
            host.close();
            Ok(host.leases())
        });
        match leases {
            Ok(0) | Err(EngineError::Stopped) => {}
            Ok(_) => return Err(EngineError::InUse),
            Err(error) => return Err(error),
        }
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        thread.take().map_or(Ok(()), |thread| thread.join().map_err(|_| EngineError::Died))
    }
}

impl<D: Device + Send + 'static> Drop for Inner<D> {
    fn drop(&mut self) {
        // If leases are held, the thread ends with the last of them.
        let _ = self.stop();
    }
}
