//! The stage: a planner beside its shadow model, which checks every action and every piece of news.

use super::shadow::{Plain, Shadow, copy};
use ace_alloc_cuda::{
    planner::{
        Action, CommandId, Error, Event, Fault, Handle, Place, Planner, Refusal, Report, Settings,
        Span, What,
    },
    policy::Policy,
    state::AgentId,
};
use std::collections::{BTreeMap, BTreeSet};

pub const CHUNK_BYTES: u64 = 2;
pub const BUDGET_BYTES: u64 = 12;

/// A planner, its model, and the actions that the device has not answered.
pub struct Stage {
    pub planner: Planner,
    states: BTreeMap<Handle, Shadow>,
    pub given: Vec<Action>,
    ended: BTreeSet<CommandId>,
    device_lost: bool,
    step: u64,
    budget_bytes: u64,
    /// What the device failed to unmap.
    stranded_bytes: u64,
    stamp: u64,
    /// What happened, so that two runs can be compared.
    pub log: Vec<String>,
    pub lost: Vec<Handle>,
    /// So many actions the host takes at a time; the rest waits for the next event.
    pub patience: usize,
    /// Where states have been.
    pub places: Vec<Place>,
}

impl Stage {
    pub fn new(policy: Box<dyn Policy>) -> Self {
        let settings =
            Settings { budget_bytes: BUDGET_BYTES, chunk_bytes: CHUNK_BYTES, chunks_in_flight: 2 };
        Self {
            planner: Planner::new(policy, settings),
            states: BTreeMap::new(),
            given: Vec::new(),
            ended: BTreeSet::new(),
            device_lost: false,
            step: 0,
            budget_bytes: BUDGET_BYTES,
            stranded_bytes: 0,
            stamp: 0,
            log: Vec::new(),
            lost: Vec::new(),
            patience: usize::MAX,
            places: Vec::new(),
        }
    }

    pub fn handles(&self) -> Vec<Handle> {
        let live = self.states.iter().filter(|(_, shadow)| shadow.is_registered);
        live.map(|(handle, _)| *handle).collect()
    }

    fn stamp(&mut self) -> u64 {
        self.stamp += 1;
        self.stamp
    }

    pub fn register(&mut self, plain: &Plain) -> Handle {
        let handle = self.planner.register(plain).expect("a sound description");
        let contents: Vec<u64> = (0..plain.bytes).map(|_| self.stamp()).collect();
        let shadow = Shadow::new(plain, contents);
        assert!(self.states.insert(handle, shadow).is_none(), "a handle was given twice");
        self.follow();
        handle
    }

    pub fn unregister(&mut self, handle: Handle) {
        let in_use = self.states[&handle].users > 0;
        // Marked before, because the news may say at once that it is gone.
        self.state(handle).is_registered = in_use;
        let answer = self.planner.unregister(handle);
        assert_eq!(answer, if in_use { Err(Error::InUse) } else { Ok(()) });
        let after = self.planner.place(handle);
        assert_eq!(after.is_err(), !in_use, "an unregistered handle is stale at once");
        self.follow();
    }

    fn state(&mut self, handle: Handle) -> &mut Shadow {
        self.states.get_mut(&handle).expect("a known state")
    }

    /// Feeds an event and checks all that follows from it.
    pub fn observe(&mut self, event: Event) -> Result<(), Error> {
        let answer = self.planner.observe(event);
        self.log.push(format!("{event:?} -> {answer:?}"));
        if answer.is_ok() {
            match event {
                Event::Step(step) => self.step = step,
                Event::Begin { state, agent } => self.state(state).waiting.push(agent),
                Event::End { state } => self.state(state).users -= 1,
                Event::Wrote { state, span } => self.write(state, span),
                Event::Pin(state) => self.state(state).pins += 1,
                Event::Unpin(state) => self.state(state).pins -= 1,
                Event::Retain { state, until_step } => {
                    self.state(state).retained_until = until_step
                }
                Event::Budget { bytes } => self.budget_bytes = bytes,
                Event::DeviceLost => self.lose_device(),
                Event::DeviceRestored { budget_bytes } => {
                    (self.device_lost, self.budget_bytes) = (false, budget_bytes);
                }
                Event::AcceptLoss(state) => self.accept_loss(state),
                _ => {}
            }
        }
        self.follow();
        answer
    }

