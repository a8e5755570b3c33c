//! Workloads: who is used in which step, and what is predicted.
//!
//! The classes are those of `ScaleSim` (independent agents, agents that meet, agents along a path), and three
//! more: independent agents that seldom act, activity that spreads, and use without any plan. What is predicted is another dimension:
//! [`Hints`]. All numbers come from the seed.

mod diffusion;
mod hints;
mod independent;
mod interaction;
mod path;
mod zipf;

pub use diffusion::diffusion;
pub use hints::Hints;
pub use independent::{independent, inverted, noisy, sparse};
pub use interaction::interaction;
pub use path::path;
pub use zipf::zipf;

use ace_alloc_cuda::{
    distance::{NextUse, Source},
    random::Random,
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

/// A sort of workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// [`independent`].
    Independent,
    /// [`sparse`].
    Sparse,
    /// [`interaction`].
    Interaction,
    /// [`path`].
    Path,
    /// [`diffusion`].
    Diffusion,
    /// [`zipf`].
    Zipf,
}

impl Class {
    /// All classes.
    pub const ALL: [Self; 6] = [
        Self::Independent,
        Self::Sparse,
        Self::Interaction,
        Self::Path,
        Self::Diffusion,
        Self::Zipf,
    ];

    /// For tables and command lines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Independent => "independent",
            Self::Sparse => "sparse",
            Self::Interaction => "interaction",
            Self::Path => "path",
            Self::Diffusion => "diffusion",
            Self::Zipf => "zipf",
        }
    }

    /// The workload of a seed, with natural hints.
    #[must_use]
    pub fn trace(self, size: Size, seed: u64) -> Trace {
        match self {
            Self::Independent => independent(size, seed),
            Self::Sparse => sparse(size, seed),
            Self::Interaction => interaction(size, seed),
            Self::Path => path(size, seed),
            Self::Diffusion => diffusion(size, seed),
            Self::Zipf => zipf(size, seed),
        }
    }
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
        path(size, seed),
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
        let all: u128 = self.sizes.iter().copied().map(u128::from).sum();
        u64::try_from(all * u128::from(percent) / 100).unwrap_or(u64::MAX)
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
