//! The same by the engine: states are asked for ahead, and the kernel of one runs while others travel.
//! Floor: third.

use super::{
    Figures,
    plan::{Plan, Request},
    sums::Sums,
};
use crate::{
    bench::{Bench, Mix, Run},
    contents::{self, WORD},
    failure::Failure,
};
use ace_alloc_cuda::{
    driver::CudaDevice,
    engine::{Engine, EngineError, HostCopy, Lease, Settings, Ticket},
    planner::Handle,
    policy::Policy,
    state::{AgentId, AgentState, Contents, Kind},
};
use ace_alloc_cuda_sim::workload::Hint;
use std::{
    collections::{BTreeMap, VecDeque},
    thread,
    time::{Duration, Instant},
};

/// So many states are waited for, or loaded and not computed yet, as in the simulator: a program has so many
/// requests in hand.
const AHEAD: usize = 4;
/// One kernel runs and one is queued, so that the device does not wait for the host.
const DEPTH: usize = 2;
/// How long to wait where nothing has happened.
const PAUSE: Duration = Duration::from_micros(20);
const MIB: u64 = 1 << 20;

/// How the engine is to work.
pub struct Setup {
    pub policy: Box<dyn Policy>,
    pub budget_bytes: u64,
    /// Measured.
    pub inward_bytes_per_second: f64,
    /// All states are brought to the device before the clock starts.
    pub warm: bool,
}

impl Setup {
    fn settings(&self, plan: &Plan) -> Settings {
        // Room for the buffers that copies of other memory would go through, and for what cutting wastes.
        let pinned_bytes = plan.host_footprint() + plan.host_footprint() / 8 + 64 * MIB;
        let settings = Settings::new(self.budget_bytes, pinned_bytes as usize);
        let chunk_bytes = (plan.largest() as u64 / 16).clamp(MIB / 4, settings.chunk_bytes);
        let assumed_bytes_per_second = self.inward_bytes_per_second.max(1e6) as u64;
        Settings { chunk_bytes, assumed_bytes_per_second, ..settings }
    }
}

struct Described {
    agent: u32,
    bytes: u64,
}

impl AgentState for Described {
    fn id(&self) -> u64 {
        self.agent.into()
    }
    fn owners(&self) -> Vec<AgentId> {
        vec![AgentId(self.agent.into())]
    }
    fn bytes(&self) -> u64 {
        self.bytes
    }
    fn kind(&self) -> Kind {
        Kind::Kv
    }
    fn contents(&self) -> Contents {
        Contents::Host { version: 1 }
    }
    fn reload_cost_ns(&self) -> u64 {
        // Zero: the engine's own measurement.
        0
    }
}

struct Served<'a> {
    bench: &'a mut Bench,
    plan: &'a Plan,
    engine: Engine<CudaDevice>,
    states: Vec<Handle>,
    sums: Sums,
    waiting: Vec<(Request, Ticket<CudaDevice>)>,
    /// Granted, and there since the step began. They are kept there until they are used.
    there: Vec<(Request, Lease<CudaDevice>)>,
    /// Loaded. These are computed first, the last one before the others: nobody expected them for long, so
    /// their memory is likely to be free again when they are done.
    loaded: Vec<(Request, Lease<CudaDevice>)>,
    running: VecDeque<(Request, Run)>,
    figures: Figures,
}

pub fn run(bench: &mut Bench, plan: &Plan, setup: Setup) -> Result<Figures, Failure> {
    let sums = Sums::new(bench, plan.requests())?;
    let (settings, warm) = (setup.settings(plan), setup.warm);
    let engine = Engine::start(bench.another()?, setup.policy, settings)?;
    let mut served = Served {
        bench,
        plan,
        engine,
        states: Vec::new(),
        sums,
        waiting: Vec::new(),
        there: Vec::new(),
        loaded: Vec::new(),
        running: VecDeque::new(),
        figures: Figures::default(),
    };
    served.register()?;
    if warm {
        for (agent, state) in (0..).zip(&served.states) {
            drop(served.engine.acquire(AgentId(agent), &[*state])?);
        }
    }
    let before = served.engine.stats()?;
    let begun = Instant::now();
    for step in 0..plan.steps.len() {
        served.step(step)?;
    }
    served.figures.seconds = begun.elapsed().as_secs_f64();
    let after = served.engine.stats()?;
    let figures = &mut served.figures;
    figures.in_bytes = after.inward_bytes - before.inward_bytes;
    figures.out_bytes = after.outward_bytes - before.outward_bytes;
    figures.prefetched_bytes = after.totals.prefetch_bytes - before.totals.prefetch_bytes;
    figures.wasted_bytes = after.totals.wasted_bytes - before.totals.wasted_bytes;
    figures.pinned_bytes = after.pinned_bytes as u64;
    figures.failures = after.failures;
    served.finish()
}