    fn write(&mut self, handle: Handle, span: Span) {
        let stamp = self.stamp();
        let state = self.state(handle);
        let device = state.device.as_ref().expect("written where there is memory");
        let truth = state.truth.get_or_insert_with(|| device.clone());
        for at in span.offset_bytes..span.offset_bytes + span.bytes {
            truth[at as usize] = stamp;
            if let Some(device) = &mut state.device {
                device[at as usize] = stamp;
            }
        }
    }

    fn lose_device(&mut self) {
        self.device_lost = true;
        self.stranded_bytes = 0;
        self.given.clear();
        for state in self.states.values_mut() {
            state.device = None;
        }
    }

    fn accept_loss(&mut self, handle: Handle) {
        let host_version = self.planner.versions(handle).expect("registered").1;
        let state = self.state(handle);
        state.truth = host_version.map(|_| state.host.clone());
    }

    /// Takes the planner's actions and news, and holds them against the model.
    fn follow(&mut self) {
        self.read_reports();
        for taken in 0.. {
            if taken == self.patience {
                return;
            }
            let Some(action) = self.planner.decide() else { break };
            self.log.push(format!("{action:?}"));
            assert!(!self.device_lost, "an action for a lost device");
            self.check_action(action);
            self.given.push(action);
            self.read_reports();
        }
        self.read_reports();
        self.check_totals();
    }

    fn check_action(&mut self, action: Action) {
        let limit = self.planner.limit_bytes();
        assert!(limit <= self.budget_bytes);
        let mapped = self.mapped_bytes();
        let busy = self.given.iter().filter(|given| given.state == action.state);
        let busy: Vec<What> = busy.map(|given| given.what).collect();
        let step = self.step;
        let state = self.state(action.state);
        let other = state.command.replace(action.command).filter(|other| *other != action.command);
        assert_eq!(other, None, "invariant 3: a second command");
        match action.what {
            What::Map { bytes } => {
                assert!(mapped + bytes <= limit, "invariant 2: {mapped} + {bytes} > {limit}");
                assert!(state.device.is_none() && busy.is_empty());
                state.is_load = true;
                state.device = Some(vec![u64::MAX; bytes as usize]);
            }
            What::CopyIn(_) => {
                let inward = busy.iter().all(|what| matches!(what, What::CopyIn(_)));
                assert!(inward, "invariant 3: {busy:?}");
            }
            What::CopyOut(_) => {
                let outward = busy.iter().all(|what| matches!(what, What::CopyOut(_)));
                assert!(outward, "invariant 3: {busy:?}");
                state.assert_free(step);
            }
            What::Unmap { .. } => {
                assert!(busy.is_empty(), "invariant 6: {busy:?}");
                state.assert_free(step);
            }
        }
    }

    fn read_reports(&mut self) {
        while let Some(report) = self.planner.report() {
            self.log.push(format!("{report:?}"));
            match report {
                Report::Granted { state, agent, fresh } => self.granted(state, agent, fresh),
                Report::Refused { state, agent, reason } => self.refused(state, agent, reason),
                Report::Ended { command, state, .. } => {
                    assert!(self.ended.insert(command), "invariant 10: {command:?} ended twice");
                    let state = self.state(state);
                    (state.command, state.is_load) = (None, false);
                }
                Report::Blocked { short_bytes, .. } => assert!(short_bytes > 0),
                Report::Lost { state, id, version, host_version } => {
                    assert_eq!(id, self.states[&state].plain.id);
                    assert_ne!(host_version, Some(version), "invariant 9");
                    self.lost.push(state);
                    self.state(state).truth = None;
                }
                Report::Released { state, id } => {
                    let state = self.states.remove(&state).expect("released once");
                    assert!(!state.is_registered && state.plain.id == id);
                    let gone = state.device.is_none() || self.stranded_bytes > 0;
                    assert!(gone && state.waiting.is_empty(), "invariants 6 and 10");
                }
            }
        }
    }

