//! What a host is told about states and steps, and what it tells. Floor: second.

use super::{EngineError, Loss, Stats, host::Host};
use crate::{
    device::Device,
    distance::{NextUse, Source},
    planner::{Event, Handle, Place},
    state::AgentId,
};
use alloc::vec::Vec;

impl<D: Device> Host<D> {
    fn tell(&mut self, event: Event) -> Result<(), EngineError> {
        self.planner.observe(event)?;
        self.settle();
        Ok(())
    }

    /// A step begins.
    ///
    /// # Errors
    /// [`EngineError::PastStep`].
    pub fn step(&mut self, step: u64) -> Result<(), EngineError> {
        self.planner.observe(Event::Step(step))?;
        self.step = step;
        while let Some((until, state)) = self.retained.first().copied().filter(|it| it.0 <= step) {
            self.retained.remove(&(until, state));
            if let Some(entry) = self.entries.get_mut(&state) {
                entry.retained_until = None;
            }
            self.unclaim(state);
        }
        // After a short window there would be no allowance for a large state, however idle the link is.
        if self.window.length_ns() >= self.settings.window_ns / 4 {
            self.tell_spare();
        }
        self.settle();
        Ok(())
    }

    /// The present step.
    #[must_use]
    pub const fn present_step(&self) -> u64 {
        self.step
    }

    pub(super) fn tell_spare(&mut self) {
        let (spare_ns, bytes_per_second) = (self.window.end(), self.inward_bytes_per_second());
        let _ = self.planner.observe(Event::LinkSpare { spare_ns, bytes_per_second });
    }

    /// A source predicts when an agent is used next; [`NextUse::UNKNOWN`] takes a prediction back.
    ///
    /// # Errors
    /// [`EngineError::PastHint`]; [`EngineError::UnknownAgent`].
    pub fn expect(
        &mut self,
        agent: AgentId,
        source: Source,
        next_use: NextUse,
    ) -> Result<(), EngineError> {
        self.expect_all(&[(agent, source, next_use)])
    }

    /// As [`Self::expect`] for many agents, and faster than one by one. Those before the first that is wrong
    /// were taken.
    ///
    /// # Errors
    /// As [`Self::expect`].
    pub fn expect_all(&mut self, hints: &[(AgentId, Source, NextUse)]) -> Result<(), EngineError> {
        self.restless = true;
        Ok(self.planner.expect_all(hints).map_err(|(_, error)| error)?)
    }

    /// Keeps a state on the device, from when it is there, until as many `unpin`. It claims its memory at
    /// once.
    ///
    /// # Errors
    /// [`EngineError::UnknownState`]; [`EngineError::NoRoom`].
    pub fn pin(&mut self, state: Handle) -> Result<(), EngineError> {
        self.planner.place(state)?;
        if self.entries.get(&state).is_some_and(|entry| entry.pins == 0) {
            self.claim_if_room(state)?;
        }
        if let Some(entry) = self.entries.get_mut(&state) {
            entry.pins += 1;
        }
        self.tell(Event::Pin(state))
    }

    /// Takes one pin back.
    ///
    /// # Errors
    /// [`EngineError::UnknownState`]; [`EngineError::NotPinned`].
    pub fn unpin(&mut self, state: Handle) -> Result<(), EngineError> {
        self.planner.observe(Event::Unpin(state))?;
        if let Some(entry) = self.entries.get_mut(&state) {
            entry.pins -= 1;
            if entry.pins == 0 {
                self.unclaim(state);
            }
        }
        self.settle();
        Ok(())
    }

    /// Keeps a state on the device, from when it is there, until a step begins; a past one takes it back. It
    /// claims its memory at once.
    ///
    /// # Errors
    /// [`EngineError::UnknownState`]; [`EngineError::NoRoom`].
    pub fn retain(&mut self, state: Handle, until_step: u64) -> Result<(), EngineError> {
        self.planner.place(state)?;
        let before = self.entries.get(&state).and_then(|entry| entry.retained_until);
        let until = Some(until_step).filter(|until| *until > self.step);
        match (before, until) {
            (None, Some(_)) => self.claim_if_room(state)?,
            (Some(_), None) => self.unclaim(state),
            _ => {}
        }
        if let Some(before) = before {
            self.retained.remove(&(before, state));
        }
        self.retained.extend(until.map(|until| (until, state)));
        if let Some(entry) = self.entries.get_mut(&state) {
            entry.retained_until = until;
        }
        self.tell(Event::Retain { state, until_step })
    }

    /// Fetch it when nobody waits for anything else.
    ///
    /// # Errors
    /// [`EngineError::UnknownState`].
    pub fn prefetch(&mut self, state: Handle) -> Result<(), EngineError> {
        self.tell(Event::Prefetch(state))
    }

    /// Stop fetching what nobody waits for.
    ///
    /// # Errors
    /// [`EngineError::UnknownState`].
    pub fn cancel(&mut self, state: Handle) -> Result<(), EngineError> {
        self.tell(Event::Cancel(state))
    }

    /// Evict it before all others, unless it is used before.
    ///
    /// # Errors
    /// [`EngineError::UnknownState`].
    pub fn demote(&mut self, state: Handle) -> Result<(), EngineError> {
        self.tell(Event::Demote(state))
    }

