//! Agents along predefined paths: tasks walk through a graph of agents, each on a path that is known from
//! the beginning, and the distance of an agent is the number of hops that the nearest task still has to go.

use super::{Hint, Size, Trace, shuffle};
use ace_alloc_cuda::{
    distance::{DistanceSource, Graph, NextUse, Source},
    random::Random,
    state::AgentId,
};
use std::collections::BTreeMap;

/// Predictions reach this far.
const MOST_HOPS: u64 = 6;

/// A task and the closed path that it walks.
struct Task {
    path: Vec<u32>,
    at: usize,
}

/// As many tasks as a fifth of the agents. Every agent lies on two paths; a path has ten agents on
/// average. A task acts in one step with the agent where it is and then goes on, or, once in four times,
/// stays for another step: hops are too few by that much.
#[must_use]
pub fn path(size: Size, seed: u64) -> Trace {
    let mut random = Random::new(seed);
    let mut trace = Trace::new("path", size, &mut random);
    let mut tasks = tasks(size.agents, &mut random);
    let mut graph = Graph::default();
    for (number, task) in (0..).zip(&tasks) {
        for at in 0..task.path.len() {
            graph.connect(place(number, at), place(number, (at + 1) % task.path.len()));
        }
    }
    for (number, step) in (0u64..).zip(&mut trace.steps) {
        let acting: Vec<AgentId> = (0..).zip(&tasks).map(|(at, task)| place(at, task.at)).collect();
        graph.reach(&acting, number, MOST_HOPS);
        let mut nearest = BTreeMap::new();
        for (which, task) in (0..).zip(&tasks) {
            for (at, agent) in task.path.iter().enumerate() {
                if let Some(next_use) = graph.next_use(place(which, at), number) {
                    let known: &mut NextUse = nearest.entry(*agent).or_insert(next_use);
                    *known = next_use.min(*known);
                }
            }
        }
        step.requests = tasks.iter().map(|task| task.path[task.at]).collect();
        step.requests.sort_unstable();
        step.requests.dedup();
        for (agent, next_use) in nearest {
            let acts = step.requests.binary_search(&agent).is_ok();
            let hints = if acts { &mut step.after } else { &mut step.before };
            hints.push(Hint { agent, source: Source::Graph, next_use });
        }
        shuffle(&mut step.requests, &mut random);
        for task in &mut tasks {
            if random.below(4) > 0 {
                task.at = (task.at + 1) % task.path.len();
            }
        }
    }
    trace
}

/// A node of the graph: an agent's place on a task's path.
fn place(task: u64, at: usize) -> AgentId {
    AgentId(task << 32 | at as u64)
}

fn tasks(agents: u32, random: &mut Random) -> Vec<Task> {
    let count = u64::from(agents / 5).max(1);
    let mut paths: Vec<Vec<u32>> = (0..count).map(|_| Vec::new()).collect();
    for _ in 0..2 {
        let mut dealt: Vec<u32> = (0..agents).collect();
        shuffle(&mut dealt, random);
        for agent in dealt {
            paths[random.below(count) as usize].push(agent);
        }
    }
    paths.retain(|path| !path.is_empty());
    let task = |path: Vec<u32>| Task { at: random.below(path.len() as u64) as usize, path };
    paths.into_iter().map(task).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hops_are_never_too_many_and_mostly_right() {
        let trace = path(Size { agents: 200, steps: 60 }, 5);
        let (mut right, mut all) = (0, 0);
        for (now, step) in (0usize..).zip(&trace.steps) {
            for hint in step.before.iter().chain(&step.after) {
                let said = hint.next_use.step().expect("a step") as usize;
                let earlier = now + 1..said.min(trace.steps.len());
                // One exception: a task stays, and uses its agent again in the next step.
                let stays = |at: usize| trace.steps[at - 1].requests.contains(&hint.agent);
                for at in earlier {
                    let used = trace.steps[at].requests.contains(&hint.agent);
                    assert!(!used || stays(at), "agent {} in step {now}", hint.agent);
                    if used {
                        break;
                    }
                }
                if let Some(step) = trace.steps.get(said) {
                    right += usize::from(step.requests.contains(&hint.agent));
                    all += 1;
                }
            }
        }
        assert!(right * 3 > all, "{right} of {all}");
    }

    #[test]
    fn a_fifth_of_the_agents_act_and_each_does_some_day() {
        let trace = path(Size { agents: 200, steps: 200 }, 5);
        let mut seen = [false; 200];
        for step in &trace.steps {
            assert!((20..=40).contains(&step.requests.len()), "{}", step.requests.len());
            step.requests.iter().for_each(|agent| seen[*agent as usize] = true);
        }
        assert!(seen.iter().all(|seen| *seen));
    }
}
