//! Agents, what is predicted of them, and how their states follow (invariant 11). Floor: second.
//!
//! Of what the sources say of an agent, the nearest is believed: an agent acts when its plan says so or when
//! something comes near, whichever is first. Not heard are sources that erred by 4 times more than the best of
//! them so far. A prediction whose
//! step passes without a use is put as far ahead as it was made before, so it loses its hold after
//! O(log) corrections.
//!
//! One that came true is spent: at once for the state that was used, since nobody knows when that is used
//! again, and at the end of the step for the agent's other states, which are probably wanted in it, too.

use super::{Error, Planner};
use crate::{
    distance::{NextUse, SOURCES, Source, error_in_256ths},
    order::{Order, Toward},
    state::AgentId,
};
use alloc::vec::Vec;
use hashbrown::HashMap;

/// Twice a factor of two: chosen. A source that is often forestalled by another seems to err by about one.
const UNHEARD_256THS: u32 = 2 << 8;

/// So many predictions are looked at together: chosen; processors have about so many misses under way.
const AT_ONCE: usize = 16;

/// A prediction and the step in which it was made.
type Made = Option<(NextUse, u64)>;

/// An agent's states, by slot: few, or registered one after the other, so new ones come at the end.
#[derive(Debug, Default)]
struct States(Vec<(u32, NextUse)>);

impl States {
    fn find(&self, slot: u32) -> Result<usize, usize> {
        self.0.binary_search_by_key(&slot, |(slot, _)| *slot)
    }

    /// Returns whether it is new.
    fn insert(&mut self, slot: u32, next_use: NextUse) -> bool {
        self.find(slot).map_err(|place| self.0.insert(place, (slot, next_use))).is_err()
    }

    fn remove(&mut self, slot: u32) -> Option<NextUse> {
        self.find(slot).ok().map(|place| self.0.remove(place).1)
    }
}

#[derive(Debug)]
struct Agent {
    id: AgentId,
    /// With the prediction under which the agent stands among each state's owners.
    states: States,
    latest: [NextUse; SOURCES.len()],
    /// The first of each source since the last use: what is measured.
    first: [Made; SOURCES.len()],
    first_believed: Made,
    last_believed: Made,
    believed: NextUse,
    made_at: u64,
    /// It was used in this step, and nobody has said since when it is used again.
    spent: bool,
}

#[derive(Debug)]
pub(super) struct Agents {
    slots: HashMap<AgentId, u32>,
    agents: Vec<Agent>,
    /// Agents of whom something is believed.
    due: Order,
    free: Vec<u32>,
}

impl Default for Agents {
    fn default() -> Self {
        let due = Order::new(Toward::Nearest, 1);
        Self { slots: HashMap::new(), agents: Vec::new(), due, free: Vec::new() }
    }
}

impl Agents {
    fn slot(&mut self, id: AgentId) -> u32 {
        if let Some(slot) = self.slots.get(&id) {
            return *slot;
        }
        let agent = Agent {
            id,
            states: States::default(),
            latest: [NextUse::UNKNOWN; SOURCES.len()],
            first: [None; SOURCES.len()],
            first_believed: None,
            last_believed: None,
            believed: NextUse::UNKNOWN,
            made_at: 0,
            spent: false,
        };
        let slot = if let Some(slot) = self.free.pop() {
            self.agents[slot as usize] = agent;
            slot
        } else {
            self.agents.push(agent);
            u32::try_from(self.agents.len() - 1).expect("fewer than 2^32 agents")
        };
        self.slots.insert(id, slot);
        slot
    }

    pub const fn moves(&self) -> u64 {
        self.due.moves()
    }
}

impl Planner {
    /// An agent owns a state from now on. Nothing changes if it did before.
    pub(super) fn join(&mut self, slot: u32, id: AgentId) {
        let at = self.agents.slot(id);
        let agent = &mut self.agents.agents[at as usize];
        let believed = agent.believed;
        if agent.states.insert(slot, believed) {
            self.records[slot].owners.insert((believed, id));
        }
    }

