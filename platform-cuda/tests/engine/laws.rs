//! Single promises of the host, each on its own.

use super::{
    model::{GRAIN, ModelDevice},
    stage::{BUDGET_BYTES, Plain, Stage, policy, settings},
};
use ace_alloc_cuda::{
    distance::{NextUse, Source},
    engine::{EngineError, Host, Pace, Settings},
    planner::{Handle, Place},
    state::AgentId,
};
use ace_alloc_tests::random;

/// States of so many grains, each of the agent of its number.
fn states<const COUNT: usize>(stage: &mut Stage, grains: [u64; COUNT]) -> [Handle; COUNT] {
    let mut agent = 0;
    grains.map(|grains| {
        agent += 1;
        stage.register(Plain::new(0, agent - 1, grains * GRAIN)).expect("a sound state")
    })
}

fn use_once(stage: &mut Stage, agent: u64, state: Handle) {
    stage.request(AgentId(agent), &[state]).expect("it fits");
    stage.rest();
    stage.end_all();
}

#[test]
fn what_is_predicted_is_fetched_while_the_link_is_idle_and_nobody_asks() {
    let mut stage = Stage::new(random::seed(), 1);
    let [near, unknown] = states(&mut stage, [4, 4]);
    stage.host().step(1).expect("the first step");
    stage.host().expect(AgentId(0), Source::Plan, NextUse::at(3)).expect("a later step");
    let Pace::After(ns) = stage.turns(1) else { panic!("the window is not over") };
    assert!(ns <= settings().window_ns);
    stage.turns(usize::try_from(settings().window_ns / 1000).expect("few") + 200);
    assert_eq!(stage.host().place(near), Ok(Place::Resident));
    assert_eq!(stage.host().place(unknown), Ok(Place::HostOnly));
    assert_eq!(stage.turns(100), Pace::Idle, "then there is nothing more to do");
    let totals = stage.host().stats().totals;
    assert_eq!((totals.prefetch_bytes, totals.demand_bytes), (4 * GRAIN, 0));
    stage.finish();
}

#[test]
fn what_is_predicted_is_fetched_though_steps_are_shorter_than_its_copy() {
    let device = ModelDevice::new(random::seed(), BUDGET_BYTES);
    // In a step of a microsecond the link carries 400 bytes.
    let settings = Settings { assumed_bytes_per_second: 400_000_000, ..settings() };
    let host = Host::new(device.clone(), policy(1), settings).expect("a sound device");
    let mut stage = Stage::with_host(1, device, host);
    let [state] = states(&mut stage, [4]);
    for step in 1..200 {
        stage.host().step(step).expect("a later step");
        stage.host().expect(AgentId(0), Source::Plan, NextUse::at(step + 5)).expect("later");
        stage.turns(1);
    }
    assert_eq!(stage.host().place(state), Ok(Place::Resident));
    stage.step = 200;
    stage.finish();
}

#[test]
fn a_demand_overtakes_what_is_fetched_ahead() {
    let mut stage = Stage::new(random::seed(), 1);
    let [ahead, wanted] = states(&mut stage, [8, 2]);
    stage.host().prefetch(ahead).expect("registered");
    stage.turns(2);
    assert_eq!(stage.host().place(ahead), Ok(Place::Loading));
    stage.request(AgentId(1), &[wanted]).expect("it fits");
    while !stage.uses[0].is_granted {
        stage.turns(1);
    }
    assert_eq!(stage.host().place(ahead), Ok(Place::Loading), "it was not waited for");
    stage.end_all();
    stage.finish();
}

#[test]
fn memory_stays_until_the_work_of_its_last_use_is_done() {
    let mut stage = Stage::new(random::seed(), 0);
    let [first, other] = states(&mut stage, [15, 15]);
    stage.request(AgentId(0), &[first]).expect("it fits");
    stage.rest();
    stage.device.model().is_stopped = true;
    let group = stage.uses[0].group;
    assert!(stage.end_after(0, 0), "marked");
    assert_eq!(stage.host().end(group), Err(EngineError::NotInUse), "it ends by itself");
    stage.host().withdraw(group);
    stage.request(AgentId(1), &[other]).expect("it fits alone");
    assert_eq!(stage.turns(500), Pace::Soon);
    assert_eq!(stage.host().place(first), Ok(Place::InUse(1)), "the kernel has not ended");
    stage.device.model().is_stopped = false;
    stage.rest();
    assert_eq!((stage.grants, stage.host().place(first)), (2, Ok(Place::HostOnly)));
    stage.end_all();
    stage.finish();
}

