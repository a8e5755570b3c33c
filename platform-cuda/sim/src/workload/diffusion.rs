//! Activity that spreads over a grid from neighbour to neighbour, and hops predict it.

use super::{Hint, Size, Trace, shuffle};
use ace_alloc_cuda::{
    distance::{DistanceSource, Graph, Source},
    random::Random,
    state::AgentId,
};
use std::collections::BTreeSet;

/// Predictions reach this far.
const MOST_HOPS: u64 = 6;

/// A fifth of the agents act in each step; who acts calls one or two of its four neighbours.
#[must_use]
pub fn diffusion(size: Size, seed: u64) -> Trace {
    let mut random = Random::new(seed);
    let mut trace = Trace::new("diffusion", size, &mut random);
    let side = size.agents.isqrt().max(1);
    let neighbours = |agent: u32| {
        let (row, column) = (agent / side, agent % side);
        let beside = [(1, 0), (side - 1, 0), (0, 1), (0, side - 1)];
        beside.map(|(down, right)| (row + down) % side * side + (column + right) % side)
    };
    let mut graph = Graph::default();
    for agent in 0..side * side {
        for next in neighbours(agent) {
            graph.connect(AgentId(u64::from(agent)), AgentId(u64::from(next)));
        }
    }
    let wanted = (side * side / 5).max(1) as usize;
    // One patch, so that there is a near and a far.
    let mut acting: BTreeSet<u32> = (0..wanted as u32).collect();
    for (number, step) in (0u64..).zip(&mut trace.steps) {
        step.requests = acting.iter().copied().collect();
        shuffle(&mut step.requests, &mut random);
        let ids: Vec<AgentId> = acting.iter().map(|agent| AgentId(u64::from(*agent))).collect();
        graph.reach(&ids, number, MOST_HOPS);
        for agent in 0..side * side {
            let next_use = graph.next_use(AgentId(u64::from(agent)), number);
            let hint = next_use.map(|next_use| Hint { agent, source: Source::Graph, next_use });
            let hints = if acting.contains(&agent) { &mut step.after } else { &mut step.before };
            hints.extend(hint);
        }
        let mut next = BTreeSet::new();
        for agent in &step.requests {
            for _ in 0..=random.below(2) {
                next.insert(neighbours(*agent)[random.below(4) as usize]);
            }
        }
        while next.len() > wanted {
            let at = random.below(next.len() as u64) as usize;
            let gone = next.iter().nth(at).copied();
            gone.map(|agent| next.remove(&agent));
        }
        acting = next;
    }
    trace
}
