//! Use without a plan: the n-th most popular agent is used 1/n^0.9 as often as the first.

use super::{Size, Trace, fraction, shuffle};
use ace_alloc_cuda::random::Random;

/// A fifth of the agents in each step, by popularity, and no predictions.
#[must_use]
pub fn zipf(size: Size, seed: u64) -> Trace {
    let mut random = Random::new(seed);
    let mut trace = Trace::new("zipf", size, &mut random);
    let mut ranks: Vec<u32> = (1..=size.agents).collect();
    shuffle(&mut ranks, &mut random);
    for step in &mut trace.steps {
        // The first arrivals of Poisson processes with these rates.
        let arrival = |rank: &u32| -(1.0 - fraction(&mut random)).ln() * f64::from(*rank).powf(0.9);
        let arrivals: Vec<f64> = ranks.iter().map(arrival).collect();
        let mut agents: Vec<u32> = (0..size.agents).collect();
        agents.sort_by(|one, other| arrivals[*one as usize].total_cmp(&arrivals[*other as usize]));
        agents.truncate((size.agents as usize / 5).max(1));
        shuffle(&mut agents, &mut random);
        step.requests = agents;
    }
    trace
}
