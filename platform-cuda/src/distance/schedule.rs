//! `Schedule`: steps that are known beforehand, from a scheduler's plan or from a trace. Floor: ground.

use super::{DistanceSource, NextUse, Source};
use crate::state::AgentId;
use alloc::collections::BTreeSet;

/// See the module's documentation.
#[derive(Debug)]
pub struct Schedule {
    source: Source,
    uses: BTreeSet<(AgentId, u64)>,
}

impl Schedule {
    /// Nothing is planned. `source` is `Source::Plan`, or `Source::Oracle` for a trace.
    #[must_use]
    pub const fn new(source: Source) -> Self {
        Self { source, uses: BTreeSet::new() }
    }

    /// The agent will be used in this step.
    pub fn plan(&mut self, agent: AgentId, step: u64) {
        self.uses.insert((agent, step));
    }

    /// The agent will not be used in this step.
    pub fn drop(&mut self, agent: AgentId, step: u64) {
        self.uses.remove(&(agent, step));
    }
}

impl DistanceSource for Schedule {
    fn source(&self) -> Source {
        self.source
    }

    fn next_use(&self, agent: AgentId, step: u64) -> Option<NextUse> {
        let (_, step) = self.uses.range((agent, step)..=(agent, u64::MAX)).next()?;
        Some(NextUse::at(*step))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_planned_step_counts_and_only_the_agents_own() {
        let mut plan = Schedule::new(Source::Plan);
        for (agent, step) in [(1, 5), (1, 9), (2, 7)] {
            plan.plan(AgentId(agent), step);
        }
        let next = |agent, step| plan.next_use(AgentId(agent), step);
        assert_eq!(next(1, 0), Some(NextUse::at(5)));
        assert_eq!(next(1, 5), Some(NextUse::at(5)));
        assert_eq!(next(1, 6), Some(NextUse::at(9)));
        assert_eq!(next(1, 10), None);
        assert_eq!(next(3, 0), None);
        plan.drop(AgentId(2), 7);
        assert_eq!(plan.next_use(AgentId(2), 0), None);
    }
}
