//! Steps, predictions, wishes. Floor: third.

use crate::foreign;
use crate::open::{AceCudaEngine, AceCudaState, with_engine, with_state};
use crate::status::{AceCudaStatus, Failure};
use ace_alloc_cuda::distance::{NextUse, Source};
use ace_alloc_cuda::state::AgentId;

/// What the program says about one agent.
pub const ACE_CUDA_SOURCE_HINT: u32 = 0;
/// A scheduler's plan.
pub const ACE_CUDA_SOURCE_PLAN: u32 = 1;
/// Hops in a graph of agents.
pub const ACE_CUDA_SOURCE_GRAPH: u32 = 2;
/// Distance divided by velocity.
pub const ACE_CUDA_SOURCE_SPACE: u32 = 3;

fn source(number: u32) -> Result<Source, Failure> {
    Ok(match number {
        ACE_CUDA_SOURCE_HINT => Source::Hint,
        ACE_CUDA_SOURCE_PLAN => Source::Plan,
        ACE_CUDA_SOURCE_GRAPH => Source::Graph,
        ACE_CUDA_SOURCE_SPACE => Source::Space,
        number => return Err(Failure::argument(format_args!("there is no source {number}"))),
    })
}

/// A step begins. Steps only grow: PAST otherwise.
#[unsafe(no_mangle)]
pub extern "C" fn ace_cuda_step(engine: AceCudaEngine, step: u64) -> AceCudaStatus {
    with_engine(engine, |session| session.set_step(step))
}

/// A source, one of ACE_CUDA_SOURCE_, predicts when an agent is used next: so many steps after the beginning
/// of the present one. INFINITY takes a prediction back; what is negative or NaN is a BAD_ARGUMENT. How
/// often each source was right is measured, and decides how far it is believed.
#[unsafe(no_mangle)]
pub extern "C" fn ace_cuda_expect(
    engine: AceCudaEngine,
    agent: u64,
    source: u32,
    distance_steps: f64,
) -> AceCudaStatus {
    with_engine(engine, |session| {
        let next_use = NextUse::from_now(session.step(), distance_steps);
        let next_use = next_use.map_err(Failure::argument)?;
        Ok(session.engine.expect(AgentId(agent), self::source(source)?, next_use)?)
    })
}

/// As ace_cuda_expect, for `count` agents at once. Numbers are checked before anything is taken; if an agent
/// is unknown, those before it were taken.
///
/// # Safety
/// `agents` and `distances_steps` hold `count` numbers each.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ace_cuda_expect_many(
    engine: AceCudaEngine,
    source: u32,
    agents: *const u64,
    distances_steps: *const f64,
    count: usize,
) -> AceCudaStatus {
    with_engine(engine, |session| {
        // SAFETY: the caller's promise.
        let agents = unsafe { foreign::list(agents, count, "agents") }?;
        // SAFETY: as above.
        let distances = unsafe { foreign::list(distances_steps, count, "distances_steps") }?;
        let (source, step) = (self::source(source)?, session.step());
        let hint = |(agent, distance): (&u64, &f64)| {
            let next_use = NextUse::from_now(step, *distance).map_err(|bad| {
                Failure::argument(format_args!("agent {agent}: {distance}: {bad}"))
            })?;
            Ok((AgentId(*agent), source, next_use))
        };
        let hints: Result<Vec<_>, Failure> = agents.iter().zip(distances).map(hint).collect();
        Ok(session.engine.expect_all(&hints?)?)
    })
}

/// Keeps a state on the device, from when it is there, until as many calls of ace_cuda_unpin. NO_ROOM if
/// what is claimed already does not leave so much of the budget.
#[unsafe(no_mangle)]
pub extern "C" fn ace_cuda_pin(engine: AceCudaEngine, state: AceCudaState) -> AceCudaStatus {
    with_state(engine, state, |engine, state| engine.pin(state))
}

/// Takes one pin back.
#[unsafe(no_mangle)]
pub extern "C" fn ace_cuda_unpin(engine: AceCudaEngine, state: AceCudaState) -> AceCudaStatus {
    with_state(engine, state, |engine, state| engine.unpin(state))
}

/// Keeps a state on the device, from when it is there, until a step begins; a past one takes it back.
#[unsafe(no_mangle)]
pub extern "C" fn ace_cuda_retain(
    engine: AceCudaEngine,
    state: AceCudaState,
    until_step: u64,
) -> AceCudaStatus {
    with_state(engine, state, |engine, state| engine.retain(state, until_step))
}

/// Fetch a state when nobody waits for anything else.
#[unsafe(no_mangle)]
pub extern "C" fn ace_cuda_prefetch(engine: AceCudaEngine, state: AceCudaState) -> AceCudaStatus {
    with_state(engine, state, |engine, state| engine.prefetch(state))
}

/// Stop fetching a state, unless somebody waits for it.
#[unsafe(no_mangle)]
pub extern "C" fn ace_cuda_cancel(engine: AceCudaEngine, state: AceCudaState) -> AceCudaStatus {
    with_state(engine, state, |engine, state| engine.cancel(state))
}

/// Evict a state before all others when memory is needed, unless it is used before.
#[unsafe(no_mangle)]
pub extern "C" fn ace_cuda_demote(engine: AceCudaEngine, state: AceCudaState) -> AceCudaStatus {
    with_state(engine, state, |engine, state| engine.demote(state))
}

/// Another budget of device memory.
#[unsafe(no_mangle)]
pub extern "C" fn ace_cuda_set_budget(engine: AceCudaEngine, bytes: u64) -> AceCudaStatus {
    with_engine(engine, |session| match bytes {
        0 => Err(Failure::argument("a budget of 0")),
        bytes => Ok(session.engine.set_budget(bytes)?),
    })
}
