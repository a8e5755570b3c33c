//! Uses: groups of states that an agent needs together, from the request to the end. Floor: second.

use super::{EngineError, host::Host};
use crate::{
    device::{Device, DeviceAddress, DeviceFault},
    planner::{Event, Handle, Place, Span},
    state::AgentId,
};
use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use core::ops::Range;

/// A group of states, from its request to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(u64);

/// A `Begin` that the planner has not answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    pub group: GroupId,
    pub agent: AgentId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Queued,
    /// Admitted; so many states are not granted.
    Loading(usize),
    Granted,
    /// Over when a mark is ready.
    Ending,
}

#[derive(Debug)]
pub(super) struct Group {
    pub agent: AgentId,
    pub states: Vec<Handle>,
    pub granted: BTreeSet<Handle>,
    pub phase: Phase,
}

/// A use that is over when the mark is ready.
#[derive(Debug)]
pub(super) struct End<M> {
    pub group: GroupId,
    pub mark: M,
    /// So often the device did not say whether it is.
    pub refusals: u32,
}

#[derive(Debug, Default)]
pub(super) struct Uses {
    pub groups: BTreeMap<GroupId, Group>,
    /// Who is not admitted. Numbers are given in the order in which groups come.
    pub queue: BTreeSet<GroupId>,
    /// Who is admitted and not complete.
    pub loading: BTreeSet<GroupId>,
    /// Why groups were refused, until somebody asks.
    pub refused: BTreeMap<GroupId, EngineError>,
    /// Groups that were granted or refused, until somebody asks.
    pub news: Vec<GroupId>,
    next: u64,
    pub claimed_bytes: u64,
}

impl Uses {
    pub fn waiting(&self) -> usize {
        self.groups.values().filter(|group| !group.is_in_use()).count()
    }

    pub fn in_use(&self) -> usize {
        self.groups.values().filter(|group| group.is_in_use()).count()
    }

    pub fn leases(&self) -> usize {
        self.groups.values().filter(|group| group.phase == Phase::Granted).count()
    }
}

impl Group {
    pub const fn is_in_use(&self) -> bool {
        matches!(self.phase, Phase::Granted | Phase::Ending)
    }
}

impl<D: Device> Host<D> {
    /// What uses may claim.
    pub(super) fn room_bytes(&self) -> u64 {
        self.planner.limit_bytes().saturating_sub(self.stranded_bytes)
    }

    /// Asks for states that an agent needs together. [`Self::outcome`] tells what came of it.
    ///
    /// # Errors
    /// The request can never be granted, and was not taken: [`EngineError::UnknownState`],
    /// [`EngineError::NotOwner`], [`EngineError::Twice`], [`EngineError::TooLarge`],
    /// [`EngineError::Poisoned`], [`EngineError::DeviceLost`], [`EngineError::Stopped`].
    pub fn request(&mut self, agent: AgentId, states: &[Handle]) -> Result<GroupId, EngineError> {
        self.check_request(agent, states)?;
        let id = GroupId(self.uses.next);
        self.uses.next += 1;
        let group = Group {
            agent,
            states: states.to_vec(),
            granted: BTreeSet::new(),
            phase: Phase::Queued,
        };
        self.uses.groups.insert(id, group);
        self.uses.queue.insert(id);
        self.settle();
        Ok(id)
    }

    fn check_request(&self, agent: AgentId, states: &[Handle]) -> Result<(), EngineError> {
        if self.is_closing {
            return Err(EngineError::Stopped);
        }
        let mut seen = BTreeSet::new();
        let mut bytes = 0_u64;
        for state in states {
            let place = self.planner.place(*state)?;
            let entry = self.entries.get(state).ok_or(EngineError::UnknownState)?;
            if !entry.owners.contains(&agent) {
                return Err(EngineError::NotOwner { agent, state: *state });
            }
            if !seen.insert(*state) {
                return Err(EngineError::Twice(*state));
            }
            if place == Place::Poisoned && !self.is_lost {
                return Err(EngineError::Poisoned);
            }
            bytes = bytes.saturating_add(entry.device_bytes);
        }
        if self.is_lost {
            return Err(EngineError::DeviceLost);
        }
        let limit_bytes = self.room_bytes();
        if bytes > limit_bytes {
            return Err(EngineError::TooLarge { bytes, limit_bytes });
        }
        Ok(())
    }

    /// Whether a request would be granted at once, without a copy.
    ///
    /// # Errors
    /// As [`Self::request`].
    pub fn is_ready(&self, agent: AgentId, states: &[Handle]) -> Result<bool, EngineError> {
        self.check_request(agent, states)?;
        let there = |state: &Handle| {
            matches!(self.planner.place(*state), Ok(Place::Resident | Place::InUse(_)))
        };
        let more: u64 = states.iter().map(|state| self.unclaimed_bytes(*state)).sum();
        let fits = self.uses.claimed_bytes + more <= self.room_bytes();
        Ok(self.uses.queue.is_empty() && fits && states.iter().all(there))
    }

