//! Who is admitted, and what the planner's news mean for groups. Floor: second.
//!
//! A group that waits holds what it was granted so far, so two that each hold a half could wait for each
//! other for ever. Therefore a group is admitted only if all its states fit beside everything that is
//! claimed: by admitted groups, pins and retained states. Then the planner can make room for the whole of
//! each, whatever the order. Who is not admitted holds nothing, and is next in turn.

use super::{
    EngineError, Loss,
    host::Host,
    uses::{Group, GroupId, Phase, Turn},
};
use crate::{
    device::Device,
    planner::{Error, Event, Handle, Refusal, Report},
    state::AgentId,
};
use alloc::vec::Vec;

impl<D: Device> Host<D> {
    /// Something was asked, or something has ended: what follows from it.
    pub(super) fn settle(&mut self) {
        self.restless = true;
        self.go_on();
    }

    /// Goes on until no news leads to more.
    pub(super) fn go_on(&mut self) {
        while self.read_reports() || self.take_back() || self.admit() {}
    }

    pub(super) fn unclaimed_bytes(&self, state: Handle) -> u64 {
        self.entries.get(&state).map_or(0, |e| if e.claims == 0 { e.device_bytes } else { 0 })
    }

    pub(super) fn claim(&mut self, state: Handle) {
        if let Some(entry) = self.entries.get_mut(&state) {
            if entry.claims == 0 {
                self.uses.claimed_bytes += entry.device_bytes;
            }
            entry.claims += 1;
        }
    }

    pub(super) fn unclaim(&mut self, state: Handle) {
        if let Some(entry) = self.entries.get_mut(&state) {
            entry.claims -= 1;
            if entry.claims == 0 {
                self.uses.claimed_bytes -= entry.device_bytes;
            }
        }
    }

    /// Claims a state that is to stay, if there is room for it.
    pub(super) fn claim_if_room(&mut self, state: Handle) -> Result<(), EngineError> {
        let bytes = self.uses.claimed_bytes + self.unclaimed_bytes(state);
        if bytes > self.room_bytes() {
            return Err(EngineError::NoRoom);
        }
        self.claim(state);
        Ok(())
    }

    /// Lets the first group of the queue in. Returns whether something came of it.
    fn admit(&mut self) -> bool {
        let Some(id) = self.uses.queue.first().copied() else { return false };
        let Some(group) = self.uses.groups.get(&id) else { return false };
        let (agent, states) = (group.agent, group.states.clone());
        let bytes = |state: &Handle| self.entries.get(state).map_or(0, |entry| entry.device_bytes);
        let bytes: u64 = states.iter().map(bytes).sum();
        if bytes > self.room_bytes() {
            // It did fit when it was asked for.
            let limit_bytes = self.settings.budget_bytes;
            let is_budget = bytes > limit_bytes;
            let too_large = EngineError::TooLarge { bytes, limit_bytes };
            self.refuse(id, if is_budget { too_large } else { EngineError::OutOfMemory });
            return true;
        }
        let more: u64 = states.iter().map(|state| self.unclaimed_bytes(*state)).sum();
        if self.uses.claimed_bytes + more > self.room_bytes() {
            return false;
        }
        self.uses.queue.remove(&id);
        for state in &states {
            self.claim(*state);
        }
        let missing = states.len();
        if let Some(group) = self.uses.groups.get_mut(&id) {
            group.phase = if missing == 0 { Phase::Granted } else { Phase::Loading(missing) };
        }
        if missing == 0 {
            self.uses.news.push(id);
        } else {
            self.uses.loading.insert(id);
        }
        for state in states {
            match self.planner.observe(Event::Begin { state, agent }) {
                Ok(()) => {
                    if let Some(entry) = self.entries.get_mut(&state) {
                        entry.waiting.push_back(Turn { group: id, agent });
                    }
                }
                Err(Error::Stale | Error::NotOwner) => {
                    self.refuse(id, EngineError::Unregistered);
                    break;
                }
                Err(error) => {
                    self.refuse(id, error.into());
                    break;
                }
            }
        }
        true
    }

