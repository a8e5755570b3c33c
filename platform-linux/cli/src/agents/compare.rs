//! `ace agents compare`: policies on a generated workload. Floor: tool.

use super::{
    args::{self, Device, Field, Output, Workload},
    output::{self, Findings, Group},
    sweep::{self, Sweep},
};
use crate::Trouble;
use ace_alloc_cuda_sim::{
    Machine, Trace,
    experiment::{self, Case, Machines, Memory, Row},
    workload::Size,
};
use std::{num::NonZero, thread};

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    workload: Workload,
    /// Device memory for states: a percentage of all states, or bytes as in 80GB.
    #[arg(long, value_name = "SIZE", default_value = "25%", value_parser = args::parse_memory)]
    memory: Memory,
    #[command(flatten)]
    device: Device,
    #[command(flatten)]
    field: Field,
    /// Vary one setting: agents=100,400,1000, memory=10%..100% (ten values) or ratio=0.2,1,5 (time to
    /// copy a state over time to compute a request). While the number of agents varies, the device stays
    /// the same: a percentage is of the states of --agents agents.
    #[arg(long, value_name = "NAME=VALUES", value_parser = sweep::parse)]
    sweep: Option<Sweep>,
    #[command(flatten)]
    output: Output,
}

pub fn compare(args: &Args) -> Result<(), Trouble> {
    output::check(&args.output)?;
    check_ratio(args.sweep.as_ref(), &args.device)?;
    let cases = match &args.sweep {
        None => vec![args.case(args.workload.agents)],
        Some(Sweep::Agents(numbers)) => numbers.iter().map(|number| args.case(*number)).collect(),
        Some(sweep) => vary(sweep, &args.device, args.memory, |seed| {
            args.workload.trace(args.workload.agents, seed)
        }),
    };
    let groups = run(&cases, args.sweep.as_ref(), &args.field)?;
    let Size { agents, steps } = args.workload.size();
    let agents = match args.sweep {
        Some(Sweep::Agents(_)) => String::new(),
        _ => format!("{agents} agents, "),
    };
    let title =
        format!("{}: {agents}{steps} steps, {}", args.workload.in_words(), args.field.in_words());
    let device = device_in_words(args.sweep.as_ref(), &args.device, &args.memory_in_words());
    output::write(&Findings { title, device, groups }, &args.output)
}

impl Args {
    fn memory_in_words(&self) -> String {
        let words = args::memory_in_words(self.memory);
        match (&self.sweep, self.memory) {
            (Some(Sweep::Agents(_)), Memory::Percent(_)) => {
                format!("{words} of {} agents", self.workload.agents)
            }
            _ => words,
        }
    }

    fn case(&self, agents: u32) -> Case<'_> {
        Case {
            trace: Box::new(move |seed| self.workload.trace(agents, seed)),
            machine: Box::new(move |trace, seed| {
                let memory_bytes = match self.memory {
                    Memory::Percent(_) if agents != self.workload.agents => {
                        // Sizes are drawn before anything else, so one step is enough to know them.
                        let usual = Size { steps: 1, ..self.workload.size() };
                        self.memory.bytes(&self.workload.workload.trace(usual, seed))
                    }
                    memory => memory.bytes(trace),
                };
                self.device.machine(memory_bytes)
            }),
        }
    }
}

/// A ratio and a time of its own for a request would contradict one another.
pub fn check_ratio(sweep: Option<&Sweep>, device: &Device) -> Result<(), Trouble> {
    if matches!(sweep, Some(Sweep::Ratio(_))) && device.says_compute() {
        return Err(Trouble::own("--sweep ratio sets the time of a request: leave --compute out"));
    }
    Ok(())
}

/// Cases that differ in the machine.
pub fn vary<'a>(
    sweep: &'a Sweep,
    device: &'a Device,
    memory: Memory,
    trace: impl Fn(u64) -> Trace + Copy + Sync + 'a,
) -> Vec<Case<'a>> {
    let case = |machine: Machines<'a>| Case { trace: Box::new(trace), machine };
    match sweep {
        Sweep::Agents(_) => Vec::new(),
        Sweep::Memory(sizes) => {
            let at = |size: &'a Memory| {
                case(Box::new(move |trace, _| device.machine(size.bytes(trace))))
            };
            sizes.iter().map(at).collect()
        }
        Sweep::Ratio(ratios) => {
            let at = |ratio: &'a f64| {
                case(Box::new(move |trace, _| {
                    let machine = device.machine(memory.bytes(trace));
                    let states = trace.sizes.len().max(1) as f64;
                    let mean_bytes = trace.sizes.iter().sum::<u64>() as f64 / states;
                    let copy_ns = mean_bytes * 1e9 / machine.inward_bytes_per_second as f64;
                    Machine { compute_ns: ((copy_ns / ratio) as u64).max(1), ..machine }
                }))
            };
            ratios.iter().map(at).collect()
        }
    }
}

/// Runs the cases, which are those of the sweep if there is one.
pub fn run(cases: &[Case], sweep: Option<&Sweep>, field: &Field) -> Result<Vec<Group>, Trouble> {
    let (policies, seeds) = (field.policies(), field.seeds());
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let bar = output::bar(cases.len() * policies.len() * seeds.len());
    let rows = experiment::compare(cases, &policies, seeds, threads, &|| bar.inc(1));
    bar.finish_and_clear();
    let rows: Vec<Vec<Row>> = rows.map_err(Trouble::own)?;
    let points = sweep.map(Sweep::points).unwrap_or_default();
    let mut points = points.into_iter();
    Ok(rows.into_iter().map(|rows| Group { point: points.next(), rows }).collect())
}

/// All of the device that does not vary.
pub fn device_in_words(sweep: Option<&Sweep>, device: &Device, memory: &str) -> String {
    let machine = device.machine(0);
    let memory = match sweep {
        Some(Sweep::Memory(_)) => String::new(),
        _ => format!("{memory}, "),
    };
    let compute = match sweep {
        Some(Sweep::Ratio(_)) => String::new(),
        _ => format!(", {} ms a request", machine.compute_ns as f64 / 1e6),
    };
    let link = machine.inward_bytes_per_second as f64 / 1e9;
    format!("simulated device: {memory}link of {link} GB/s each way{compute}")
}
