//! The host: drives a planner through a trace on a simulated device.

use crate::{
    bound::Bound,
    device::{Done, Machine, SimDevice},
    workload::{Hint, Step, Trace},
};
use ace_alloc_cuda::{
    planner::{Event, Handle, Place, Planner, Report, Settings, Span, Task, Totals, What},
    policy::{Ace, Chance, Cost, Distance, Guard, Hedge, Lru, Oracle, OwnGap, Policy, Swap},
    state::{AgentId, AgentState, Contents, Kind},
};
use std::collections::{BTreeMap, BTreeSet};

/// Larger than on a device (16 MiB), so that a run has fewer events.
const CHUNK_BYTES: u64 = 64 << 20;

/// So many states are loaded or waited for ahead of the processor: a program has so many requests in hand.
/// More would only take memory from others.
const AHEAD: usize = 4;

/// A way to use a device.
pub struct Arm {
    /// Who goes first.
    pub policy: Box<dyn Policy>,
    /// Copies and computing overlap. Otherwise one state after the other is asked for, copied from memory
    /// that is not page-locked, and computed.
    pub overlaps: bool,
}

/// All policies, with their names.
#[must_use]
pub fn arms(seed: u64) -> Vec<(&'static str, Arm)> {
    let policies: Vec<Box<dyn Policy>> = vec![
        Box::new(Swap),
        Box::new(Lru),
        Box::new(Chance::new(seed)),
        Box::new(Distance),
        Box::new(Cost),
        Box::new(OwnGap),
        Box::new(Hedge),
        Box::new(Ace::new()),
        Box::new(Guard::new(seed)),
        Box::new(Oracle),
    ];
    let arm = |policy: Box<dyn Policy>| {
        let name = policy.name();
        (name, Arm { overlaps: name != "swap", policy })
    };
    policies.into_iter().map(arm).collect()
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How long it took.
    pub ns: u64,
    /// What the planner did.
    pub totals: Totals,
    /// What cannot be beaten.
    pub bound: Bound,
    /// Time in which the processor had nothing to do.
    pub stall_ns: u64,
    /// Of every request, in the order in which they were done: from the beginning of its step, when it is
    /// known, to the end of its computation. Waiting for memory and for the processor is part of it.
    pub latencies_ns: Vec<u64>,
    /// The most bytes that were mapped or being mapped or unmapped at any time.
    pub peak_bytes: u64,
}

impl Outcome {
    /// Time over the bound's time.
    #[must_use]
    pub fn time_ratio(&self) -> f64 {
        self.ns as f64 / self.bound.ns as f64
    }

    /// Bytes copied to the device over the bound's bytes.
    #[must_use]
    pub fn bytes_ratio(&self) -> f64 {
        (self.totals.demand_bytes + self.totals.prefetch_bytes) as f64 / self.bound.bytes as f64
    }
}

struct SimState {
    agent: u32,
    bytes: u64,
    reload_ns: u64,
    contents: Contents,
}

impl AgentState for SimState {
    fn id(&self) -> u64 {
        u64::from(self.agent)
    }
    fn owners(&self) -> Vec<AgentId> {
        vec![AgentId(u64::from(self.agent))]
    }
    fn bytes(&self) -> u64 {
        self.bytes
    }
    fn kind(&self) -> Kind {
        Kind::Opaque
    }
    fn contents(&self) -> Contents {
        self.contents
    }
    fn reload_cost_ns(&self) -> u64 {
        self.reload_ns
    }
}

struct Host<'a> {
    planner: Planner,
    device: SimDevice,
    trace: &'a Trace,
    machine: Machine,
    states: Vec<Handle>,
    agents: BTreeMap<Handle, u32>,
    hints_after: BTreeMap<u32, Vec<Hint>>,
    overlaps: bool,
    /// There since the step began, and not computed yet.
    there: Vec<Handle>,
    /// Loaded and not computed yet. These are computed first, the last one before the others: nobody
    /// expected them for long, so their memory is likely to be free again when they are done.
    ready: Vec<Handle>,
    waiting: usize,
    done: usize,
    /// Loads that somebody waited for; chunks of others are spare time of the link.
    demanded: BTreeSet<Handle>,
    /// Granted without contents.
    fresh: BTreeSet<Handle>,
    busy_ns: u64,
    step_begun_ns: u64,
    latencies_ns: Vec<u64>,
    peak_bytes: u64,
}

/// Runs a trace. The same arguments give the same outcome.
#[must_use]
pub fn run(trace: &Trace, machine: Machine, arm: Arm) -> Outcome {
    let bound = Bound::of(trace, &machine);
    let machine = if arm.overlaps { machine } else { machine.pageable() };
    let settings = Settings {
        budget_bytes: machine.memory_bytes,
        chunk_bytes: CHUNK_BYTES,
        chunks_in_flight: 2,
    };
    let mut host = Host {
        planner: Planner::new(arm.policy, settings),
        device: SimDevice::new(machine),
        trace,
        machine,
        states: Vec::new(),
        agents: BTreeMap::new(),
        hints_after: BTreeMap::new(),
        overlaps: arm.overlaps,
        there: Vec::new(),
        ready: Vec::new(),
        waiting: 0,
        done: 0,
        demanded: BTreeSet::new(),
        fresh: BTreeSet::new(),
        busy_ns: 0,
        step_begun_ns: 0,
        latencies_ns: Vec::new(),
        peak_bytes: 0,
    };
    host.register();
    for (number, step) in (0..).zip(&trace.steps) {
        host.step(number, step);
    }
    let ns = host.device.now_ns();
    let requests: usize = trace.steps.iter().map(|step| step.requests.len()).sum();
    let stall_ns = ns - requests as u64 * machine.compute_ns;
    let totals = host.planner.totals();
    let Host { latencies_ns, peak_bytes, .. } = host;
    Outcome { ns, totals, bound, stall_ns, latencies_ns, peak_bytes }
}

