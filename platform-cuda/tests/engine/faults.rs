//! Whatever call fails, whenever: contents are right or reported lost, nothing leaks, nobody waits for ever.

use super::{
    model::{Failure, GRAIN, ModelDevice},
    stage::{BUDGET_BYTES, Plain, Stage, policy, settings},
    walks::walk,
};
use ace_alloc_cuda::{
    engine::{EngineError, Host, HostCopy, Pace},
    planner::Place,
    state::AgentId,
};
use ace_alloc_tests::random;

const FAILURES: [Failure; 3] = [Failure::Refused, Failure::OutOfMemory, Failure::Lost];

/// Walks while the call of this number fails. Returns whether there was such a call.
fn fails_at(seed: u64, call: u64, failure: Failure, events: usize) -> bool {
    let device = ModelDevice::new(seed, 2 * BUDGET_BYTES);
    device.model().fail_at = Some((call, failure));
    let Ok(host) = Host::new(device.clone(), policy(seed as usize), settings()) else {
        device.model().assert_empty();
        return true;
    };
    let mut stage = Stage::with_host(seed, device, host);
    for _ in 0..events {
        walk(&mut stage, 1);
        if stage.host().is_lost() {
            stage.restore();
        }
    }
    stage.turns(200);
    if stage.host().is_lost() {
        stage.restore();
    }
    let reached = stage.device.model().calls >= call || failure == Failure::Lost;
    // What comes after counts its own calls.
    stage.device.model().fail_at = None;
    let happened = failure != Failure::Lost || stage.restored;
    stage.finish();
    reached && happened
}

#[test]
fn the_failure_of_any_one_call_costs_no_contents_and_no_memory() {
    let seed = random::seed();
    for failure in FAILURES {
        let mut call = 1;
        while fails_at(seed, call, failure, 400) {
            call += 1;
        }
        assert!(call > 200, "{failure:?}: only {call} calls were made");
    }
}

#[test]
fn random_failures_in_random_walks_cost_no_contents_and_no_memory() {
    let seed = random::seed();
    let mut random = random::Random::new(seed);
    for case in 0..u64::from(random::cases(150)) {
        let call = 1 + random.below(2000) as u64;
        fails_at(seed ^ case << 32, call, FAILURES[random.below(3)], 400);
    }
}

fn two_states(stage: &mut Stage) -> [ace_alloc_cuda::planner::Handle; 2] {
    let bytes = BUDGET_BYTES - GRAIN;
    [0, 1].map(|agent| stage.register(Plain::new(0, agent, bytes)).expect("a sound state"))
}

/// Acquires a state whose owner is known.
fn acquire(stage: &mut Stage, agent: u64, state: ace_alloc_cuda::planner::Handle) {
    stage.request(AgentId(agent), &[state]).expect("it fits");
    stage.rest();
}

#[test]
fn who_waits_for_memory_that_can_not_be_written_back_is_refused_and_nothing_is_lost() {
    let mut stage = Stage::new(random::seed(), 0);
    let [dirty, other] = two_states(&mut stage);
    acquire(&mut stage, 0, dirty);
    stage.write(0, dirty);
    stage.end(0);
    stage.device.model().fail_always = Some(("copy_out", Failure::Refused));
    acquire(&mut stage, 1, other);
    assert_eq!(stage.refusals, [EngineError::CopyFailed]);
    stage.device.model().fail_always = None;
    acquire(&mut stage, 1, other);
    assert_eq!(stage.uses.len(), 1, "with the device well again it is granted");
    stage.end_all();
    stage.finish();
}

