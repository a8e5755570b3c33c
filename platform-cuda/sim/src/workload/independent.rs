//! Agents that act by themselves: the end of an action, known when it begins, is the next use.

use super::{Hints, Size, Trace, shuffle};
use ace_alloc_cuda::{distance::Source, random::Random};

/// Actions of 2 to 12 steps on average, each agent its own, half to one and a half times that. The
/// predictions are right.
#[must_use]
pub fn independent(size: Size, seed: u64) -> Trace {
    acting("independent", 2, 11, size, seed)
}

/// As [`independent`], with actions of 20 to 60 steps: about a fortieth of the agents is used in a step.
#[must_use]
pub fn sparse(size: Size, seed: u64) -> Trace {
    acting("sparse", 20, 41, size, seed)
}

/// Agents whose actions take one of `means` numbers of steps from `least` on.
fn acting(name: &'static str, least: u64, means: u64, size: Size, seed: u64) -> Trace {
    let mut random = Random::new(seed);
    let mut trace = Trace::new(name, size, &mut random);
    for agent in 0..size.agents {
        let mean = least + random.below(means);
        let mut at = random.below(2 * mean);
        while let Some(step) = trace.steps.get_mut(at as usize) {
            step.requests.push(agent);
            at += (mean / 2 + random.below(mean + 1)).max(1);
        }
    }
    for step in &mut trace.steps {
        shuffle(&mut step.requests, &mut random);
    }
    trace.predict(Source::Plan, |_, gap| gap);
    trace
}

/// [`independent`], with predictions that are off by a factor of e^N(0, ½).
#[must_use]
pub fn noisy(size: Size, seed: u64) -> Trace {
    Trace { name: "noisy", ..independent(size, seed).with_hints(Hints::Noisy, seed) }
}

/// [`independent`]; what comes soon is predicted late, and the other way round.
#[must_use]
pub fn inverted(size: Size, seed: u64) -> Trace {
    Trace { name: "inverted", ..independent(size, seed).with_hints(Hints::Inverted, seed) }
}