impl Host<'_> {
    fn tell(&mut self, event: Event) {
        self.planner.observe(event).unwrap_or_else(|error| panic!("{event:?}: {error:?}"));
    }

    fn register(&mut self) {
        let contents = if self.trace.born { Contents::None } else { Contents::Host { version: 1 } };
        for (agent, bytes) in (0..).zip(&self.trace.sizes) {
            let reload_ns = self.machine.copies_in_ns(*bytes);
            let state = SimState { agent, bytes: *bytes, reload_ns, contents };
            let handle = self.planner.register(&state).expect("a size above 0");
            self.states.push(handle);
            self.agents.insert(handle, agent);
        }
    }

    fn hint(&mut self, hints: &[Hint]) {
        for hint in hints {
            let Hint { agent, source, next_use } = *hint;
            self.tell(Event::Expect { agent: AgentId(u64::from(agent)), source, next_use });
        }
    }

    fn step(&mut self, number: u64, step: &Step) {
        self.step_begun_ns = self.device.now_ns();
        self.busy_ns = 0;
        self.tell(Event::Step(number));
        self.hint(&step.before);
        self.hints_after.clear();
        for hint in &step.after {
            self.hints_after.entry(hint.agent).or_default().push(*hint);
        }
        let requests: Vec<Handle> =
            step.requests.iter().map(|agent| self.states[*agent as usize]).collect();
        self.done = 0;
        let is_there = |state: &Handle| self.planner.place(*state) == Ok(Place::Resident);
        let (mut away, mut there): (Vec<Handle>, Vec<Handle>) = (requests.clone(), Vec::new());
        if self.overlaps {
            (there, away) = requests.iter().partition(|state| is_there(state));
        }
        there.into_iter().for_each(|state| self.begin(state));
        self.pump();
        self.there = std::mem::take(&mut self.ready);
        let mut away = away.into_iter();
        while self.done < requests.len() {
            let most = if self.overlaps { AHEAD } else { 1 };
            let busy = usize::from(!self.overlaps && !self.device.is_idle());
            let in_hand = self.waiting + self.ready.len() + busy;
            for state in away.by_ref().take(most.saturating_sub(in_hand)) {
                self.begin(state);
            }
            self.pump();
            self.next_end();
        }
        let spare_ns = (self.device.now_ns() - self.step_begun_ns).saturating_sub(self.busy_ns);
        // More than the processor had to wait for would cost copies and win no time.
        let computed_ns = step.requests.len() as u64 * self.machine.compute_ns;
        let stalled_ns = (self.device.now_ns() - self.step_begun_ns).saturating_sub(computed_ns);
        let spare_ns = spare_ns.min(stalled_ns);
        let bytes_per_second = self.machine.inward_bytes_per_second;
        self.tell(Event::LinkSpare { spare_ns, bytes_per_second });
    }

    fn begin(&mut self, state: Handle) {
        self.waiting += 1;
        if self.planner.place(state) != Ok(Place::Resident) {
            self.demanded.insert(state);
        }
        let agent = AgentId(u64::from(self.agents[&state]));
        self.tell(Event::Begin { state, agent });
    }

    fn pump(&mut self) {
        while let Some(action) = self.planner.decide() {
            let takes_ns = self.device.apply(action);
            if matches!(action.what, What::CopyIn(_)) && self.demanded.contains(&action.state) {
                self.busy_ns += takes_ns;
            }
        }
        self.peak_bytes = self.peak_bytes.max(self.planner.committed_bytes());
        while let Some(report) = self.planner.report() {
            match report {
                Report::Granted { state, fresh, .. } => {
                    if fresh {
                        self.fresh.insert(state);
                    }
                    self.waiting -= 1;
                    self.ready.push(state);
                }
                Report::Ended { state, task: Task::Demand, .. } => {
                    self.demanded.remove(&state);
                }
                Report::Ended { .. } | Report::Blocked { .. } => {}
                other => panic!("{other:?} in a world without faults"),
            }
        }
        if self.device.is_idle()
            && let Some(state) = self.ready.pop().or_else(|| self.there.pop())
        {
            self.device.compute(state);
        }
    }

    /// The first use of a state that was born writes all of it.
    fn write(&mut self, state: Handle, agent: u32) {
        let bytes = self.trace.sizes[agent as usize];
        let is_fresh = self.fresh.remove(&state);
        let written = if is_fresh { bytes } else { bytes / 8 };
        if is_fresh || self.trace.writes && written > 0 {
            let span = Span { offset_bytes: bytes - written, bytes: written };
            self.tell(Event::Wrote { state, span });
        }
    }

    fn next_end(&mut self) {
        match self.device.next_end().expect("requests are under way") {
            Done::Applied(action) => self.tell(Event::Applied { action, result: Ok(()) }),
            Done::Computed(state) => {
                let agent = self.agents[&state];
                self.write(state, agent);
                self.latencies_ns.push(self.device.now_ns() - self.step_begun_ns);
                self.tell(Event::End { state });
                if let Some(hints) = self.hints_after.remove(&agent) {
                    self.hint(&hints);
                }
                self.done += 1;
            }
        }
        self.pump();
    }
}
