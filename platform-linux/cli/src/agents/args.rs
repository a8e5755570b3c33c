//! The options that the commands of `ace agents` share. Floor: tool.

use ace_alloc_cuda_sim::{
    Machine, Trace,
    experiment::{Contender, Memory},
    units,
    workload::{Class, Hints, Size},
};
use clap::{
    builder::{PossibleValuesParser, TypedValueParser},
    value_parser,
};
use std::path::PathBuf;

/// What happens.
#[derive(clap::Args)]
pub struct Workload {
    /// Who is used when: agents by themselves, those that seldom act, agents that meet, tasks on predefined paths, activity that
    /// spreads over a grid, or use without a plan.
    #[arg(long, value_name = "CLASS", default_value = "independent", value_parser = class())]
    pub workload: Class,
    /// What is predicted: what the class itself offers, the truth, the true gap times e^N(0,0.5), its
    /// inversion, truth and lies in turn, or nothing. The oracle knows the truth in any case.
    #[arg(long, value_name = "HINTS", default_value = "natural", value_parser = hints())]
    pub hints: Hints,
    /// Agents, with one state of 64 to 512 MiB each.
    #[arg(long, value_name = "N", default_value_t = 400, value_parser = value_parser!(u32).range(1..=100_000))]
    pub agents: u32,
    /// Steps; all requests of a step are done before the next one begins.
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = value_parser!(u64).range(1..=100_000))]
    pub steps: u64,
    /// Every request writes an eighth of its state, which has to be copied back before it is evicted.
    #[arg(long)]
    pub writes: bool,
}

impl Workload {
    pub const fn size(&self) -> Size {
        Size { agents: self.agents, steps: self.steps }
    }

    /// The workload of a seed, with as many agents.
    pub fn trace(&self, agents: u32, seed: u64) -> Trace {
        let size = Size { agents, ..self.size() };
        let trace = self.workload.trace(size, seed).with_hints(self.hints, seed);
        Trace { writes: self.writes, ..trace }
    }

    pub fn in_words(&self) -> String {
        let writes = if self.writes { ", writing" } else { "" };
        format!("{}, {}{writes}", self.workload.name(), hints_in_words(self.hints))
    }
}

pub fn hints_in_words(hints: Hints) -> String {
    match hints {
        Hints::None => "no hints".to_owned(),
        hints => format!("{} hints", hints.name()),
    }
}

/// Where it happens.
#[derive(clap::Args)]
pub struct Device {
    /// Link and processor: 25 GB/s and 4 ms a request, or 50 GB/s and 12 ms. Assumed, not measured.
    #[arg(long, value_name = "KIND", default_value = "link-bound", value_parser = ["link-bound", "compute-bound"])]
    machine: String,
    /// Speed of the link in each direction, as in 25GB/s.
    #[arg(long, value_name = "SPEED", value_parser = units::bytes_per_second)]
    link: Option<u64>,
    /// Time of the processor for one request, as in 4ms.
    #[arg(long, value_name = "TIME", value_parser = units::nanoseconds)]
    compute: Option<u64>,
}

impl Device {
    pub fn machine(&self, memory_bytes: u64) -> Machine {
        let machine = if self.machine == "link-bound" {
            Machine::link_bound(memory_bytes)
        } else {
            Machine::compute_bound(memory_bytes)
        };
        Machine {
            inward_bytes_per_second: self.link.unwrap_or(machine.inward_bytes_per_second),
            outward_bytes_per_second: self.link.unwrap_or(machine.outward_bytes_per_second),
            compute_ns: self.compute.unwrap_or(machine.compute_ns),
            ..machine
        }
    }

    pub const fn says_compute(&self) -> bool {
        self.compute.is_some()
    }
}

/// Who takes part.
#[derive(clap::Args)]
pub struct Field {
    /// The policies, in this order; `cost` is there for the asking [default: all but `cost`].
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = contender())]
    policies: Vec<Contender>,
    /// Seeds of the workload, of the noise and of chance: 7, 1,2,3 or 101-105.
    #[arg(long, value_name = "SEEDS", default_value = "1-5", value_parser = parse_seeds)]
    seeds: Seeds,
}

/// So that clap does not take the list for a list of options.
#[derive(Clone, Debug)]
pub struct Seeds(Vec<u64>);

fn parse_seeds(text: &str) -> Result<Seeds, String> {
    units::seeds(text).map(Seeds)
}

impl Field {
    /// Each once.
    pub fn policies(&self) -> Vec<Contender> {
        let mut policies: Vec<Contender> = Vec::new();
        let named = if self.policies.is_empty() { &Contender::USUAL[..] } else { &self.policies };
        for contender in named {
            if !policies.contains(contender) {
                policies.push(*contender);
            }
        }
        policies
    }

    pub fn seeds(&self) -> &[u64] {
        &self.seeds.0
    }

    pub fn in_words(&self) -> String {
        match self.seeds() {
            [seed] => format!("seed {seed}"),
            seeds => {
                let names: Vec<String> = seeds.iter().take(8).map(u64::to_string).collect();
                let more = if seeds.len() > names.len() { " ..." } else { "" };
                format!("mean of {} seeds ({}{more})", seeds.len(), names.join(" "))
            }
        }
    }
}

/// Where the figures go; without these, a table goes to standard output.
#[derive(clap::Args)]
pub struct Output {
    /// Write the rows as JSON to FILE, or to standard output (`-`) instead of the table.
    #[arg(long, value_name = "FILE|-")]
    pub json: Option<PathBuf>,
    /// Write the rows as CSV to FILE, or to standard output (`-`) instead of the table.
    #[arg(long, value_name = "FILE|-")]
    pub csv: Option<PathBuf>,
    /// Draw the rows: a file ending in .svg, or an existing folder.
    #[arg(long, value_name = "FILE|DIR")]
    pub svg: Option<PathBuf>,
}

pub fn parse_memory(text: &str) -> Result<Memory, String> {
    let memory = if text.contains('%') {
        units::percent(text).map(Memory::Percent)
    } else {
        units::bytes(text).map(Memory::Bytes)
    };
    memory.map_err(|sentence| format!("{sentence}; or a percentage of all states, as in 25%"))
}

pub fn memory_in_words(memory: Memory) -> String {
    match memory {
        Memory::Percent(percent) => format!("memory for {percent} % of the states"),
        Memory::Bytes(bytes) => format!("{:.1} GB of memory", bytes as f64 / 1e9),
    }
}

pub fn contender() -> impl TypedValueParser<Value = Contender> {
    choice(Contender::ALL.map(|contender| (contender.name(), contender)))
}

pub fn hints() -> impl TypedValueParser<Value = Hints> {
    choice(Hints::ALL.map(|hints| (hints.name(), hints)))
}

fn class() -> impl TypedValueParser<Value = Class> {
    choice(Class::ALL.map(|class| (class.name(), class)))
}

/// One of these, by name.
fn choice<T, const N: usize>(names: [(&'static str, T); N]) -> impl TypedValueParser<Value = T>
where
    T: Copy + Send + Sync + 'static,
{
    PossibleValuesParser::new(names.map(|(name, _)| name)).try_map(move |word| {
        let found = names.iter().find(|(name, _)| *name == word);
        found.map(|(_, value)| *value).ok_or("no such name")
    })
}