    /// What came of a request: `None` as long as it waits. A refusal is told once.
    ///
    /// # Errors
    /// Why it was refused; [`EngineError::NotInUse`]: there is no such group, or it is over.
    pub fn outcome(&mut self, group: GroupId) -> Option<Result<(), EngineError>> {
        if let Some(error) = self.uses.refused.remove(&group) {
            return Some(Err(error));
        }
        match self.uses.groups.get(&group).map(|group| group.phase) {
            None => Some(Err(EngineError::NotInUse)),
            Some(Phase::Granted | Phase::Ending) => Some(Ok(())),
            Some(Phase::Queued | Phase::Loading(_)) => None,
        }
    }

    /// Groups that were granted or refused since the last call.
    pub fn take_news(&mut self) -> Vec<GroupId> {
        core::mem::take(&mut self.uses.news)
    }

    /// Takes a request back, or ends the use if it was granted already.
    pub fn withdraw(&mut self, group: GroupId) {
        match self.uses.groups.get(&group).map(|group| group.phase) {
            Some(Phase::Queued | Phase::Loading(_)) => self.refuse(group, EngineError::NotInUse),
            Some(Phase::Granted) => self.finish(group),
            Some(Phase::Ending) | None => {}
        }
        self.uses.refused.remove(&group);
        self.uses.news.retain(|other| *other != group);
        self.settle();
    }

    fn granted(&self, group: GroupId) -> Result<&Group, EngineError> {
        let found = self.uses.groups.get(&group).filter(|group| group.phase == Phase::Granted);
        found.ok_or(EngineError::NotInUse)
    }

    /// Where a granted state is, and whether its memory has no contents yet, so that they are to be computed.
    /// Of several who use it at once, the first who says that it wrote is the one who computes.
    ///
    /// # Errors
    /// [`EngineError::NotInUse`]; [`EngineError::DeviceLost`] since it was granted.
    pub fn granted_state(
        &self,
        group: GroupId,
        state: Handle,
    ) -> Result<(DeviceAddress, bool), EngineError> {
        let group = self.granted(group)?;
        let is_in = group.granted.contains(&state);
        let entry = self.entries.get(&state).filter(|_| is_in).ok_or(EngineError::NotInUse)?;
        let address = entry.range.start.ok_or(EngineError::DeviceLost)?;
        Ok((address, entry.is_fresh))
    }

    /// The user has written to a part of a granted state.
    ///
    /// # Errors
    /// [`EngineError::NotInUse`]; [`EngineError::BadRange`]; [`EngineError::Poisoned`].
    pub fn wrote(
        &mut self,
        group: GroupId,
        state: Handle,
        range: Range<u64>,
    ) -> Result<(), EngineError> {
        if !self.granted(group)?.granted.contains(&state) {
            return Err(EngineError::NotInUse);
        }
        let entry = self.entries.get_mut(&state).ok_or(EngineError::NotInUse)?;
        if range.is_empty() || range.end > entry.bytes {
            return Err(EngineError::BadRange);
        }
        let span = Span { offset_bytes: range.start, bytes: range.end - range.start };
        self.planner.observe(Event::Wrote { state, span })?;
        entry.is_fresh = false;
        Ok(())
    }

    /// A use is over, and with it all work on the device that touched its states.
    ///
    /// # Errors
    /// [`EngineError::NotInUse`].
    pub fn end(&mut self, group: GroupId) -> Result<(), EngineError> {
        self.granted(group)?;
        self.finish(group);
        self.settle();
        Ok(())
    }

    /// A use is over when all work queued so far on a queue of the caller's is done.
    ///
    /// # Errors
    /// [`EngineError::NotInUse`]; [`EngineError::Device`]: no mark could be set, and the use goes on. So it is
    /// with a stream that is capturing: its work is yet to be launched.
    ///
    /// # Safety
    /// The queue exists and belongs to the device's context, and all work that touches the states is done, is
    /// queued there, or is waited for there. It is not `CU_STREAM_PER_THREAD` (2): that names another queue on
    /// each thread, also on the one that drives the host.
    pub unsafe fn end_after(&mut self, group: GroupId, queue: u64) -> Result<(), EngineError> {
        self.granted(group)?;
        let Some(device) = self.device.as_mut().filter(|_| !self.is_lost) else {
            return self.end(group);
        };
        // SAFETY: the caller's promise.
        let mark = match unsafe { device.mark_queue(queue) } {
            Ok(mark) => mark,
            Err(fault @ DeviceFault::Lost { .. }) => {
                self.lose(fault);
                return self.end(group);
            }
            Err(fault) => return Err(EngineError::Device(fault)),
        };
        if let Some(group) = self.uses.groups.get_mut(&group) {
            group.phase = Phase::Ending;
        }
        self.ends.push(End { group, mark, refusals: 0 });
        Ok(())
    }
}
