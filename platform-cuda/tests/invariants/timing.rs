//! When things are decided: victims as late as possible, spent predictions at once.

use super::laws::{add, apply_all, begin, expect, place, stage, tell, visit};
use super::shadow::Plain;
use ace_alloc_cuda::{
    planner::{Event, Handle, Place},
    state::AgentId,
};

/// In step 1 a state is used, as was predicted; in `step` a new one needs its memory or that of another,
/// which is predicted for later.
fn what_was_used_goes_in(step: u64) {
    let mut stage = stage();
    let (used, expected) = (add(&mut stage, 1, 6), add(&mut stage, 2, 6));
    visit(&mut stage, expected, 2);
    expect(&mut stage, 1, 1);
    expect(&mut stage, 2, 50);
    tell(&mut stage, Event::Step(1));
    visit(&mut stage, used, 1);
    // Not told twice: in the same step nothing may come between.
    if step > 1 {
        tell(&mut stage, Event::Step(step));
    }
    let new = add(&mut stage, 3, 6);
    visit(&mut stage, new, 3);
    assert_eq!(place(&stage, used), Place::HostOnly, "nobody knows when it is used again");
    assert_eq!(place(&stage, expected), Place::Resident);
}

#[test]
fn what_was_used_and_is_not_predicted_again_goes_in_the_same_step() {
    what_was_used_goes_in(1);
}

#[test]
fn a_prediction_that_came_true_is_spent() {
    what_was_used_goes_in(2);
}

#[test]
fn other_states_of_an_agent_that_acts_are_as_near_as_can_be() {
    let mut stage = stage();
    let owned =
        |id| Plain { id, owners: vec![AgentId(1)], bytes: 4, on_host: true, recompute_ns: None };
    let (first, second) = (stage.register(&owned(1)), stage.register(&owned(2)));
    let other = add(&mut stage, 3, 4);
    for (state, id) in [(first, 1), (second, 1), (other, 3)] {
        visit(&mut stage, state, id);
    }
    tell(&mut stage, Event::Step(1));
    expect(&mut stage, 3, 2);
    visit(&mut stage, first, 1);
    begin(&mut stage, first, 1);
    let new = add(&mut stage, 4, 4);
    visit(&mut stage, new, 4);
    assert_eq!(place(&stage, second), Place::Resident, "wanted in this step");
    assert_eq!(place(&stage, other), Place::HostOnly, "wanted in the next one");
}

#[test]
fn space_is_found_for_two_demands_and_no_more_are_decided_until_one_is_copied() {
    let mut stage = stage();
    let old: Vec<Handle> = (1..=3).map(|id| add(&mut stage, id, 4)).collect();
    for (id, state) in (1..).zip(&old) {
        visit(&mut stage, *state, id);
        expect(&mut stage, id, 10 * id);
    }
    let new: Vec<Handle> = (4..=6).map(|id| add(&mut stage, id, 4)).collect();
    for (id, state) in (4..).zip(&new) {
        begin(&mut stage, *state, id);
    }
    assert_eq!(place(&stage, old[0]), Place::Resident, "nobody needs its space yet");
    // What is known later counts: the nearest has become the farthest.
    expect(&mut stage, 2, 5);
    apply_all(&mut stage);
    assert!(new.iter().all(|state| place(&stage, *state) == Place::InUse(1)));
}