    /// One more agent uses the state.
    ///
    /// # Errors
    /// [`EngineError::UnknownState`].
    pub fn share(&mut self, state: Handle, agent: AgentId) -> Result<(), EngineError> {
        self.planner.observe(Event::Share { state, agent })?;
        if let Some(entry) = self.entries.get_mut(&state) {
            entry.owners.insert(agent);
        }
        self.settle();
        Ok(())
    }

    /// An agent uses the state no more; if it waits for it, it is refused.
    ///
    /// # Errors
    /// [`EngineError::UnknownState`]; [`EngineError::NotOwner`].
    pub fn unshare(&mut self, state: Handle, agent: AgentId) -> Result<(), EngineError> {
        self.planner.place(state)?;
        if !self.entries.get_mut(&state).is_some_and(|entry| entry.owners.remove(&agent)) {
            return Err(EngineError::NotOwner { agent, state });
        }
        self.tell(Event::Unshare { state, agent })
    }

    /// A poisoned state goes on with what the host has, which may be nothing.
    ///
    /// # Errors
    /// [`EngineError::UnknownState`]; [`EngineError::NotPoisoned`]; [`EngineError::InUse`];
    /// [`EngineError::DeviceLost`].
    pub fn accept_loss(&mut self, state: Handle) -> Result<(), EngineError> {
        self.tell(Event::AcceptLoss(state))
    }

    /// Another budget; it replaces what was learned when the device had less memory than its budget said.
    pub fn set_budget(&mut self, bytes: u64) {
        self.settings.budget_bytes = bytes;
        // What can't be unmapped is no part of it.
        let _ = self.planner.observe(Event::Budget { bytes });
        self.settle();
    }

    /// Where a state is.
    ///
    /// # Errors
    /// [`EngineError::UnknownState`].
    pub fn place(&self, state: Handle) -> Result<Place, EngineError> {
        Ok(self.planner.place(state)?)
    }

    /// States whose newest contents were on a lost device only, since the last call.
    pub fn losses(&mut self) -> Vec<Loss> {
        core::mem::take(&mut self.losses)
    }

    /// Writes to the host copy.
    ///
    /// # Errors
    /// [`EngineError::UnknownState`]; [`EngineError::BadRange`]; [`EngineError::OnDevice`]: the contents are
    /// not on the host alone.
    pub fn write_host(
        &mut self,
        state: Handle,
        offset_bytes: u64,
        from: &[u8],
    ) -> Result<(), EngineError> {
        let place = self.planner.place(state)?;
        let entry = self.entries.get_mut(&state).ok_or(EngineError::UnknownState)?;
        let offset = usize::try_from(offset_bytes).map_err(|_| EngineError::BadRange)?;
        entry.home.at(offset, from.len()).ok_or(EngineError::BadRange)?;
        if place != Place::HostOnly {
            return Err(EngineError::OnDevice);
        }
        // SAFETY: no command concerns a state that is on the host only, so no copy does.
        unsafe { entry.home.write(offset, from) }
    }

    /// Reads the host copy: the newest contents, or, if those were lost with the device, what there is.
    ///
    /// # Errors
    /// [`EngineError::UnknownState`]; [`EngineError::BadRange`]; [`EngineError::OnDevice`]: the host does not
    /// hold the newest contents.
    pub fn read_host(
        &self,
        state: Handle,
        offset_bytes: u64,
        into: &mut [u8],
    ) -> Result<(), EngineError> {
        let place = self.planner.place(state)?;
        let (version, host_version) = self.planner.versions(state)?;
        let entry = self.entries.get(&state).ok_or(EngineError::UnknownState)?;
        let offset = usize::try_from(offset_bytes).map_err(|_| EngineError::BadRange)?;
        entry.home.at(offset, into.len()).ok_or(EngineError::BadRange)?;
        let is_newest = host_version == Some(version);
        let is_left = place == Place::Poisoned && host_version.is_some();
        if !is_newest && !is_left {
            return Err(EngineError::OnDevice);
        }
        // SAFETY: while a copy from the device is under way, the host has no version.
        unsafe { entry.home.read(offset, into) }
    }

    /// What was done so far, and how it is now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let (inward, outward) = (&self.inward, &self.outward);
        Stats {
            totals: self.planner.totals(),
            states: self.entries.len(),
            waiting_groups: self.uses.waiting(),
            groups_in_use: self.uses.in_use(),
            limit_bytes: self.planner.limit_bytes(),
            claimed_bytes: self.uses.claimed_bytes,
            mapped_bytes: self.pages.mapped_bytes(),
            pooled_bytes: self.pages.pooled_bytes(),
            stranded_bytes: self.stranded_bytes,
            pinned_bytes: self.arena.pinned_bytes(),
            pin_refusals: self.arena.refusals(),
            inward_bytes: inward.meter.carried_bytes(),
            outward_bytes: outward.meter.carried_bytes(),
            inward_bytes_per_second: inward.meter.bytes_per_second(),
            outward_bytes_per_second: outward.meter.bytes_per_second(),
            direct_copies: inward.routes.direct + outward.routes.direct,
            staged_copies: inward.routes.staged + outward.routes.staged,
            pageable_copies: inward.routes.pageable + outward.routes.pageable,
            failures: self.failures,
            is_lost: self.is_lost,
        }
    }

    /// So many states have memory here.
    pub(super) fn states(&self) -> usize {
        self.entries.len()
    }

    /// Grows with everything that ends.
    pub(super) const fn progress(&self) -> u64 {
        self.progress
    }

    /// Groups whose use nobody has ended.
    pub(super) fn leases(&self) -> usize {
        self.uses.leases()
    }
}
