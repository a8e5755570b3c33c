//! The engine from many threads: nobody waits for ever, whatever ends first. Threads and their timing vary
//! from run to run; what is promised does not.

use super::{
    model::{Failure, GRAIN, ModelDevice},
    stage::{BUDGET_BYTES, Plain, policy, settings},
};
use ace_alloc_cuda::{
    device::DeviceFault,
    distance::{NextUse, Source},
    engine::{Engine, EngineError, HostCopy},
    planner::{Handle, Place},
    state::{AgentId, Contents},
};
use ace_alloc_tests::random::{self, Random};
use std::{
    sync::{Barrier, mpsc},
    thread,
    time::Duration,
};

const AGENTS: u64 = 6;
const STATES: usize = 9;

pub fn start(device: &ModelDevice) -> Engine<ModelDevice> {
    Engine::start(device.clone(), policy(2), settings()).expect("a sound device")
}

/// States of five grains, shared by all agents, each with its number in every byte.
pub fn register(engine: &Engine<ModelDevice>, count: usize) -> Vec<Handle> {
    let all: Vec<AgentId> = (0..AGENTS).map(AgentId).collect();
    let one = |number: usize| {
        let mut plain = Plain::new(number as u64, 0, 5 * GRAIN - 7);
        plain.owners = all.clone();
        let contents = vec![number as u8; plain.bytes as usize];
        engine.register(&plain, HostCopy::KeptFrom(&contents)).expect("a sound state")
    };
    (0..count).map(one).collect()
}

