//! The engine with its thread, and users in threads of their own, each with a stream. Floor: garden.

use super::agents::{AGENTS, Filler, Plain, bytes_of, device, ends, settings};
use ace_alloc_cuda::device::DeviceFault;
use ace_alloc_cuda::distance::{NextUse, Source};
use ace_alloc_cuda::driver::CudaDevice;
use ace_alloc_cuda::engine::{Engine, EngineError, HostCopy};
use ace_alloc_cuda::planner::Handle;
use ace_alloc_cuda::policy::Hedge;
use ace_alloc_cuda::state::AgentId;
use ace_alloc_tests::fake_cuda::{self, Live};
use ace_alloc_tests::random::{self, Random};
use std::thread;
use std::time::Duration;

const THREADS: u64 = 4;
const USES: usize = 60;
/// Longer than any wait, on any machine; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(100);

/// A state and what it must hold.
#[derive(Clone, Copy)]
struct Own {
    agent: AgentId,
    state: Handle,
    words: u64,
    value: u32,
}

/// Uses the states of some agents, which nobody else does. A use ends when its kernel has, and meanwhile the
/// next one begins.
///
/// # Errors
/// The device is lost.
fn user(
    engine: &Engine<CudaDevice>,
    filler: &Filler,
    mut own: Vec<Own>,
    mut random: Random,
) -> Result<(), EngineError> {
    for turn in 0..USES {
        let agent = own[random.below(own.len())].agent;
        let next = NextUse::at((turn + random.below(9)) as u64);
        engine.expect(agent, Source::Hint, next).expect("an agent with states");
        let mut group: Vec<&mut Own> = own.iter_mut().filter(|own| own.agent == agent).collect();
        group.truncate(1 + random.below(2));
        let states: Vec<Handle> = group.iter().map(|own| own.state).collect();
        let lease = engine.acquire_timeout(agent, &states, PATIENCE)?;
        // What the last use of the same state queued is done before it is looked at.
        filler.stream.synchronize().map_err(EngineError::Device)?;
        for own in group {
            let address = lease.address(own.state).expect("part of the lease");
            assert_eq!(ends(address, own.words), [own.value; 2], "contents that were granted");
            if random.below(2) == 0 {
                lease.wrote(own.state, 0..4 * own.words)?;
                own.value = random.draw() as u32;
                // SAFETY: The lease ends after the stream has come past it.
                let _ = unsafe { filler.fill(address, own.words, own.value) };
            }
        }
        // SAFETY: The stream lives, and all work on the states is queued there.
        unsafe { lease.end_after(filler.stream.as_queue()) }.map_err(|error| error.error())?;
    }
    Ok(())
}

/// Gives what came of each user.
fn run(options: &str) -> Vec<Result<(), EngineError>> {
    let (fake, seed) = (fake_cuda::load(), random::seed());
    let device = device(&fake);
    fake.configure(options);
    let fillers: Vec<Filler> = (0..THREADS).map(|_| Filler::new(&device)).collect();
    let engine = Engine::start(device, Box::new(Hedge), settings()).expect("an engine");
    let states: Vec<Own> = (0..)
        .zip(Plain::all())
        .map(|(value, plain)| {
            let (agent, words) = (plain.agent, plain.words());
            let contents = bytes_of(value, words);
            let state = engine.register(&plain, HostCopy::KeptFrom(&contents)).expect("sound");
            Own { agent, state, words, value }
        })
        .collect();
    let outcomes = thread::scope(|scope| {
        let start = |(number, filler)| {
            let is_own = |own: &&Own| own.agent.0 % THREADS == number;
            let own: Vec<Own> = states.iter().filter(is_own).copied().collect();
            assert_eq!(own.len() as u64, 2 * AGENTS / THREADS);
            let (engine, random) = (&engine, Random::new(seed ^ number));
            scope.spawn(move || user(engine, filler, own, random))
        };
        let users: Vec<_> = (0..THREADS).zip(&fillers).map(start).collect();
        users.into_iter().map(|user| user.join().expect("no panic")).collect()
    });
    let totals = engine.stats().expect("it runs").totals;
    assert!(totals.evictions > 0 && totals.written_bytes > 0, "memory is short: {totals:?}");
    engine.stop().expect("no lease is left");
    drop((engine, fillers));
    assert_eq!((fake.live(), fake.misuses()), (Live::default(), 0));
    outcomes
}