    /// Device memory has become less than is claimed: the youngest incomplete group waits once more.
    fn take_back(&mut self) -> bool {
        if self.uses.claimed_bytes <= self.room_bytes() {
            return false;
        }
        let Some(id) = self.uses.loading.last().copied() else { return false };
        let Some(mut group) = self.uses.groups.remove(&id) else { return false };
        self.disband(id, &group);
        group.granted.clear();
        group.phase = Phase::Queued;
        self.uses.groups.insert(id, group);
        self.uses.queue.insert(id);
        true
    }

    /// Gives back what an admitted group has, and what it waits for. What the planner has granted and not
    /// told of yet is given back when it tells.
    fn disband(&mut self, id: GroupId, group: &Group) {
        self.uses.loading.remove(&id);
        for state in &group.states {
            self.unclaim(*state);
            if group.granted.contains(state) {
                let _ = self.planner.observe(Event::End { state: *state });
                continue;
            }
            let Some(entry) = self.entries.get_mut(state) else { continue };
            let Some(at) = entry.waiting.iter().position(|turn| turn.group == id) else { continue };
            let agent = group.agent;
            if self.planner.observe(Event::Withdraw { state: *state, agent }).is_ok() {
                entry.waiting.remove(at);
            }
        }
    }

    /// A group that was not granted never will be.
    pub(super) fn refuse(&mut self, id: GroupId, error: EngineError) {
        let Some(group) = self.uses.groups.remove(&id) else { return };
        match group.phase {
            Phase::Queued => {
                self.uses.queue.remove(&id);
            }
            _ => self.disband(id, &group),
        }
        self.uses.refused.insert(id, error);
        self.uses.news.push(id);
    }

    pub(super) fn refuse_waiting(&mut self, error: EngineError) {
        let waiting = self.uses.groups.iter().filter(|(_, group)| !group.is_in_use());
        for id in waiting.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.refuse(id, error);
        }
    }

    /// A granted use is over now.
    pub(super) fn finish(&mut self, id: GroupId) {
        let Some(group) = self.uses.groups.remove(&id) else { return };
        self.disband(id, &group);
    }

    /// Returns whether there was any news.
    fn read_reports(&mut self) -> bool {
        let mut any = false;
        while let Some(report) = self.planner.report() {
            any = true;
            match report {
                Report::Granted { state, agent, fresh } => self.was_granted(state, agent, fresh),
                // Only this host withdraws, and then it knows.
                Report::Refused { reason: Refusal::Withdrawn, .. } => {}
                Report::Refused { state, agent, reason } => self.was_refused(state, agent, reason),
                Report::Lost { state, id, version, host_version } => {
                    self.losses.push(Loss { state, id, version, host_version });
                }
                Report::Released { state, .. } => self.gone.push(state),
                // Whether anything can go on is seen in each turn.
                Report::Ended { .. } | Report::Blocked { .. } => {}
            }
        }
        any
    }

    /// The first of those who wait for a state in an agent's name. They are granted or refused together.
    fn take_turn(&mut self, state: Handle, agent: AgentId) -> Option<GroupId> {
        let waiting = &mut self.entries.get_mut(&state)?.waiting;
        let at = waiting.iter().position(|turn| turn.agent == agent)?;
        waiting.remove(at).map(|turn| turn.group)
    }

    fn was_granted(&mut self, state: Handle, agent: AgentId, fresh: bool) {
        let id = self.take_turn(state, agent);
        if let Some(entry) = self.entries.get_mut(&state) {
            entry.is_fresh = fresh;
        }
        let group = id.and_then(|id| self.uses.groups.get_mut(&id));
        let Some(Group { granted, phase, .. }) = group else {
            // The group was refused between the grant and the news of it.
            let _ = self.planner.observe(Event::End { state });
            return;
        };
        granted.insert(state);
        if let Phase::Loading(missing) = phase {
            *missing -= 1;
            if *missing == 0 {
                *phase = Phase::Granted;
                if let Some(id) = id {
                    self.uses.loading.remove(&id);
                    self.uses.news.push(id);
                }
            }
        }
    }

    fn was_refused(&mut self, state: Handle, agent: AgentId, reason: Refusal) {
        let Some(id) = self.take_turn(state, agent) else { return };
        let fault = self.entries.get_mut(&state).and_then(|entry| entry.fault.take());
        let error = match (reason, fault) {
            (Refusal::CopyFailed, Some(fault)) => EngineError::from(fault),
            _ => EngineError::from(reason),
        };
        self.refuse(id, error);
    }
}
