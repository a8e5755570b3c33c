//! What one prediction costs among 100,000 agents: `cargo bench -p ace-alloc-cuda-sim --bench index`.
//!
//! Every prediction is of another agent, in no order, as far ahead as 1000 steps. Printed is the median of 9
//! rounds of 200,000, in nanoseconds a prediction, and the least and greatest: as events one by one, and by
//! `Planner::expect_all`.

use ace_alloc_cuda::{
    distance::{NextUse, Source},
    planner::{Event, Planner, Settings},
    policy::{Ace, Cost, Distance, Guard, Hedge, Lru, Policy},
    random::Random,
    state::{AgentId, AgentState, Contents, Kind},
};
use std::fs;

const AGENTS: u64 = 100_000;
const ROUNDS: usize = 9;
const UPDATES: u32 = 200_000;

struct Plain(AgentId);

impl AgentState for Plain {
    fn id(&self) -> u64 {
        self.0.0
    }
    fn owners(&self) -> Vec<AgentId> {
        vec![self.0]
    }
    fn bytes(&self) -> u64 {
        1
    }
    fn kind(&self) -> Kind {
        Kind::Opaque
    }
    fn contents(&self) -> Contents {
        Contents::Host { version: 1 }
    }
    fn reload_cost_ns(&self) -> u64 {
        1
    }
}

/// What this thread has computed: a busy machine makes it wait, and that is not counted.
fn processor_ns() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells it");
    let first = text.split_whitespace().next().and_then(|number| number.parse().ok());
    first.expect("a number of nanoseconds comes first")
}

fn measure(policy: Box<dyn Policy>) {
    let name = policy.name();
    let settings = Settings { budget_bytes: AGENTS / 2, chunk_bytes: 1, chunks_in_flight: 2 };
    let mut planner = Planner::new(policy, settings);
    let mut random = Random::new(1);
    // Programs number their agents as they like.
    let agents: Vec<AgentId> = (0..AGENTS).map(|_| AgentId(random.draw())).collect();
    for agent in &agents {
        planner.register(&Plain(*agent)).expect("it has a byte");
    }
    let mut rounds = [const { Vec::new() }; 2];
    for _ in 0..ROUNDS {
        for (in_groups, rounds) in [false, true].into_iter().zip(&mut rounds) {
            let hint = |_| {
                let agent = agents[random.below(AGENTS) as usize];
                (agent, Source::Plan, NextUse::at(random.below(1000)))
            };
            let hints: Vec<_> = (0..UPDATES).map(hint).collect();
            let begun_ns = processor_ns();
            if in_groups {
                planner.expect_all(&hints).expect("known agents");
            } else {
                for (agent, source, next_use) in hints {
                    let event = Event::Expect { agent, source, next_use };
                    planner.observe(event).expect("a known agent");
                }
            }
            rounds.push((processor_ns() - begun_ns) / f64::from(UPDATES));
        }
    }
    let [single, groups] = rounds.map(|mut rounds| {
        rounds.sort_by(f64::total_cmp);
        let (least, most) = (rounds[0], rounds[ROUNDS - 1]);
        format!("{:6.0} ({least:.0} to {most:.0})", rounds[ROUNDS / 2])
    });
    println!("{name:10} one by one {single}   all at once {groups}");
}

fn main() {
    let policies: [Box<dyn Policy>; 6] = [
        Box::new(Lru),
        Box::new(Distance),
        Box::new(Cost),
        Box::new(Hedge),
        Box::new(Ace::new()),
        Box::new(Guard::new(1)),
    ];
    policies.into_iter().for_each(measure);
}