#[test]
fn threads_find_what_they_left_while_time_passes_by_calls() {
    assert_eq!(run(""), [Ok(()); THREADS as usize]);
}

#[test]
fn threads_find_what_they_left_in_real_time() {
    assert_eq!(run("real_time=1"), [Ok(()); THREADS as usize]);
}

#[test]
fn a_lost_device_keeps_no_thread_waiting() {
    for call in ["cuEventQuery", "cuMemMap", "cuStreamSynchronize", "cuEventRecord"] {
        for outcome in run(&format!("fail={call}:70:719:lost")) {
            let error = outcome.expect_err("no use can begin after the loss");
            // Who writes under a lease from before the loss is told that the contents are gone.
            let is_loss = matches!(
                error,
                EngineError::Device(DeviceFault::Lost { .. })
                    | EngineError::DeviceLost
                    | EngineError::Poisoned
            );
            assert!(is_loss, "{call}: {error:?}");
        }
    }
}

#[test]
fn an_engine_works_while_another_thread_captures_a_stream() {
    let fake = fake_cuda::load();
    let device = device(&fake);
    let filler = Filler::new(&device);
    fake.configure("global_capture=1");
    let engine = Engine::start(device, Box::new(Hedge), settings()).expect("an engine");
    for (value, plain) in (0..).zip(Plain::all()) {
        let (agent, words) = (plain.agent, plain.words());
        let contents = bytes_of(value, words);
        let state = engine.register(&plain, HostCopy::KeptFrom(&contents)).expect("sound");
        let lease = engine.acquire_timeout(agent, &[state], PATIENCE).expect("it fits");
        let address = lease.address(state).expect("part of the lease");
        assert_eq!(ends(address, words), [value; 2]);
        // SAFETY: The stream lives, and nothing is queued there.
        unsafe { lease.end_after(filler.stream.as_queue()) }.expect("it is marked");
    }
    assert_eq!(fake.calls(Some("cuThreadExchangeStreamCaptureMode")), 1, "for the thread's life");
    engine.stop().expect("no lease is left");
    drop((engine, filler));
    assert_eq!((fake.live(), fake.misuses()), (Live::default(), 0));
}

#[test]
fn a_lease_can_not_end_after_what_is_only_captured() {
    let fake = fake_cuda::load();
    let device = device(&fake);
    let filler = Filler::new(&device);
    let engine = Engine::start(device, Box::new(Hedge), settings()).expect("an engine");
    let plain = Plain { agent: AgentId(0), grains: 1 };
    let state = engine.register(&plain, HostCopy::Kept).expect("sound");
    let mut lease = engine.acquire_timeout(plain.agent, &[state], PATIENCE).expect("it fits");
    // Active, and invalidated.
    for status in [1, 2] {
        fake.configure(&format!("capture_status={status}"));
        let recorded = fake.calls(Some("cuEventRecord"));
        // SAFETY: The stream lives, and nothing is queued there.
        let refused = unsafe { lease.end_after(filler.stream.as_queue()) }.expect_err("captured");
        let fault = DeviceFault::Refused { call: "cuStreamIsCapturing", code: 900 };
        assert_eq!(refused.error(), EngineError::Device(fault));
        assert_eq!(fake.calls(Some("cuEventRecord")), recorded, "the capture was left alone");
        lease = refused.into_lease();
        assert_eq!(engine.unregister(state), Err(EngineError::InUse));
    }
    fake.configure("capture_status=0");
    // SAFETY: As above.
    unsafe { lease.end_after(filler.stream.as_queue()) }.expect("it is marked");
    engine.stop().expect("no lease is left");
    drop((engine, filler));
    assert_eq!((fake.live(), fake.misuses()), (Live::default(), 0));
}