/// If it takes longer than a minute, somebody waits for ever.
pub fn in_time<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> R {
    let (done, wait) = mpsc::channel();
    let worker = thread::spawn(move || {
        let result = work();
        let _ = done.send(());
        result
    });
    if wait.recv_timeout(Duration::from_secs(60)) == Err(mpsc::RecvTimeoutError::Timeout) {
        panic!("somebody waits for ever");
    }
    worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Acquires groups of up to three states in any order, and checks and changes what they hold. Writers of a
/// state take turns by its counter.
fn agent_runs(
    engine: &Engine<ModelDevice>,
    device: &ModelDevice,
    states: &[Handle],
    agent: u64,
    seed: u64,
) -> u64 {
    let mut random = Random::new(seed ^ agent << 8);
    let mut bytes_seen = 0;
    for round in 0..60 {
        let mut group: Vec<Handle> = states.to_vec();
        while group.len() > 1 + round % 3 {
            group.remove(random.below(group.len()));
        }
        engine
            .expect(AgentId(agent), Source::Hint, NextUse::at(round as u64 + 1))
            .or_else(|error| if error == EngineError::PastHint { Ok(()) } else { Err(error) })
            .expect("a hint");
        let lease = engine.acquire(AgentId(agent), &group).expect("it fits");
        for state in &group {
            let number = states.iter().position(|other| other == state).expect("known") as u8;
            let address = lease.address(*state).expect("in the lease");
            let found = device.model().read(address, (5 * GRAIN - 7) as usize);
            assert!(found.iter().all(|byte| *byte == number), "state {number} holds {found:?}");
            bytes_seen += found.len() as u64;
            lease.wrote(*state, 3..9).expect("in the lease");
            device.model().write(address.plus(3), &[number; 6]);
        }
        if random.below(2) == 0 {
            // SAFETY: the model's queues always exist.
            unsafe { lease.end_after(random.below(3) as u64) }.expect("a sound device");
        }
        let _ = engine.step(round as u64);
    }
    bytes_seen
}

#[test]
fn threads_that_acquire_overlapping_groups_all_get_them() {
    let seed = random::seed();
    in_time(move || {
        let device = ModelDevice::new(seed, BUDGET_BYTES);
        let engine = start(&device);
        let states = register(&engine, STATES);
        let seen: u64 = thread::scope(|scope| {
            let run = |agent| {
                let (engine, device, states) = (&engine, &device, &states);
                scope.spawn(move || agent_runs(engine, device, states, agent, seed))
            };
            let agents: Vec<_> = (0..AGENTS).map(run).collect();
            agents.into_iter().map(|agent| agent.join().expect("no panic")).sum()
        });
        assert_eq!(seen, AGENTS * 60 * 2 * (5 * GRAIN - 7), "two states a round on average");
        let stats = engine.stats().expect("it runs");
        assert!(stats.totals.evictions > 0 && stats.claimed_bytes <= BUDGET_BYTES, "{stats:?}");
        engine.stop().expect("no leases");
        assert_eq!(engine.stats(), Err(EngineError::Stopped));
        device.model().assert_empty();
    });
}

/// One thread holds all the memory; `waiters` others wait for it. Runs `event`, and returns what they got.
fn while_others_wait(
    device: &ModelDevice,
    waiters: u64,
    event: impl FnOnce(&Engine<ModelDevice>),
) -> Vec<EngineError> {
    let engine = start(device);
    let states = register(&engine, 6);
    let held = engine.acquire(AgentId(0), &states[..3]).expect("it fits");
    let begun = Barrier::new(waiters as usize + 1);
    thread::scope(|scope| {
        let wait = |agent| {
            let (engine, states, begun) = (&engine, &states, &begun);
            scope.spawn(move || {
                let ticket = engine.request(AgentId(agent), &states[3..]).expect("it fits alone");
                begun.wait();
                ticket.wait().map(drop)
            })
        };
        let threads: Vec<_> = (1..=waiters).map(wait).collect();
        begun.wait();
        event(&engine);
        let outcomes = threads.into_iter().map(|one| one.join().expect("no panic"));
        let outcomes = outcomes.map(|outcome| outcome.expect_err("nothing was free")).collect();
        drop(held);
        outcomes
    })
}

#[test]
fn stopping_refuses_who_waits_and_ends_with_the_last_lease() {
    let seed = random::seed();
    in_time(move || {
        let device = ModelDevice::new(seed, BUDGET_BYTES);
        let refused = while_others_wait(&device, 4, |engine| {
            assert_eq!(engine.stop(), Err(EngineError::InUse), "a lease is held");
            assert_eq!(engine.acquire(AgentId(0), &[]).err(), Some(EngineError::Stopped));
        });
        assert_eq!(refused, [EngineError::Stopped; 4]);
        // The lease was dropped, and then the engine, whose thread has given everything back.
        device.model().assert_empty();
    });
}

#[test]
fn the_loss_of_the_device_refuses_who_waits() {
    let seed = random::seed();
    in_time(move || {
        let device = ModelDevice::new(seed, BUDGET_BYTES);
        let refused = while_others_wait(&device, 4, |engine| {
            // An idle engine learns of it when it next asks the device for something.
            let state = engine.register(&Plain::new(9, 0, GRAIN), HostCopy::Kept);
            device.model().lose();
            engine.prefetch(state.expect("a sound state")).expect("registered");
        });
        assert_eq!(refused, [EngineError::DeviceLost; 4]);
    });
}

#[test]
fn a_smaller_budget_refuses_who_can_never_fit() {
    let seed = random::seed();
    in_time(move || {
        let device = ModelDevice::new(seed, BUDGET_BYTES);
        let limit_bytes = BUDGET_BYTES / 2;
        let refused = while_others_wait(&device, 2, |engine| {
            engine.set_budget(limit_bytes).expect("it runs");
        });
        assert_eq!(refused, [EngineError::TooLarge { bytes: 15 * GRAIN, limit_bytes }; 2]);
        device.model().assert_empty();
    });
}

#[test]
fn a_panic_of_the_thread_is_an_error_for_everybody() {
    let seed = random::seed();
    in_time(move || {
        let device = ModelDevice::new(seed, BUDGET_BYTES);
        let refused = while_others_wait(&device, 4, |engine| {
            let state = engine.register(&Plain::new(9, 0, GRAIN), HostCopy::Kept);
            device.model().panics = true;
            engine.prefetch(state.expect("a sound state")).expect("registered");
        });
        assert_eq!(refused, [EngineError::Died; 4]);
    });
}

#[test]
fn leases_that_end_after_the_thread_has_panicked_are_told_so() {
    let seed = random::seed();
    in_time(move || {
        let device = ModelDevice::new(seed, BUDGET_BYTES);
        let engine = start(&device);
        let states = register(&engine, 1);
        let lease = |_| engine.acquire(AgentId(0), &states).expect("it fits");
        let leases: Vec<_> = (0..8).map(lease).collect();
        device.model().panics = true;
        thread::scope(|scope| {
            let end = |lease: ace_alloc_cuda::engine::Lease<ModelDevice>| {
                // SAFETY: the model's queues always exist.
                scope.spawn(move || unsafe { lease.end_after(0) }.map_err(|error| error.error()))
            };
            for ended in leases.into_iter().map(end).collect::<Vec<_>>() {
                assert_eq!(ended.join().expect("no panic"), Err(EngineError::Died));
            }
        });
    });
}

#[test]
fn waiting_can_be_limited_given_up_and_avoided() {
    let seed = random::seed();
    in_time(move || {
        let device = ModelDevice::new(seed, BUDGET_BYTES);
        let engine = start(&device);
        let states = register(&engine, 4);
        let (all, last) = (&states[..3], &states[3..]);
        assert_eq!(engine.try_acquire(AgentId(0), all).err(), Some(EngineError::WouldBlock));
        assert_eq!(engine.place(all[0]), Ok(Place::HostOnly), "nothing was set in motion");
        let held = engine.acquire(AgentId(0), all).expect("it fits");
        let again = engine.try_acquire(AgentId(1), all).expect("it is there");
        drop(again);
        let short = engine.acquire_timeout(AgentId(0), last, Duration::from_millis(5));
        assert_eq!(short.err(), Some(EngineError::TimedOut));
        let ticket = engine.request(AgentId(0), last).expect("it fits alone");
        let ticket = ticket.poll().expect("not refused").expect_err("nothing is free");
        drop(ticket);
        assert_eq!(engine.stats().expect("it runs").waiting_groups, 0);
        drop(held);
        drop(engine.acquire(AgentId(0), last).expect("it fits"));
    });
}

#[test]
fn wrong_requests_are_named() {
    let seed = random::seed();
    let device = ModelDevice::new(seed, BUDGET_BYTES);
    let engine = start(&device);
    let states = register(&engine, 4);
    let (agent, state) = (AgentId(0), states[0]);
    let error = |answer: Result<_, EngineError>| answer.expect_err("refused");
    assert_eq!(error(engine.acquire(agent, &[state, state])), EngineError::Twice(state));
    let stranger = AgentId(99);
    let not_owner = EngineError::NotOwner { agent: stranger, state };
    assert_eq!(error(engine.acquire(stranger, &[state])), not_owner);
    let too_large = EngineError::TooLarge { bytes: 4 * 5 * GRAIN, limit_bytes: BUDGET_BYTES };
    assert_eq!(error(engine.acquire(agent, &states)), too_large);
    engine.step(5).expect("a later step");
    assert_eq!(engine.step(4), Err(EngineError::PastStep));
    let past = engine.expect(agent, Source::Plan, NextUse::at(4));
    assert_eq!(past, Err(EngineError::PastHint));
    assert_eq!(engine.unpin(state), Err(EngineError::NotPinned));
    assert_eq!(engine.accept_loss(state), Err(EngineError::NotPoisoned));
    assert_eq!(
        engine.unshare(state, stranger),
        Err(EngineError::NotOwner { agent: stranger, state })
    );
    assert_eq!(engine.restore(|| Err(DeviceFault::OutOfMemory)), Err(EngineError::NotLost));
    for (pinned, state) in states.iter().enumerate() {
        let expected = if pinned < 3 { Ok(()) } else { Err(EngineError::NoRoom) };
        assert_eq!(engine.pin(*state), expected, "three fit");
    }
    let lease = engine.acquire(agent, &[state]).expect("it fits");
    let end = 5 * GRAIN - 7;
    assert_eq!(lease.wrote(state, end - 1..end + 1), Err(EngineError::BadRange));
    assert_eq!(lease.wrote(state, 4..4), Err(EngineError::BadRange));
    assert_eq!(lease.wrote(states[1], 0..1), Err(EngineError::NotInUse));
    assert_eq!(lease.address(states[1]), None);
    assert_eq!(engine.unregister(state), Err(EngineError::InUse));
    lease.wrote(state, 0..1).expect("in the lease");
    let (mut byte, last) = ([0], states[3]);
    assert_eq!(engine.read_host(state, 0, &mut byte), Err(EngineError::OnDevice));
    assert_eq!(engine.write_host(state, 0, &byte), Err(EngineError::OnDevice));
    assert_eq!(engine.write_host(last, end, &byte), Err(EngineError::BadRange));
    engine.write_host(last, end - 1, &[7]).expect("it is on the host");
    engine.read_host(last, end - 1, &mut byte).expect("it is on the host");
    assert_eq!(byte, [7]);
    drop(lease);
    engine.unregister(state).expect("not in use");
    assert_eq!(engine.unregister(state), Err(EngineError::UnknownState));
    assert_eq!(error(engine.acquire(agent, &[state])), EngineError::UnknownState);
}

#[test]
fn a_device_that_can_not_be_used_is_an_error_of_the_start() {
    let device = ModelDevice::new(1, BUDGET_BYTES);
    device.model().fail_always = Some(("attach", Failure::Lost));
    let answer = Engine::start(device.clone(), policy(0), settings());
    assert_eq!(answer.err(), Some(EngineError::DeviceLost));
}

#[test]
fn a_lost_device_is_replaced_under_its_callers() {
    let seed = random::seed();
    in_time(move || {
        let device = ModelDevice::new(seed, BUDGET_BYTES);
        let engine = start(&device);
        let states = register(&engine, 3);
        drop(engine.acquire(AgentId(0), &states).expect("it fits"));
        device.model().lose();
        let other = register(&engine, 1)[0];
        let lost = engine.acquire(AgentId(0), &[other]).expect_err("the device is lost");
        assert_eq!(lost, EngineError::DeviceLost);
        let new = ModelDevice::new(seed, BUDGET_BYTES);
        let none = engine.restore(|| Err(DeviceFault::Refused { call: "open", code: 100 }));
        assert_eq!(
            none,
            Err(EngineError::Device(DeviceFault::Refused { call: "open", code: 100 }))
        );
        let mut kept = [0; 8];
        engine.read_host(states[2], 0, &mut kept).expect("the host has it");
        assert_eq!(kept, [2; 8], "host copies outlive the device");
        let opened = new.clone();
        engine.restore(|| Ok(opened)).expect("a sound device");
        assert_eq!(engine.losses(), Ok(Vec::new()), "all were clean");
        device.model().assert_empty();
        let lease = engine.acquire(AgentId(0), &states).expect("it fits");
        for (number, state) in (0..).zip(&states) {
            let address = lease.address(*state).expect("in the lease");
            assert_eq!(new.model().read(address, 8), [number; 8]);
        }
    });
}

#[test]
fn fresh_states_are_computed_once_and_then_kept() {
    let mut computed = 0;
    let device = ModelDevice::new(random::seed(), BUDGET_BYTES);
    let engine = start(&device);
    let others = register(&engine, 3);
    let mut plain = Plain::new(9, 0, 5 * GRAIN);
    plain.on_host = false;
    assert_eq!(ace_alloc_cuda::state::AgentState::contents(&plain), Contents::None);
    let state = engine.register(&plain, HostCopy::Kept).expect("a sound state");
    for _ in 0..3 {
        let lease = engine.acquire(AgentId(0), &[state]).expect("it fits");
        let address = lease.address(state).expect("in the lease");
        if lease.is_fresh(state) {
            computed += 1;
            device.model().write(address, &[42; 5 * GRAIN as usize]);
            lease.wrote(state, 0..5 * GRAIN).expect("in the lease");
        }
        assert_eq!(device.model().read(address, 5 * GRAIN as usize), [42; 5 * GRAIN as usize]);
        drop(lease);
        drop(engine.acquire(AgentId(0), &others).expect("it fits when the state is gone"));
    }
    assert_eq!(computed, 1);
}
