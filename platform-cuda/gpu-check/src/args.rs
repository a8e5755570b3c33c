//! The command line. Floor: tool.

use ace_alloc_cuda_sim::{
    units,
    workload::{Class, Hints},
};
use clap::{
    Parser, ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser},
    value_parser,
};
use std::path::PathBuf;

/// What can be left out. The link is always measured: the agents' workload is made to fit it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Chapter {
    /// What mapping and unmapping takes.
    Pages,
    /// Whether an unmap holds up other streams, and they it.
    Stalls,
    /// Copies both ways beside a kernel.
    Overlap,
    /// The agents' workload.
    Agents,
}

/// Which of copying and computing takes longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Regime {
    /// A request computes for 0.4 of what its state's copy takes.
    LinkBound,
    /// A request computes for 2.5 times what its state's copy takes.
    ComputeBound,
}

impl Regime {
    pub const fn name(self) -> &'static str {
        match self {
            Self::LinkBound => "link-bound",
            Self::ComputeBound => "compute-bound",
        }
    }

    /// Computing over copying. The ratios are about those of the simulator's two machines.
    pub const fn ratio(self) -> f64 {
        match self {
            Self::LinkBound => 0.4,
            Self::ComputeBound => 2.5,
        }
    }
}

/// Who uses the device's memory, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ArmName {
    /// All states are on the device before the clock starts.
    Resident,
    /// One after the other: copy in from memory that is not pinned, compute, copy back when evicted.
    Naive,
    /// The engine, least recently used first.
    Lru,
    /// The engine, in the order of `ScaleSim`.
    Scalesim,
    /// The engine as it comes.
    Ace,
}

impl ArmName {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Resident => "resident",
            Self::Naive => "naive",
            Self::Lru => "lru",
            Self::Scalesim => "scalesim",
            Self::Ace => "ace",
        }
    }
}

/// Measures a GPU and the engine on it, and checks every byte that travels. Takes some minutes.
#[derive(Clone, Debug, Parser)]
#[command(name = "gpu-check", version, term_width = 100)]
pub struct Args {
    /// The driver's library, if not the one that the system finds.
    #[arg(long, value_name = "PATH")]
    pub driver: Option<PathBuf>,
    /// The device, from 0.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub device: u32,
    /// Divides all sizes. By default the states' sizes of 64 to 512 MiB are divided by the least power of
    /// two from 2 on with which they fit into the device and twice into the host's memory, and the other
    /// sizes are not divided.
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..=4096))]
    pub scale: Option<u64>,
    /// So often each thing is measured; medians are reported. Bandwidths: a quarter as often, at least 5
    /// times.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = value_parser!(u32).range(1..=1000))]
    pub rounds: u32,
    /// What not to measure.
    #[arg(long, value_name = "CHAPTERS", value_delimiter = ',', value_enum)]
    pub skip: Vec<Chapter>,
    /// Which arms of the agents' workload to run, in this order.
    #[arg(
        long, value_name = "NAMES", value_delimiter = ',', value_enum,
        default_values = ["resident", "naive", "lru", "scalesim", "ace"],
        hide_default_value = true
    )]
    pub arms: Vec<ArmName>,
    /// Which regimes to run them in.
    #[arg(
        long, value_name = "NAMES", value_delimiter = ',', value_enum,
        default_values = ["link-bound", "compute-bound"],
        hide_default_value = true
    )]
    pub regimes: Vec<Regime>,
    /// So often each arm is run; the run with the median time is reported.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = value_parser!(u32).range(1..=99))]
    pub repeats: u32,
    /// The workload, as `ace agents compare` has it.
    #[arg(long, value_name = "CLASS", default_value = "independent", value_parser = class())]
    pub workload: Class,
    /// What is predicted, as there.
    #[arg(long, value_name = "HINTS", default_value = "natural", value_parser = hints())]
    pub hints: Hints,
    /// Agents, with one state each.
    #[arg(long, value_name = "N", default_value_t = 160, value_parser = value_parser!(u32).range(1..=100_000))]
    pub agents: u32,
    /// Steps; all requests of a step are done before the next one begins.
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = value_parser!(u64).range(1..=100_000))]
    pub steps: u64,
    /// Device memory, of what all states take.
    #[arg(long, value_name = "PERCENT", default_value = "25%", value_parser = units::percent)]
    pub memory: u64,
    /// Of the workload and of the states' contents.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Writes all figures as JSON; `-`: to stdout, instead of the tables.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

impl Args {
    pub fn has(&self, chapter: Chapter) -> bool {
        !self.skip.contains(&chapter)
    }

    /// Measurements of a bandwidth.
    pub fn long_rounds(&self) -> usize {
        (self.rounds as usize / 4).max(5)
    }

    pub fn writes_json_only(&self) -> bool {
        self.json.as_ref().is_some_and(|path| path.as_os_str() == "-")
    }
}

fn class() -> impl TypedValueParser<Value = Class> {
    let named = |name: String| Class::ALL.into_iter().find(|class| class.name() == name);
    PossibleValuesParser::new(Class::ALL.map(Class::name))
        .try_map(move |name| named(name).ok_or("no such workload"))
}

fn hints() -> impl TypedValueParser<Value = Hints> {
    let named = |name: String| Hints::ALL.into_iter().find(|hints| hints.name() == name);
    PossibleValuesParser::new(Hints::ALL.map(Hints::name))
        .try_map(move |name| named(name).ok_or("no such hints"))
}
