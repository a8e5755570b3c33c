//! `Space`: an agent acts when something comes near: distance divided by velocity. If its own action ends
//! sooner, that is another source's word, and the planner takes the nearer. Floor: ground.

use super::{DistanceSource, FRACTION_BITS, NextUse, Source};
use crate::state::AgentId;
use alloc::collections::BTreeMap;

/// See the module's documentation. Lengths are in any unit, as long as it is the same one.
#[derive(Debug, Default)]
pub struct Space {
    meetings: BTreeMap<AgentId, NextUse>,
}

impl Space {
    /// In `step`, what the agent waits for is `distance` away and comes closer by `velocity` a step.
    /// With no velocity it never comes.
    pub fn approach(&mut self, agent: AgentId, step: u64, distance: u64, velocity: u64) {
        let parts = u128::from(distance) << FRACTION_BITS;
        match parts.checked_div(u128::from(velocity)) {
            Some(parts) => {
                let parts = u64::try_from(parts).unwrap_or(u64::MAX);
                self.meetings.insert(agent, NextUse::after(step, parts));
            }
            None => self.forget(agent),
        }
    }

    /// The agent waits for nothing.
    pub fn forget(&mut self, agent: AgentId) {
        self.meetings.remove(&agent);
    }
}

impl DistanceSource for Space {
    fn source(&self) -> Source {
        Source::Space
    }

    fn next_use(&self, agent: AgentId, step: u64) -> Option<NextUse> {
        self.meetings.get(&agent).copied().filter(|meeting| *meeting >= NextUse::at(step))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_divided_by_velocity_is_a_time_between_steps() {
        let mut space = Space::default();
        space.approach(AgentId(1), 10, 7, 2);
        assert_eq!(space.next_use(AgentId(1), 10), Some(NextUse::after(13, 128)));
        assert_eq!(space.next_use(AgentId(1), 14), None, "it has passed");
        space.approach(AgentId(1), 10, 7, 0);
        assert_eq!(space.next_use(AgentId(1), 10), None, "it never comes");
        space.approach(AgentId(1), 10, u64::MAX, 1);
        assert!(space.next_use(AgentId(1), 10).is_some_and(NextUse::is_known));
    }
}
