//! Invariant 12: what an event costs does not grow with the number of states.

use super::shadow::Plain;
use ace_alloc_cuda::{
    distance::{NextUse, Source},
    planner::{End, Event, Handle, Planner, Report, Settings, Task},
    policy::{Ace, Distance, Hedge, Lru, Policy},
    state::AgentId,
};

/// 100,000 agents with a state each; how many entries of any index move for one event.
#[test]
fn an_event_among_a_hundred_thousand_agents_moves_few_entries() {
    const COUNT: u64 = 100_000;
    let settings = Settings { budget_bytes: COUNT / 2, chunk_bytes: 1, chunks_in_flight: 2 };
    let policies: [Box<dyn Policy>; 4] =
        [Box::new(Distance), Box::new(Lru), Box::new(Hedge), Box::new(Ace::new())];
    for policy in policies {
        let mut planner = Planner::new(policy, settings);
        let states: Vec<Handle> = (0..COUNT)
            .map(|id| {
                let owners = vec![AgentId(id)];
                let plain = Plain { id, owners, bytes: 1, on_host: true, recompute_ns: None };
                planner.register(&plain).expect("sound")
            })
            .collect();
        let mut most = 0;
        for round in 0..4 * COUNT {
            let id = round * 7919 % COUNT;
            let before = planner.index_moves();
            let agent = AgentId(id);
            let next_use = NextUse::after(0, round * 104_729 % 1_000_000);
            planner
                .observe(Event::Expect { agent, source: Source::Hint, next_use })
                .expect("known");
            most = most.max(planner.index_moves() - before);
            if round % 4 == 0 {
                run(&mut planner, states[id as usize], agent);
            }
        }
        // Three orders at most, each out and in again, each within the depth of a heap of four children.
        assert!(most <= 3 * (2 * 9 + 3), "{most} moves");
    }
}

fn run(planner: &mut Planner, state: Handle, agent: AgentId) {
    planner.observe(Event::Begin { state, agent }).expect("registered");
    while let Some(action) = planner.decide() {
        planner.observe(Event::Applied { action, result: Ok(()) }).expect("given");
    }
    planner.observe(Event::End { state }).expect("granted");
    while let Some(report) = planner.report() {
        let fine = match report {
            Report::Ended { end, task, .. } => end == End::Done && task != Task::Prefetch,
            Report::Granted { .. } => true,
            _ => false,
        };
        assert!(fine, "{report:?}");
    }
}