impl Served<'_> {
    fn register(&mut self) -> Result<(), Failure> {
        let mut memory = vec![0; self.plan.largest()];
        for ((agent, bytes), seed) in (0..).zip(&self.plan.trace.sizes).zip(&self.plan.seeds) {
            let contents = &mut memory[..*bytes as usize];
            contents::fill(contents, *seed);
            let described = Described { agent, bytes: *bytes };
            self.states.push(self.engine.register(&described, HostCopy::KeptFrom(contents))?);
        }
        Ok(())
    }

    fn expect(&self, hints: &[Hint]) -> Result<(), EngineError> {
        let hint = |hint: &Hint| (AgentId(hint.agent.into()), hint.source, hint.next_use);
        self.engine.expect_all(&hints.iter().map(hint).collect::<Vec<_>>())
    }

    fn step(&mut self, number: usize) -> Result<(), Failure> {
        let begun = Instant::now();
        let (plan, trace) = (&self.plan.steps[number], &self.plan.trace.steps[number]);
        self.engine.step(number as u64)?;
        self.expect(&trace.before)?;
        let mut hints: BTreeMap<u32, Vec<Hint>> = BTreeMap::new();
        for hint in &trace.after {
            hints.entry(hint.agent).or_default().push(*hint);
        }
        let mut away = VecDeque::new();
        for request in plan {
            let state = self.states[request.agent as usize];
            match self.engine.try_acquire(AgentId(request.agent.into()), &[state]) {
                Ok(lease) => self.there.push((*request, lease)),
                Err(EngineError::WouldBlock) => away.push_back(*request),
                Err(error) => return Err(error.into()),
            }
        }
        let mut left = plan.len();
        while left > 0 {
            let mut moved = self.grant()?;
            while self.waiting.len() + self.loaded.len() < AHEAD
                && let Some(request) = away.pop_front()
            {
                self.ask(request)?;
                moved = true;
            }
            while self.running.len() < DEPTH
                && let Some((request, lease)) = self.loaded.pop().or_else(|| self.there.pop())
            {
                self.launch(request, lease)?;
                moved = true;
            }
            while let Some(agent) = self.retire()? {
                self.figures.latencies_ms.push(begun.elapsed().as_secs_f64() * 1e3);
                hints.get(&agent).map_or(Ok(()), |hints| self.expect(hints))?;
                self.bench.advance();
                left -= 1;
                moved = true;
            }
            if !moved {
                thread::sleep(PAUSE);
            }
        }
        Ok(())
    }

    fn ask(&mut self, request: Request) -> Result<(), EngineError> {
        let state = self.states[request.agent as usize];
        let ticket = self.engine.request(AgentId(request.agent.into()), &[state])?;
        self.waiting.push((request, ticket));
        Ok(())
    }

    /// Returns whether anything was granted.
    fn grant(&mut self) -> Result<bool, EngineError> {
        let before = self.loaded.len();
        for (request, ticket) in std::mem::take(&mut self.waiting) {
            match ticket.poll()? {
                Ok(lease) => self.loaded.push((request, lease)),
                Err(ticket) => self.waiting.push((request, ticket)),
            }
        }
        Ok(self.loaded.len() > before)
    }

    fn launch(&mut self, request: Request, lease: Lease<CudaDevice>) -> Result<(), Failure> {
        let agent = request.agent;
        let state = self.states[agent as usize];
        let written = self.plan.written(agent);
        let mix = Mix {
            data: lease.address(state).ok_or(EngineError::NotInUse)?,
            words: self.plan.words(agent),
            first: written.start,
            rounds: self.plan.rounds[agent as usize],
            key: request.key,
            sums: self.sums.of(request.number),
        };
        lease.wrote(state, written.start * WORD..written.end * WORD)?;
        // SAFETY: The lease keeps the state mapped until the stream has come past the kernel.
        let run = unsafe { self.bench.launch_timed(&mix) }.or_else(|fault| {
            // It may have been queued; the lease must not end before it.
            self.bench.stream.synchronize().and(Err(fault))
        })?;
        // SAFETY: The stream lives, and all work on the state is queued there.
        let ended = unsafe { lease.end_after(self.bench.stream.as_queue()) };
        ended.map_err(|error| error.error())?;
        self.running.push_back((request, run));
        Ok(())
    }

    /// The agent whose kernel has ended, if that of the longest running one has.
    fn retire(&mut self) -> Result<Option<u32>, Failure> {
        let Some((_, run)) = self.running.front() else { return Ok(None) };
        if !run.is_ready()? {
            return Ok(None);
        }
        self.figures.busy_seconds += run.milliseconds()? / 1e3;
        Ok(self.running.pop_front().map(|(request, _)| request.agent))
    }

    /// Brings everything back and looks at it.
    fn finish(mut self) -> Result<Figures, Failure> {
        let sums = self.sums.read(self.bench)?;
        self.figures.outputs = sums.iter().map(|sums| sums[2]).collect();
        let digests = self.plan.check_sums(&sums)?;
        let mut memory = vec![0; self.plan.largest()];
        for ((agent, state), digest) in (0..).zip(&self.states).zip(digests) {
            let contents = &mut memory[..self.plan.trace.sizes[agent as usize] as usize];
            match self.engine.read_host(*state, 0, contents) {
                Err(EngineError::OnDevice) => {
                    fetch(self.bench, &self.engine, (agent, *state), contents)?;
                }
                other => other?,
            }
            self.plan.check_state(agent, contents, digest)?;
        }
        self.engine.stop()?;
        Ok(self.figures)
    }
}

/// Copies a state from the device, whatever the host's copy is.
fn fetch(
    bench: &Bench,
    engine: &Engine<CudaDevice>,
    (agent, state): (u32, Handle),
    into: &mut [u8],
) -> Result<(), Failure> {
    let lease = engine.acquire(AgentId(agent.into()), &[state])?;
    let from = lease.address(state).ok_or(EngineError::NotInUse)?;
    // SAFETY: The lease keeps the state there, and no kernel is left that writes to it.
    Ok(unsafe { bench.device.read(from, into) }?)
}
