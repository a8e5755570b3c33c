//! Random walks: contents are compared byte by byte at every grant, and the device watches the rest.

use super::stage::{BUDGET_BYTES, Plain, Stage};
use ace_alloc_cuda::{
    distance::{NextUse, Source},
    engine::EngineError,
    planner::Handle,
    state::AgentId,
};
use ace_alloc_tests::random::{self, Random};

const AGENTS: usize = 5;

fn plain(random: &mut Random) -> Plain {
    let mut plain = Plain::new(0, random.below(AGENTS) as u64, 1 + random.below(1600) as u64);
    if random.below(3) == 0 {
        plain.owners.push(AgentId(random.below(AGENTS) as u64));
    }
    plain.on_host = random.below(4) > 0;
    plain.recompute_ns = (random.below(5) == 0).then_some(1);
    plain
}

fn any(random: &mut Random, handles: &[Handle]) -> Option<Handle> {
    (!handles.is_empty()).then(|| handles[random.below(handles.len())])
}

fn request(stage: &mut Stage) {
    let agent = AgentId(stage.random.below(AGENTS) as u64);
    let owned = |handle: &Handle| stage.states[handle].plain.owners.contains(&agent);
    let mut owned: Vec<Handle> = stage.handles().into_iter().filter(owned).collect();
    let most = 1 + stage.random.below(2);
    while owned.len() > most {
        owned.remove(stage.random.below(owned.len()));
    }
    match stage.request(agent, &owned) {
        Ok(()) | Err(EngineError::DeviceLost | EngineError::Poisoned) => {}
        Err(EngineError::TooLarge { bytes, limit_bytes }) => assert!(bytes > limit_bytes),
        Err(error) => panic!("seed {}: {error}", stage.seed),
    }
}

fn end_or_write(stage: &mut Stage) {
    let granted = (0..stage.uses.len()).filter(|at| stage.uses[*at].is_granted).collect::<Vec<_>>();
    if granted.is_empty() {
        return;
    }
    let at = granted[stage.random.below(granted.len())];
    match stage.random.below(4) {
        0 | 1 => {
            let states = stage.uses[at].states.clone();
            if let Some(state) = any(&mut stage.random, &states) {
                stage.write(at, state);
            }
        }
        2 => stage.end(at),
        _ => {
            let queue = stage.random.below(3) as u64;
            stage.end_after(at, queue);
        }
    }
}

fn withdraw(stage: &mut Stage) {
    if let Some(at) = stage.uses.iter().position(|one| !one.is_granted) {
        let one = stage.uses.remove(at);
        stage.host().withdraw(one.group);
    }
}

fn pin(stage: &mut Stage, state: Handle) {
    if stage.states[&state].pins > 0 {
        stage.host().unpin(state).expect("pinned");
        stage.states.get_mut(&state).expect("registered").pins -= 1;
    } else if stage.random.below(4) == 0 && stage.host().pin(state).is_ok() {
        stage.states.get_mut(&state).expect("registered").pins += 1;
    }
}

fn one_event(stage: &mut Stage) {
    let handles = stage.handles();
    let kind = stage.random.below(100);
    let state = any(&mut stage.random, &handles);
    let Some(state) = state.filter(|_| kind >= 6 || handles.len() > 12) else {
        let plain = plain(&mut stage.random);
        stage.register(plain).expect("a sound state");
        return;
    };
    match kind {
        0..9 => match stage.unregister(state) {
            Ok(()) | Err(EngineError::InUse) => {}
            Err(error) => panic!("seed {}: {error}", stage.seed),
        },
        9..28 => request(stage),
        28..60 => end_or_write(stage),
        60..63 => withdraw(stage),
        63..66 => pin(stage, state),
        66..69 => {
            let until = stage.step + stage.random.below(2) as u64;
            let _ = stage.host().retain(state, until);
        }
        69..74 => stage.host().prefetch(state).expect("registered"),
        74..76 => stage.host().cancel(state).expect("registered"),
        76..78 => stage.host().demote(state).expect("registered"),
        78..82 => {
            stage.step += 1;
            let step = stage.step;
            stage.host().step(step).expect("a later step");
        }
        82..88 => {
            let agent = AgentId(stage.random.below(AGENTS) as u64);
            let next_use = NextUse::at(stage.step + stage.random.below(6) as u64);
            match stage.host().expect(agent, Source::Plan, next_use) {
                Ok(()) | Err(EngineError::UnknownAgent) => {}
                Err(error) => panic!("seed {}: {error}", stage.seed),
            }
        }
        88..90 => {
            let bytes = BUDGET_BYTES - BUDGET_BYTES / 16 * stage.random.below(8) as u64;
            stage.host().set_budget(bytes);
        }
        90..92 => {
            let bytes = stage.states[&state].plain.bytes as usize;
            let mut found = vec![0; bytes];
            if stage.host().read_host(state, 0, &mut found).is_ok() {
                assert_eq!(Some(&found), stage.states[&state].truth.as_ref(), "an old host copy");
            }
        }
        _ => {}
    }
    let turns = stage.random.below(4);
    stage.turns(turns);
}

pub fn walk(stage: &mut Stage, events: usize) {
    for _ in 0..events {
        one_event(stage);
    }
}

#[test]
fn every_state_holds_what_was_written_to_it_wherever_it_has_been() {
    let seed = random::seed();
    let (mut grants, mut direct, mut staged, mut pageable) = (0, 0, 0, 0);
    for case in 0..u64::from(random::cases(60)) {
        let mut stage = Stage::new(seed ^ case << 32, case as usize);
        walk(&mut stage, 600);
        grants += stage.grants;
        let stats = stage.host().stats();
        direct += stats.direct_copies;
        staged += stats.staged_copies;
        pageable += stats.pageable_copies;
        stage.finish();
    }
    assert!(grants > 1000, "{grants} grants are too few to have tried anything");
    assert!(direct > 100 && staged > 1000 && pageable == 0, "{direct}, {staged}, {pageable}");
}
