//! What is predicted, and what is not taken for a prediction.

use super::laws::{add, expect, place, stage, tell, visit};
use ace_alloc_cuda::{
    distance::{NextUse, Source},
    planner::{Error, Event, Place},
    state::AgentId,
};

#[test]
fn a_prediction_of_the_past_or_of_a_stranger_is_refused_and_changes_nothing() {
    let mut stage = stage();
    let state = add(&mut stage, 1, 4);
    tell(&mut stage, Event::Step(10));
    expect(&mut stage, 1, 12);
    let trust = format!("{:?}", stage.planner.trust());
    for (id, step, error) in [(1, 9, Error::PastHint), (2, 12, Error::UnknownAgent)] {
        let next_use = NextUse::at(step);
        let event = Event::Expect { agent: AgentId(id), source: Source::Plan, next_use };
        assert_eq!(stage.observe(event), Err(error));
    }
    assert_eq!(format!("{:?}", stage.planner.trust()), trust);
    tell(&mut stage, Event::LinkSpare { spare_ns: 1000, bytes_per_second: 1_000_000_000 });
    assert_eq!(place(&stage, state), Place::Loading, "as the prediction before it said");
}

#[test]
fn many_predictions_at_once_are_those_one_by_one_up_to_the_first_that_is_wrong() {
    let planners = || {
        let mut stage = stage();
        for id in 1..=40 {
            add(&mut stage, id, 1);
        }
        tell(&mut stage, Event::Step(5));
        stage.planner
    };
    let hint = |id, step| (AgentId(id), Source::Hint, NextUse::at(step));
    let mut hints: Vec<_> = (1..=40).map(|id| hint(41 - id, 6 + id * 7 % 13)).collect();
    for wrong in [None, Some((0, hint(1, 4))), Some((17, hint(99, 9))), Some((39, hint(2, 4)))] {
        if let Some((at, hint)) = wrong {
            hints[at] = hint;
        }
        let (mut one, mut many) = (planners(), planners());
        let singly = hints.iter().enumerate().try_for_each(|(at, hint)| {
            let (agent, source, next_use) = *hint;
            one.observe(Event::Expect { agent, source, next_use }).map_err(|error| (at, error))
        });
        assert_eq!(many.expect_all(&hints), singly);
        assert_eq!(
            singly.err().map(|(at, _)| at),
            hints.iter().position(|h| h.0.0 == 99 || h.2 < NextUse::at(5))
        );
        assert_eq!(many.index_moves(), one.index_moves());
        for planner in [&mut one, &mut many] {
            let spare = Event::LinkSpare { spare_ns: 1000, bytes_per_second: 1_000_000_000 };
            planner.observe(spare).expect("fine");
        }
        loop {
            let (action, other) = (one.decide(), many.decide());
            assert_eq!(action, other, "the nearest first, in the same order");
            let Some(action) = action else { break };
            for planner in [&mut one, &mut many] {
                planner.observe(Event::Applied { action, result: Ok(()) }).expect("given");
            }
        }
        hints.iter_mut().for_each(|hint| hint.2 = hint.2.max(NextUse::at(5)));
    }
}

#[test]
fn a_prediction_that_passed_does_not_come_back_with_anothers() {
    let mut stage = stage();
    let (late, soon) = (add(&mut stage, 1, 4), add(&mut stage, 2, 4));
    expect(&mut stage, 1, 5);
    tell(&mut stage, Event::Step(10));
    let hint = |id, step| {
        let next_use = NextUse::at(step);
        Event::Expect { agent: AgentId(id), source: Source::Hint, next_use }
    };
    tell(&mut stage, hint(1, 30));
    tell(&mut stage, hint(2, 20));
    tell(&mut stage, Event::LinkSpare { spare_ns: 4, bytes_per_second: 1_000_000_000 });
    assert_eq!(place(&stage, soon), Place::Loading, "the nearer of the two");
    assert_eq!(place(&stage, late), Place::HostOnly);
}

#[test]
fn the_last_step_there_is_may_come() {
    let mut stage = stage();
    let state = add(&mut stage, 1, 4);
    expect(&mut stage, 1, 3);
    for step in [1 << 63, u64::MAX - 1, u64::MAX] {
        tell(&mut stage, Event::Step(step));
        visit(&mut stage, state, 1);
    }
}
