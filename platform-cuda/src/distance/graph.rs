//! `Graph`: agents that call one another along edges; the distance is the number of hops from those that
//! act now. Floor: ground.

use super::{DistanceSource, NextUse, Source};
use crate::state::AgentId;
use alloc::{
    collections::{BTreeMap, VecDeque},
    vec::Vec,
};

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Graph {
    edges: BTreeMap<AgentId, Vec<AgentId>>,
    reached: BTreeMap<AgentId, u64>,
    step: u64,
}

impl Graph {
    /// After `from`, `to` may act.
    pub fn connect(&mut self, from: AgentId, to: AgentId) {
        self.edges.entry(from).or_default().push(to);
    }

    /// These act in `step`: breadth first, as far as `most_hops`. Costs what lies within them, not more.
    pub fn reach(&mut self, acting: &[AgentId], step: u64, most_hops: u64) {
        self.reached.clear();
        self.step = step;
        let mut waiting: VecDeque<(AgentId, u64)> =
            acting.iter().map(|agent| (*agent, 0)).collect();
        while let Some((agent, hops)) = waiting.pop_front() {
            // Those that act may act again, but only when somebody calls them.
            let known = hops > 0 && self.reached.contains_key(&agent);
            if known || hops > most_hops {
                continue;
            }
            if hops > 0 {
                self.reached.insert(agent, hops);
            }
            let next = self.edges.get(&agent).into_iter().flatten();
            waiting.extend(next.map(|agent| (*agent, hops + 1)));
        }
    }

    /// All agents that were reached.
    pub fn reached(&self) -> impl Iterator<Item = AgentId> {
        self.reached.keys().copied()
    }
}

impl DistanceSource for Graph {
    fn source(&self) -> Source {
        Source::Graph
    }

    fn next_use(&self, agent: AgentId, step: u64) -> Option<NextUse> {
        let at = self.step.saturating_add(*self.reached.get(&agent)?);
        (at >= step).then(|| NextUse::at(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hops_are_counted_along_the_edges_from_those_that_act() {
        let mut graph = Graph::default();
        for (from, to) in [(1, 2), (2, 3), (3, 4), (1, 4), (4, 1)] {
            graph.connect(AgentId(from), AgentId(to));
        }
        graph.reach(&[AgentId(1)], 10, 2);
        let at = |agent| graph.next_use(AgentId(agent), 10);
        assert_eq!(at(2), Some(NextUse::at(11)));
        assert_eq!(at(4), Some(NextUse::at(11)));
        assert_eq!(at(3), Some(NextUse::at(12)));
        assert_eq!(at(1), Some(NextUse::at(12)), "round the circle");
        graph.reach(&[AgentId(2)], 10, 1);
        assert_eq!(graph.next_use(AgentId(4), 10), None, "two hops are too many");
        assert_eq!(graph.reached().count(), 1);
    }
}
