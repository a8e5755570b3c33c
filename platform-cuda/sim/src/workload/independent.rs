//! Agents that act by themselves: the end of an action, known when it begins, is the next use.

use super::{Size, Trace, fraction, shuffle};
use ace_alloc_cuda::{distance::Source, random::Random};
use std::f64::consts::TAU;

/// Actions of 2 to 12 steps on average, each agent its own, half to one and a half times that.
fn requests(name: &'static str, size: Size, seed: u64) -> Trace {
    let mut random = Random::new(seed);
    let mut trace = Trace::new(name, size, &mut random);
    for agent in 0..size.agents {
        let mean = 2 + random.below(11);
        let mut at = random.below(2 * mean);
        while let Some(step) = trace.steps.get_mut(at as usize) {
            step.requests.push(agent);
            at += (mean / 2 + random.below(mean + 1)).max(1);
        }
    }
    for step in &mut trace.steps {
        shuffle(&mut step.requests, &mut random);
    }
    trace
}

/// The predictions are right.
#[must_use]
pub fn independent(size: Size, seed: u64) -> Trace {
    let mut trace = requests("independent", size, seed);
    trace.predict(Source::Plan, |_, gap| gap);
    trace
}

/// The predictions are off by a factor of e^N(0, ½).
#[must_use]
pub fn noisy(size: Size, seed: u64) -> Trace {
    let mut trace = requests("noisy", size, seed);
    let mut random = Random::new(!seed);
    trace.predict(Source::Plan, |_, gap| {
        let radius = (-2.0 * (1.0 - fraction(&mut random)).ln()).sqrt();
        let normal = radius * (TAU * fraction(&mut random)).cos();
        (gap as f64 * (normal / 2.0).exp()).round() as u64
    });
    trace
}

/// What comes soon is predicted late, and the other way round.
#[must_use]
pub fn inverted(size: Size, seed: u64) -> Trace {
    let mut trace = requests("inverted", size, seed);
    trace.predict(Source::Plan, |_, gap| 25u64.saturating_sub(gap).max(1));
    trace
}