#[test]
fn memory_that_can_not_be_unmapped_is_not_counted_on_any_more_and_comes_back_in_the_end() {
    let mut stage = Stage::new(random::seed(), 0);
    let [first, other] = two_states(&mut stage);
    acquire(&mut stage, 0, first);
    stage.end(0);
    stage.device.model().fail_always = Some(("unmap", Failure::Refused));
    acquire(&mut stage, 1, other);
    assert_eq!(stage.refusals, [EngineError::OutOfMemory]);
    let stats = stage.host().stats();
    assert_eq!(
        (stats.stranded_bytes, stats.mapped_bytes),
        (BUDGET_BYTES - GRAIN, BUDGET_BYTES - GRAIN)
    );
    let again = stage.host().request(AgentId(1), &[other]);
    assert_eq!(
        again,
        Err(EngineError::TooLarge { bytes: BUDGET_BYTES - GRAIN, limit_bytes: GRAIN })
    );
    stage.device.model().fail_always = None;
    for state in stage.handles() {
        stage.unregister(state).expect("not in use");
    }
    stage.rest();
    let device = stage.device.clone();
    drop(stage);
    device.model().assert_empty();
}

#[test]
fn another_device_has_all_its_memory_though_some_of_the_lost_one_could_not_be_unmapped() {
    let mut stage = Stage::new(random::seed(), 0);
    let [first, other] = two_states(&mut stage);
    acquire(&mut stage, 0, first);
    stage.end(0);
    stage.device.model().fail_always = Some(("unmap", Failure::Refused));
    acquire(&mut stage, 1, other);
    assert_eq!(stage.host().stats().stranded_bytes, BUDGET_BYTES - GRAIN);
    let small = stage.register(Plain::new(0, 2, GRAIN)).expect("a sound state");
    stage.device.model().lose();
    stage.host().prefetch(small).expect("registered");
    stage.turns(3);
    stage.restore();
    acquire(&mut stage, 1, other);
    assert_eq!((stage.grants, stage.host().stats().stranded_bytes), (2, 0));
    stage.end_all();
    stage.finish();
}

#[test]
fn a_device_with_less_memory_than_its_budget_holds_what_fits() {
    let mut stage = Stage::new(random::seed(), 1);
    stage.device.model().set_memory(BUDGET_BYTES / 2);
    let states: Vec<_> = (0..4)
        .map(|agent| stage.register(Plain::new(0, agent, 5 * GRAIN)).expect("a sound state"))
        .collect();
    for _ in 0..3 {
        for (agent, state) in (0..).zip(&states) {
            acquire(&mut stage, agent, *state);
            stage.end(0);
        }
    }
    assert_eq!((stage.grants, stage.refusals.len()), (12, 0));
    assert!(stage.host().stats().limit_bytes <= BUDGET_BYTES / 2);
    stage.finish();
}

#[test]
fn without_pinned_memory_copies_are_made_from_ordinary_memory() {
    let device = ModelDevice::new(random::seed(), BUDGET_BYTES);
    device.model().fail_always = Some(("pin", Failure::OutOfMemory));
    let host = Host::new(device.clone(), policy(0), settings()).expect("a sound device");
    let mut stage = Stage::with_host(1, device, host);
    walk(&mut stage, 600);
    let stats = stage.host().stats();
    assert!(stats.pageable_copies > 20 && stats.pin_refusals > 0, "{stats:?}");
    assert_eq!((stats.staged_copies, stats.direct_copies, stats.pinned_bytes), (0, 0, 0));
    stage.finish();
}

