//! The planner's invariants, under random events and faults, with every policy. The numbers are those of
//! the module's documentation.
//!
//! `ACE_TEST_SEED` and `ACE_TEST_CASES` vary the runs.

mod crowd;
mod hints;
mod hostile;
mod laws;
mod model;
mod shadow;
mod timing;

use ace_alloc_cuda::{
    distance::{NextUse, SOURCES},
    planner::{Event, Fault, Handle, Span},
    policy::{Ace, Chance, Cost, Distance, Guard, Hedge, Lru, Oracle, OwnGap, Policy, Swap},
    state::AgentId,
};
use ace_alloc_tests::random;
use model::{BUDGET_BYTES, Stage};
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use shadow::Plain;

/// Which event, and three numbers that say of what.
type Op = (u8, u8, u8, u8);

fn policy(which: usize) -> Box<dyn Policy> {
    match which {
        0 => Box::new(Lru),
        1 => Box::new(Chance::new(1)),
        2 => Box::new(Swap),
        3 => Box::new(Distance),
        4 => Box::new(Cost),
        5 => Box::new(OwnGap),
        6 => Box::new(Hedge),
        7 => Box::new(Guard::new(1)),
        8 => Box::new(Ace::new()),
        _ => Box::new(Oracle),
    }
}
const POLICIES: usize = 10;

fn play(stage: &mut Stage, ops: &[Op]) {
    let mut step = 0;
    for (id, (kind, what, more, rest)) in (0..).zip(ops) {
        let handles = stage.handles();
        let agent = AgentId(u64::from(more % 5));
        let Some(state) = handles.get(usize::from(*what) % handles.len().max(1)).copied() else {
            register(stage, id, *what, *more);
            continue;
        };
        let event = match kind {
            0..4 => {
                if handles.len() < 9 {
                    register(stage, id, *what, *more);
                }
                continue;
            }
            4 => {
                stage.unregister(state);
                continue;
            }
            5..45 => Event::Begin { state, agent },
            45..75 => Event::End { state },
            75..90 => wrote(state, *more, *rest),
            90..110 => {
                step += u64::from(what % 4);
                Event::Step(step)
            }
            110..130 => Event::Expect {
                agent,
                source: SOURCES[usize::from(*what) % SOURCES.len()],
                next_use: NextUse::after(step, u64::from(*rest) * 32),
            },
            130..140 => {
                Event::LinkSpare { spare_ns: u64::from(*rest), bytes_per_second: 100_000_000 }
            }
            140..145 => Event::Withdraw { state, agent },
            145..148 => Event::Prefetch(state),
            148..150 => Event::Cancel(state),
            150..153 => Event::Pin(state),
            153..158 => Event::Unpin(state),
            158..160 => Event::Retain { state, until_step: step + u64::from(rest % 4) },
            160..162 => Event::Demote(state),
            162..165 => Event::Share { state, agent },
            165..167 => Event::Unshare { state, agent },
            167..169 => Event::Budget { bytes: u64::from(rest % 16) },
            169..171 => Event::Budget { bytes: BUDGET_BYTES },
            171 => Event::DeviceLost,
            172..175 => Event::DeviceRestored { budget_bytes: BUDGET_BYTES },
            175..178 => Event::AcceptLoss(state),
            _ => {
                answer(stage, *what, *more, *rest);
                continue;
            }
        };
        stage.patience = if more.is_multiple_of(3) { 1 } else { usize::MAX };
        // Many are refused, as they should be; what is taken is checked.
        let _ = stage.observe(event);
    }
}

fn register(stage: &mut Stage, id: u64, what: u8, more: u8) {
    let owners = (0..=u64::from(what % 3)).map(|at| AgentId((u64::from(more) + at) % 5)).collect();
    let recompute_ns = [None, None, Some(50), Some(500)][usize::from(more % 4)];
    let bytes = u64::from(more % 6) + 1;
    stage.register(&Plain { id, owners, bytes, on_host: !what.is_multiple_of(4), recompute_ns });
}

fn wrote(state: Handle, more: u8, rest: u8) -> Event {
    let (offset_bytes, bytes) = (u64::from(more % 6), u64::from(rest % 4));
    Event::Wrote { state, span: Span { offset_bytes, bytes } }
}

/// One in eight answers is a failure.
fn answer(stage: &mut Stage, what: u8, more: u8, rest: u8) {
    if stage.given.is_empty() {
        return;
    }
    let fault = match more {
        0..16 => Some(Fault::OutOfMemory { free_bytes: u64::from(rest % 8) }),
        16..32 => Some(Fault::Other),
        _ => None,
    };
    stage.apply(usize::from(what) % stage.given.len(), fault);
}

#[test]
fn invariants_hold_whatever_happens() {
    let seed = random::seed();
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    for which in 0..POLICIES {
        let config =
            Config { cases: random::cases(150), failure_persistence: None, ..Config::default() };
        let mut runner =
            TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &key));
        let op = any::<Op>();
        let outcome = runner.run(&vec(op, 1..300), |ops| {
            let mut stage = Stage::new(policy(which));
            play(&mut stage, &ops);
            stage.wind_down();
            Ok(())
        });
        if let Err(failure) = outcome {
            panic!("{}, seed {seed}: {failure}", policy(which).name());
        }
    }
}

fn script(random: &mut random::Random, length: usize) -> Vec<Op> {
    let drawn = (0..length).map(|_| random.draw().to_le_bytes());
    drawn.map(|[kind, what, more, rest, ..]| (kind, what, more, rest)).collect()
}

#[test]
fn the_same_events_lead_to_the_same_actions() {
    let mut random = random::Random::new(random::seed());
    let ops: Vec<Op> =
        (0..3000).map(|_| random.draw().to_le_bytes()).map(|b| (b[0], b[1], b[2], b[3])).collect();
    for which in 0..POLICIES {
        let run = || {
            let mut stage = Stage::new(policy(which));
            play(&mut stage, &ops);
            stage.log
        };
        let log = run();
        assert!(log.len() > 2000, "{} lines", log.len());
        assert!(log == run(), "{} is not deterministic", policy(which).name());
    }
}

/// The random runs are worth something only if they reach every place and every kind of ending.
#[test]
fn the_random_events_reach_every_corner() {
    let mut random = random::Random::new(random::seed());
    let mut log = String::new();
    for _ in 0..60 {
        let mut stage = Stage::new(policy(3));
        play(&mut stage, &script(&mut random, 1000));
        log += &format!("{:?}{:?}", stage.log, stage.places);
    }
    for word in [
        "Absent",
        "Loading",
        "Resident",
        "InUse(2)",
        "Evicting",
        "HostOnly",
        "Poisoned",
        "CopyIn",
        "CopyOut",
        "Unmap",
        "fresh: true",
        "TooLarge",
        "OutOfMemory",
        "CopyFailed",
        "Withdrawn",
        "Unregistered",
        "reason: DeviceLost",
        "Blocked",
        "Lost {",
        "Released",
        "task: Prefetch, end: Done",
        "task: Prefetch, end: Cancelled",
        "task: Demand, end: Failed",
        "task: Evict, end: Cancelled",
        "task: Evict, end: Failed(Other)",
        "task: Evict, end: DeviceLost",
    ] {
        assert!(log.contains(word), "never reached: {word}");
    }
}
