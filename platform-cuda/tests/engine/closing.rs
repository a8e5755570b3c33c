//! An engine that comes to its end while somebody still uses it.

use super::{
    model::{Failure, GRAIN, ModelDevice},
    stage::{BUDGET_BYTES, Plain, Stage},
    threads::{in_time, register, start},
};
use ace_alloc_cuda::{engine::EngineError, planner::Place, state::AgentId};
use ace_alloc_tests::random;

#[test]
fn states_can_be_unregistered_while_a_lease_keeps_the_engine_from_its_end() {
    let seed = random::seed();
    in_time(move || {
        let device = ModelDevice::new(seed, BUDGET_BYTES);
        let engine = start(&device);
        let states = register(&engine, 3);
        let [held, resident, on_host] = states[..] else { panic!("three states") };
        drop(engine.acquire(AgentId(0), &[resident]).expect("it fits"));
        let lease = engine.acquire(AgentId(0), &[held]).expect("it fits");
        assert_eq!(engine.place(resident), Ok(Place::Resident), "there is room for both");
        assert_eq!(engine.stop(), Err(EngineError::InUse), "a lease is held");
        assert_eq!(engine.unregister(held), Err(EngineError::InUse));
        engine.unregister(on_host).expect("not in use");
        engine.unregister(resident).expect("not in use");
        assert_eq!(engine.stats().expect("it runs").mapped_bytes, 5 * GRAIN, "the lease's");
        let address = lease.address(held).expect("in the lease");
        assert_eq!(device.model().read(address, 8), [0; 8]);
        drop(lease);
        engine.stop().expect("no lease is left");
        device.model().assert_empty();
    });
}

#[test]
fn a_state_that_leaves_a_closing_host_is_held_until_its_copies_have_ended() {
    let seed = random::seed();
    // Unregistered before the end begins, and after.
    for is_early in [true, false] {
        in_time(move || {
            let mut stage = Stage::new(seed, 0);
            let state = stage.register(Plain::new(0, 0, 7 * GRAIN)).expect("a sound state");
            stage.device.model().is_stopped = true;
            stage.request(AgentId(0), &[state]).expect("it fits");
            stage.turns(5);
            assert_eq!(stage.host().place(state), Ok(Place::Loading));
            if is_early {
                stage.unregister(state).expect("not in use");
                stage.host().close();
            } else {
                stage.host().close();
                stage.unregister(state).expect("not in use");
            }
            stage.turns(50);
            assert!(stage.host().holds(state), "a copy is under way");
            stage.device.model().is_stopped = false;
            stage.turns(200);
            assert!(!stage.host().holds(state));
            let device = stage.device.clone();
            drop(stage);
            device.model().assert_empty();
        });
    }
}

#[test]
fn a_use_whose_end_the_device_never_tells_ends_with_the_device() {
    let seed = random::seed();
    in_time(move || {
        let mut stage = Stage::new(seed, 0);
        let state = stage.register(Plain::new(0, 0, 7 * GRAIN)).expect("a sound state");
        stage.request(AgentId(0), &[state]).expect("it fits");
        stage.rest();
        assert!(stage.end_after(0, 0));
        stage.device.model().fail_always = Some(("is_ready", Failure::Refused));
        stage.turns(500);
        assert!(!stage.host().is_lost(), "it may answer yet");
        assert_eq!(stage.host().unregister(state), Err(EngineError::InUse));
        stage.turns(2000);
        assert!(stage.host().is_lost());
        stage.unregister(state).expect("not in use any more");
        stage.turns(1);
        assert!(!stage.host().holds(state));
    });
}

#[test]
fn an_engine_stops_though_the_device_never_tells_that_a_use_is_over() {
    let seed = random::seed();
    in_time(move || {
        let device = ModelDevice::new(seed, BUDGET_BYTES);
        let engine = start(&device);
        let states = register(&engine, 1);
        let lease = engine.acquire(AgentId(0), &states).expect("it fits");
        device.model().fail_always = Some(("is_ready", Failure::Refused));
        // SAFETY: the model's queues always exist.
        unsafe { lease.end_after(0) }.expect("it is marked");
        engine.stop().expect("no lease is left");
        device.model().lose();
        device.model().assert_empty();
    });
}