    /// Returns whether it was an owner.
    pub(super) fn leave(&mut self, slot: u32, id: AgentId) -> bool {
        let Some(at) = self.agents.slots.get(&id).copied() else { return false };
        let agent = &mut self.agents.agents[at as usize];
        let listed = agent.states.remove(slot);
        if let Some(next_use) = listed {
            self.records[slot].owners.remove((next_use, id));
        }
        if agent.states.0.is_empty() {
            self.agents.slots.remove(&id);
            self.agents.due.remove(at);
            self.agents.free.push(at);
        }
        listed.is_some()
    }

    pub(super) fn owns(&self, slot: u32, id: AgentId) -> bool {
        let agent = self.agents.slots.get(&id).map(|at| &self.agents.agents[*at as usize]);
        agent.is_some_and(|agent| agent.states.find(slot).is_ok())
    }

    pub(super) fn expect(
        &mut self,
        id: AgentId,
        source: Source,
        next_use: NextUse,
    ) -> Result<(), Error> {
        let at = self.agents.slots.get(&id).copied().ok_or(Error::UnknownAgent)?;
        self.expect_of(at, source, next_use)
    }

    fn expect_of(&mut self, at: u32, source: Source, next_use: NextUse) -> Result<(), Error> {
        if next_use < NextUse::at(self.step) {
            return Err(Error::PastHint);
        }
        let agent = &mut self.agents.agents[at as usize];
        agent.latest[source as usize] = next_use;
        if next_use.is_known() && agent.first[source as usize].is_none() {
            agent.first[source as usize] = Some((next_use, self.step));
        }
        // What passed without a use was postponed as a whole and counts no more by itself.
        let now = NextUse::at(self.step);
        let is_ahead = |next_use: NextUse| next_use.is_known() && next_use >= now;
        let known = || SOURCES.iter().filter(|source| is_ahead(agent.latest[**source as usize]));
        let least = known().map(|source| self.trust.error(*source)).min().unwrap_or(0);
        let heard = known().filter(|source| self.trust.error(**source) <= least + UNHEARD_256THS);
        let nearest = heard.map(|source| agent.latest[*source as usize]).min();
        let believed = nearest.unwrap_or(NextUse::UNKNOWN);
        agent.spent = false;
        agent.made_at = self.step;
        agent.last_believed = believed.is_known().then_some((believed, self.step));
        if agent.first_believed.is_none() {
            agent.first_believed = agent.last_believed;
        }
        self.believe(at, believed);
        Ok(())
    }

    /// Predictions of many agents, as by [`super::Event::Expect`]; stops at the first that is wrong and tells
    /// its position. Among many agents an update costs what its cache misses cost, and those of a group
    /// overlap here: all that it will touch is looked at before it begins.
    ///
    /// # Errors
    /// [`Error::UnknownAgent`]; [`Error::PastHint`].
    pub fn expect_all(
        &mut self,
        hints: &[(AgentId, Source, NextUse)],
    ) -> Result<(), (usize, Error)> {
        for (group, hints) in hints.chunks(AT_ONCE).enumerate() {
            let mut slots = [None; AT_ONCE];
            for (slot, (id, ..)) in slots.iter_mut().zip(hints) {
                *slot = self.agents.slots.get(id).copied();
            }
            self.look_at(&slots);
            for (at, (slot, (_, source, next_use))) in slots.iter().zip(hints).enumerate() {
                let result = slot.ok_or(Error::UnknownAgent);
                let result = result.and_then(|slot| self.expect_of(slot, *source, *next_use));
                result.map_err(|error| (group * AT_ONCE + at, error))?;
            }
        }
        Ok(())
    }