#[test]
fn a_large_group_has_its_turn_though_small_ones_keep_coming() {
    let mut stage = Stage::new(random::seed(), 2);
    let [large, small, other] = states(&mut stage, [14, 4, 4]);
    stage.request(AgentId(1), &[small]).expect("it fits");
    stage.rest();
    stage.request(AgentId(0), &[large]).expect("it fits alone");
    for round in 0..10 {
        let (agent, state) = if round % 2 == 0 { (2, other) } else { (1, small) };
        stage.request(AgentId(agent), &[state]).expect("it fits");
        stage.turns(100);
    }
    let granted = stage.uses.iter().filter(|one| one.is_granted).count();
    assert_eq!(granted, 1, "who comes later waits, though there is room");
    stage.end(0);
    stage.turns(500);
    let first = &stage.uses[0];
    assert!(first.is_granted && first.states == [large], "the large one is next");
    stage.end_all();
    assert_eq!(stage.grants, 12);
    stage.finish();
}

#[test]
fn groups_that_need_each_others_memory_do_not_wait_for_each_other() {
    let mut stage = Stage::new(random::seed(), 0);
    let owners = [AgentId(0), AgentId(1)];
    let shared = |bytes| Plain { owners: owners.to_vec(), ..Plain::new(0, 0, bytes) };
    let all = [0; 4].map(|_| stage.register(shared(6 * GRAIN)).expect("a sound state"));
    for _ in 0..20 {
        stage.request(AgentId(0), &all[..2]).expect("it fits");
        stage.request(AgentId(1), &all[2..]).expect("it fits");
        stage.request(AgentId(1), &[all[3], all[0]]).expect("it fits");
        stage.end_all();
    }
    assert_eq!((stage.grants, stage.refusals.len()), (60, 0));
    stage.finish();
}

#[test]
fn physical_memory_is_recycled_and_the_same_swap_creates_nothing_more() {
    let mut stage = Stage::new(random::seed(), 0);
    let [one, other] = states(&mut stage, [11, 13]);
    for _ in 0..2 {
        use_once(&mut stage, 0, one);
        use_once(&mut stage, 1, other);
    }
    let created = stage.device.model().creates;
    for _ in 0..20 {
        use_once(&mut stage, 0, one);
        use_once(&mut stage, 1, other);
    }
    // 11 is 4 + 4 + 2 + 1 grains, 13 is 4 + 4 + 4 + 1: together 15 of 16.
    assert_eq!(stage.device.model().creates, created);
    stage.finish();
}

#[test]
fn pooled_memory_is_given_up_before_anybody_is_refused() {
    let mut stage = Stage::new(random::seed(), 0);
    stage.device.model().set_memory(6 * GRAIN);
    let [gone, stays] = states(&mut stage, [4, 3]);
    use_once(&mut stage, 0, gone);
    stage.unregister(gone).expect("not in use");
    stage.rest();
    assert_eq!(stage.host().stats().pooled_bytes, 4 * GRAIN);
    use_once(&mut stage, 1, stays);
    let stats = stage.host().stats();
    assert_eq!((stats.limit_bytes, stats.failures), (BUDGET_BYTES, 0), "nothing had to go");
    stage.finish();
}

#[test]
fn what_a_reload_costs_is_measured_for_who_does_not_say() {
    let device = ModelDevice::new(random::seed(), BUDGET_BYTES);
    let host = Host::new(device.clone(), policy(0), settings()).expect("a sound device");
    let mut stage = Stage::with_host(1, device, host);
    assert_eq!(stage.host().stats().inward_bytes_per_second, None);
    let [state] = states(&mut stage, [12]);
    use_once(&mut stage, 0, state);
    let stats = stage.host().stats();
    assert_eq!(stats.inward_bytes, 12 * GRAIN);
    // A turn takes a microsecond, and there were some in which nothing arrived.
    let speed = stats.inward_bytes_per_second.expect("measured");
    assert!(speed > 1_000_000 && speed <= 12 * GRAIN * 1_000_000, "{speed}");
    stage.finish();
}