    fn granted(&mut self, handle: Handle, agent: AgentId, fresh: bool) {
        let state = self.state(handle);
        state.stop_waiting(agent);
        state.users += 1;
        let device = state.device.as_ref().expect("granted without memory");
        assert_eq!(fresh, state.truth.is_none());
        if let Some(truth) = &state.truth {
            assert_eq!(truth, device, "invariant 8: wrong contents");
        }
    }

    fn refused(&mut self, handle: Handle, agent: AgentId, reason: Refusal) {
        let limit = self.planner.limit_bytes();
        let state = self.state(handle);
        state.stop_waiting(agent);
        assert!(reason != Refusal::TooLarge || state.plain.bytes > limit);
    }

    /// The device answers one of the actions.
    pub fn apply(&mut self, at: usize, fault: Option<Fault>) {
        let action = self.given.remove(at);
        let stamp = self.stamp();
        let state =
            self.states.get_mut(&action.state).expect("actions are of states that are kept");
        match action.what {
            What::Map { .. } if fault.is_some() => state.device = None,
            What::Map { .. } => {}
            What::CopyIn(span) => {
                let device = state.device.as_mut().expect("mapped");
                copy(&state.host, device, span, fault.map(|_| stamp));
            }
            What::CopyOut(span) => {
                let device = state.device.as_ref().expect("mapped");
                copy(device, &mut state.host, span, fault.map(|_| stamp));
            }
            What::Unmap { bytes } => {
                state.device = None;
                if fault.is_some() {
                    self.stranded_bytes += bytes;
                }
                state.check_given_up();
            }
        }
        let result = fault.map_or(Ok(()), Err);
        let event = Event::Applied { action, result };
        assert_eq!(self.observe(event), Ok(()));
        assert_eq!(self.observe(event), Err(Error::UnknownAction), "an answer counts once");
    }

    fn mapped_bytes(&self) -> u64 {
        let mapped = self.states.values().filter(|state| state.device.is_some());
        mapped.map(|state| state.plain.bytes).sum::<u64>() + self.stranded_bytes
    }

    fn check_totals(&mut self) {
        assert_eq!(self.planner.committed_bytes(), self.mapped_bytes());
        for (handle, state) in self.states.iter().filter(|(_, state)| state.is_registered) {
            let place = self.planner.place(*handle).expect("registered");
            if !self.places.contains(&place) {
                self.places.push(place);
            }
            match place {
                Place::InUse(users) => assert_eq!(users, state.users),
                Place::Poisoned => assert!(state.device.is_none()),
                _ => assert_eq!(state.users, 0, "{place:?}"),
            }
            let there = matches!(place, Place::InUse(_) | Place::Resident);
            assert!(!there || state.device.is_some(), "{place:?} without memory");
            if place == Place::HostOnly {
                assert_eq!(state.truth.as_ref(), Some(&state.host), "invariant 8");
            }
        }
    }

    /// All uses end, nothing is kept, the device does what it is told: then nothing is left to do.
    pub fn wind_down(&mut self) {
        self.patience = usize::MAX;
        if self.device_lost {
            assert_eq!(self.observe(Event::DeviceRestored { budget_bytes: BUDGET_BYTES }), Ok(()));
        }
        assert_eq!(self.observe(Event::Budget { bytes: 1000 }), Ok(()));
        for round in 1..100 {
            for handle in self.handles() {
                while self.states[&handle].pins > 0 {
                    assert_eq!(self.observe(Event::Unpin(handle)), Ok(()));
                }
                while self.states[&handle].users > 0 {
                    assert_eq!(self.observe(Event::End { state: handle }), Ok(()));
                }
            }
            assert_eq!(self.observe(Event::Step(self.step + 100)), Ok(()));
            while !self.given.is_empty() {
                self.apply(0, None);
            }
            let waiting = self.states.values().any(|state| !state.waiting.is_empty());
            if round > 3 && !waiting {
                break;
            }
        }
        for (handle, state) in &self.states {
            assert!(state.waiting.is_empty(), "invariant 10: {handle:?} still waits");
            assert_eq!(state.command, None, "invariant 10: {handle:?}");
            assert!(state.is_registered, "invariant 6: {handle:?} was not released");
        }
    }
}