    /// Brings agents, their first states and their places in the orders into the cache: independent reads
    /// in each round, so that the processor waits for all of them together.
    fn look_at(&self, slots: &[Option<u32>; AT_ONCE]) {
        let mut states = [None; AT_ONCE];
        for (state, slot) in states.iter_mut().zip(slots) {
            let agent = slot.map(|slot| &self.agents.agents[slot as usize]);
            let seen = agent.map(|agent| (agent.made_at, agent.first[0], agent.last_believed));
            core::hint::black_box(seen);
            *state = agent.and_then(|agent| agent.states.0.first().map(|(state, _)| *state));
        }
        let mut places = 0;
        for (state, slot) in states.iter().zip(slots) {
            places ^= slot.map_or(0, |slot| self.agents.due.around(slot));
            if let Some(state) = state {
                let record = &self.records[*state];
                core::hint::black_box((record.hinted(), record.use_order, record.is_fetchable()));
                for order in self.wanted.iter().chain(&self.victims) {
                    places ^= order.around(*state);
                }
            }
        }
        core::hint::black_box(places);
    }

    fn believe(&mut self, at: u32, next_use: NextUse) {
        let agent = &mut self.agents.agents[at as usize];
        agent.believed = next_use;
        if next_use.is_known() {
            self.agents.due.place(at, 0, next_use.key());
        } else {
            self.agents.due.remove(at);
        }
        let id = agent.id;
        // Taken out for the time being, because ranking wants the whole planner.
        let mut states = core::mem::take(&mut agent.states);
        for (slot, listed) in &mut states.0 {
            self.list(*slot, id, listed, next_use);
        }
        self.agents.agents[at as usize].states = states;
    }

    /// Changes the prediction under which an agent stands among a state's owners.
    fn list(&mut self, slot: u32, id: AgentId, listed: &mut NextUse, next_use: NextUse) {
        let before = core::mem::replace(listed, next_use);
        if before == next_use {
            return;
        }
        let record = &mut self.records[slot];
        let nearest = record.hinted();
        record.owners.remove((before, id));
        record.owners.insert((next_use, id));
        if record.hinted() != nearest {
            self.rerank(slot);
        }
    }

    /// The agent uses one of its states in this step.
    pub(super) fn agent_used(&mut self, slot: u32, id: AgentId) {
        let Some(at) = self.agents.slots.get(&id).copied() else { return };
        if !core::mem::replace(&mut self.agents.agents[at as usize].spent, true) {
            self.test_predictions(at);
            // Its other states are probably wanted in this step, too.
            self.believe(at, NextUse::at(self.step));
        }
        let agent = &mut self.agents.agents[at as usize];
        if let Ok(place) = agent.states.find(slot) {
            let mut listed = core::mem::replace(&mut agent.states.0[place].1, NextUse::UNKNOWN);
            self.list(slot, id, &mut listed, NextUse::UNKNOWN);
        }
    }

    /// Once a step, at the first use.
    fn test_predictions(&mut self, at: u32) {
        let agent = &mut self.agents.agents[at as usize];
        let step = self.step;
        let error = |made: Made| {
            let (next_use, made_at) = made?;
            let predicted = next_use.step()?.saturating_sub(made_at);
            Some(error_in_256ths(predicted, step.saturating_sub(made_at)))
        };
        for source in SOURCES {
            if let Some(error) = error(agent.first[source as usize].take()) {
                self.trust.measure(source, error);
            }
            agent.latest[source as usize] = NextUse::UNKNOWN;
        }
        let (first, last) = (error(agent.first_believed.take()), error(agent.last_believed.take()));
        let error = first.zip(last).map(|(first, last)| u32::midpoint(first, last));
        self.trust.measure_hinted(error);
    }

    /// A step begins: predictions of the steps before are spent, or have proved wrong.
    pub(super) fn agents_step(&mut self) {
        let now = NextUse::at(self.step);
        self.agents.due.advance(self.step);
        while let Some((key, at)) = self.agents.due.top(0) {
            if key >= now.key() {
                break;
            }
            let agent = &mut self.agents.agents[at as usize];
            let waited = self.step.saturating_sub(agent.made_at).max(1);
            let was_used = core::mem::take(&mut agent.spent);
            let later = if was_used {
                NextUse::UNKNOWN
            } else {
                NextUse::at(self.step.saturating_add(waited))
            };
            self.believe(at, later);
        }
    }
}
