//! Workloads: who is used in which step, and what is predicted.
//!
//! The classes are those of `ScaleSim` (independent agents, agents that meet, agents along a path), and what
//! breaks predictions: noise, inversion, and use without any plan. All numbers come from the seed.

mod diffusion;
mod independent;
mod interaction;
mod zipf;

pub use diffusion::diffusion;
pub use independent::{independent, inverted, noisy};
pub use interaction::interaction;
pub use zipf::zipf;

use ace_alloc_cuda::{
    distance::{DistanceSource, NextUse, Schedule, Source},
    random::Random,
    state::AgentId,
};

/// A prediction.
#[derive(Clone, Copy, Debug)]
pub struct Hint {
    /// Of whom.
    pub agent: u32,
    /// Who says so.
    pub source: Source,
    /// When.
    pub next_use: NextUse,
}

/// One step.
#[derive(Clone, Debug, Default)]
pub struct Step {
    /// Predictions that are there before its requests.
    pub before: Vec<Hint>,
    /// Who is used, each once, in the order of arrival.
    pub requests: Vec<u32>,
    /// Predictions that are there when the agent's request is done.
    pub after: Vec<Hint>,
}

/// A workload.
#[derive(Clone, Debug)]
pub struct Trace {
    /// For tables.
    pub name: &'static str,
    /// Of each agent's state, in bytes.
    pub sizes: Vec<u64>,
    /// What happens.
    pub steps: Vec<Step>,
    /// Every request writes the last eighth of its state.
    pub writes: bool,
    /// States begin without contents: the first use computes them, and nothing is copied for it.
    pub born: bool,
}

/// How large a workload is.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Number of agents, with a state each.
    pub agents: u32,
    /// Number of steps.
    pub steps: u64,
}

impl Size {
    /// 400 agents, 60 steps.
    pub const USUAL: Self = Self { agents: 400, steps: 60 };
}

/// All workloads of one seed.
#[must_use]
pub fn all(size: Size, seed: u64) -> Vec<Trace> {
    vec![
        independent(size, seed),
        Trace { name: "independent, writes", writes: true, ..independent(size, seed) },
        interaction(size, seed),
        noisy(size, seed),
        inverted(size, seed),
        diffusion(size, seed),
        zipf(size, seed),
    ]
}

impl Trace {
    fn new(name: &'static str, size: Size, random: &mut Random) -> Self {
        const MIB: u64 = 1 << 20;
        let sizes = [64 * MIB, 128 * MIB, 192 * MIB, 256 * MIB, 512 * MIB];
        let sizes = (0..size.agents).map(|_| sizes[random.below(5) as usize]).collect();
        let steps = (0..size.steps).map(|_| Step::default()).collect();
        Self { name, sizes, steps, writes: false, born: false }
    }

    /// A fraction of all states, in percent: the device's memory.
    #[must_use]
    pub fn percent_bytes(&self, percent: u64) -> u64 {
        self.sizes.iter().sum::<u64>() / 100 * percent
    }

    /// The same requests, and predictions that are the truth.
    #[must_use]
    pub fn with_truth(&self) -> Self {
        let mut trace = self.clone();
        for step in &mut trace.steps {
            step.before.clear();
            step.after.clear();
        }
        trace.predict(Source::Oracle, |_, gap| gap);
        trace
    }

    /// The same requests, and no predictions.
    #[must_use]
    pub fn without_hints(&self) -> Self {
        let mut trace = self.clone();
        for step in &mut trace.steps {
            step.before.clear();
            step.after.clear();
        }
        trace
    }

    /// Adds a prediction of the next use to every use, and of the first to the beginning. `distort` gets the
    /// agent and the true number of steps.
    fn predict(&mut self, source: Source, mut distort: impl FnMut(u32, u64) -> u64) {
        let mut plan = Schedule::new(source);
        for (number, step) in (0..).zip(&self.steps) {
            step.requests.iter().for_each(|agent| plan.plan(AgentId(u64::from(*agent)), number));
        }
        let mut hint = |agent: u32, now: u64, from: u64| {
            let truth = plan.next_use(AgentId(u64::from(agent)), from)?.step()?;
            let next_use = NextUse::at(now + distort(agent, truth - now));
            Some(Hint { agent, source, next_use })
        };
        for agent in 0..self.sizes.len() as u32 {
            self.steps[0].before.extend(hint(agent, 0, 0));
        }
        for (number, step) in (0..).zip(&mut self.steps) {
            let hints = step.requests.iter().filter_map(|agent| hint(*agent, number, number + 1));
            step.after.extend(hints);
        }
    }
}

/// The requests of a step arrive in no order.
fn shuffle(requests: &mut [u32], random: &mut Random) {
    for at in (1..requests.len()).rev() {
        requests.swap(at, random.below(at as u64 + 1) as usize);
    }
}

/// Between 0 and 1.
fn fraction(random: &mut Random) -> f64 {
    random.below(1 << 53) as f64 / (1u64 << 53) as f64
}