#[test]
fn the_loss_of_the_device_refuses_who_waits_keeps_clean_states_and_names_the_dirty_ones() {
    let mut stage = Stage::new(random::seed(), 0);
    let [clean, dirty, waited] =
        [0, 1, 2].map(|agent| stage.register(Plain::new(0, agent, 7 * GRAIN)).expect("sound"));
    acquire(&mut stage, 0, clean);
    acquire(&mut stage, 1, dirty);
    stage.write(1, dirty);
    stage.end(0);
    stage.request(AgentId(2), &[waited]).expect("it fits");
    stage.turns(3);
    stage.device.model().lose();
    stage.turns(3);
    assert_eq!(stage.refusals, [EngineError::DeviceLost]);
    assert_eq!(stage.host().request(AgentId(0), &[clean]), Err(EngineError::DeviceLost));
    let losses = stage.host().losses();
    let lost: Vec<_> =
        losses.iter().map(|loss| (loss.state, loss.version, loss.host_version)).collect();
    assert_eq!(lost, [(dirty, 2, Some(1))]);
    while !stage.uses.is_empty() {
        stage.end(0);
    }
    let other = ModelDevice::new(1, BUDGET_BYTES);
    let opened = other.clone();
    stage.host().restore(|| Ok(opened)).expect("a sound device");
    stage.device.model().assert_empty();
    stage.device = other;
    assert_eq!(stage.host().place(clean), Ok(Place::HostOnly));
    assert_eq!(stage.host().place(dirty), Ok(Place::Poisoned));
    assert_eq!(stage.host().request(AgentId(1), &[dirty]), Err(EngineError::Poisoned));
    stage.host().accept_loss(dirty).expect("poisoned");
    let contents = stage.old_contents(dirty);
    stage.states.get_mut(&dirty).expect("registered").truth = Some(contents);
    stage.forget_addresses();
    stage.finish();
}

#[test]
fn a_state_that_is_lost_while_it_is_unregistered_is_forgotten() {
    let mut stage = Stage::new(random::seed(), 0);
    let [first, other] = two_states(&mut stage);
    acquire(&mut stage, 0, first);
    stage.end(0);
    stage.unregister(first).expect("not in use");
    stage.device.model().lose();
    stage.turns(3);
    stage.restore();
    assert!(!stage.host().holds(first));
    acquire(&mut stage, 1, other);
    stage.end(0);
    let third = stage.register(Plain::new(0, 2, BUDGET_BYTES)).expect("a sound state");
    acquire(&mut stage, 2, third);
    assert_eq!((stage.grants, stage.uses.len()), (3, 1), "{:?}", stage.refusals);
    stage.finish();
}

#[test]
fn a_host_that_is_dropped_waits_for_its_copies() {
    let mut stage = Stage::new(random::seed(), 0);
    let [state, _] = two_states(&mut stage);
    stage.device.model().is_stopped = true;
    stage.request(AgentId(0), &[state]).expect("it fits");
    assert_eq!(stage.turns(5), Pace::Soon);
    let device = stage.device.clone();
    let slow = device.clone();
    let wakes = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(20));
        slow.model().is_stopped = false;
    });
    drop(stage);
    wakes.join().expect("it only sleeps");
    device.model().assert_empty();
}

#[test]
fn bad_settings_and_sizes_are_named() {
    let device = || ModelDevice::new(1, BUDGET_BYTES);
    let settings = |budget_bytes| ace_alloc_cuda::engine::Settings { budget_bytes, ..settings() };
    let error = Host::new(device(), policy(0), settings(0)).err();
    assert_eq!(error, Some(EngineError::BadSettings("budget_bytes")));
    let mut host = Host::new(device(), policy(0), settings(BUDGET_BYTES)).expect("sound");
    let empty = host.register(&Plain::new(0, 0, 0), HostCopy::Kept);
    assert_eq!(empty, Err(EngineError::BadSize));
    let short = host.register(&Plain::new(0, 0, 9), HostCopy::KeptFrom(&[0; 8]));
    assert_eq!(short, Err(EngineError::BadSize));
    let bytes = BUDGET_BYTES + 1;
    let huge = host.register(&Plain::new(0, 0, bytes), HostCopy::Kept);
    assert_eq!(huge, Err(EngineError::TooLarge { bytes, limit_bytes: BUDGET_BYTES }));
    let vast = host.register(&Plain::new(0, 0, 1 << 60), HostCopy::Kept);
    assert!(matches!(vast, Err(EngineError::TooLarge { .. })), "and no host memory was asked for");
    let endless = host.register(&Plain::new(0, 0, u64::MAX), HostCopy::Kept);
    assert_eq!(endless, Err(EngineError::BadSize));
}
