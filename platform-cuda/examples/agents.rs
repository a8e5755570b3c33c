//! Twelve agents in turn, on a device with memory for four of their states: the engine fetches the next ones
//! ahead, evicts those that come last, and what an agent wrote is there when it comes back. Floor: garden.
//!
//! `cargo run --release -p ace-alloc-cuda --example agents [-- --driver PATH]`

use ace_alloc_cuda::{
    distance::{NextUse, Source},
    driver::{CudaDevice, Library},
    engine::{Engine, HostCopy, Settings},
    planner::Handle,
    policy::default_policy,
    state::{AgentId, AgentState, Contents, Kind},
};
use std::{env, error::Error, path::Path, process::ExitCode};

const AGENTS: u64 = 12;
const PLACES: u64 = 4;
const ROUNDS: u64 = 6;
const STATE_BYTES: usize = 8 << 20;

/// The keys and values that an agent has computed.
struct Cache {
    owner: AgentId,
}

impl AgentState for Cache {
    fn id(&self) -> u64 {
        self.owner.0
    }
    fn owners(&self) -> Vec<AgentId> {
        vec![self.owner]
    }
    fn bytes(&self) -> u64 {
        STATE_BYTES as u64
    }
    fn kind(&self) -> Kind {
        Kind::Kv
    }
    fn contents(&self) -> Contents {
        // The first user computes them.
        Contents::None
    }
    fn reload_cost_ns(&self) -> u64 {
        // The engine takes the speed that it measures.
        0
    }
}

fn library(mut arguments: impl Iterator<Item = String>) -> Result<Library, Box<dyn Error>> {
    match (arguments.next().as_deref(), arguments.next()) {
        (None, _) => Ok(Library::find()?),
        // SAFETY: who names a library trusts it to be a driver.
        (Some("--driver"), Some(path)) => Ok(unsafe { Library::open(Path::new(&path)) }?),
        _ => Err("usage: agents [--driver PATH]".into()),
    }
}

/// What an agent leaves in each byte of its state.
fn left_by(agent: u64, visits: u64) -> u8 {
    (agent * 20 + visits) as u8
}

/// An agent's turn; gives the number of bytes that are not what it left behind.
fn visit(
    engine: &Engine<CudaDevice>,
    device: &CudaDevice,
    (agent, visits): (u64, u64),
    state: Handle,
) -> Result<usize, Box<dyn Error>> {
    let lease = engine.acquire(AgentId(agent), &[state])?;
    let address = lease.address(state).ok_or("the lease has the state")?;
    let (mut wrong, mut buffer) = (0, vec![0; STATE_BYTES]);
    // Here a program launches kernels, and ends the lease by `end_after` their stream.
    if !lease.is_fresh(state) {
        // SAFETY: the lease keeps the memory where it is, and nobody else works on it.
        unsafe { device.read(address, &mut buffer) }?;
        wrong = buffer.iter().filter(|byte| **byte != left_by(agent, visits)).count();
    } else if visits > 0 {
        wrong = STATE_BYTES;
    }
    buffer.fill(left_by(agent, visits + 1));
    // SAFETY: as above.
    unsafe { device.write(address, &buffer) }?;
    lease.wrote(state, 0..STATE_BYTES as u64)?;
    Ok(wrong)
}

fn run() -> Result<(), Box<dyn Error>> {
    let library = library(env::args().skip(1))?;
    // One device for the engine, one for this thread's own copies.
    let (theirs, ours) = (CudaDevice::open(library, 0)?, CudaDevice::open(library, 0)?);
    let settings = Settings::new(PLACES * STATE_BYTES as u64, 64 << 20);
    let engine = Engine::start(theirs, default_policy(), settings)?;
    let register = |agent| engine.register(&Cache { owner: AgentId(agent) }, HostCopy::Kept);
    let states = (0..AGENTS).map(register).collect::<Result<Vec<Handle>, _>>()?;
    let mut wrong = 0;
    for step in 0..ROUNDS * AGENTS {
        let (agent, visits) = (step % AGENTS, step / AGENTS);
        engine.step(step)?;
        let next = |one: u64| NextUse::at(step + (one + AGENTS - agent) % AGENTS);
        let plan = (0..AGENTS).map(|one| (AgentId(one), Source::Plan, next(one)));
        engine.expect_all(&plan.collect::<Vec<_>>())?;
        wrong += visit(&engine, &ours, (agent, visits), states[agent as usize])?;
    }
    let stats = engine.stats()?;
    engine.stop()?;
    println!("{}: {AGENTS} agents, memory for {PLACES}, {ROUNDS} rounds", ours.name()?);
    let (hits, misses) = (stats.totals.hits, stats.totals.misses);
    println!("{hits} uses began at once, {misses} waited, {} evictions", stats.totals.evictions);
    println!("{} MiB in, {} MiB out", stats.inward_bytes >> 20, stats.outward_bytes >> 20);
    if wrong > 0 {
        return Err(format!("{wrong} bytes are not what was written").into());
    }
    println!("every byte is what was written");
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
