//! `ace agents simulate`: one run of one policy, in detail. Floor: tool.

use super::args::{self, Device, Workload};
use crate::{Trouble, put::print};
use ace_alloc_cuda_sim::{
    Machine, Outcome, Trace,
    experiment::{self, Case, Contender, Memory, Row, percentile},
};

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    workload: Workload,
    /// Device memory for states: a percentage of all states, or bytes as in 80GB.
    #[arg(long, value_name = "SIZE", default_value = "25%", value_parser = args::parse_memory)]
    memory: Memory,
    #[command(flatten)]
    device: Device,
    /// The policy.
    #[arg(long, value_name = "NAME", default_value = "ace", value_parser = args::contender())]
    policy: Contender,
    /// Seed of the workload, of the noise and of chance.
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    seed: u64,
}

pub fn simulate(args: &Args) -> Result<(), Trouble> {
    let case = Case {
        trace: Box::new(|seed| args.workload.trace(args.workload.agents, seed)),
        machine: Box::new(|trace, _| args.device.machine(args.memory.bytes(trace))),
    };
    let outcome = experiment::once(&case, args.policy, args.seed).map_err(Trouble::own)?;
    let trace = (case.trace)(args.seed);
    let machine = (case.machine)(&trace, args.seed);
    print(&report(args, &trace, &machine, &outcome))
}

fn report(args: &Args, trace: &Trace, machine: &Machine, outcome: &Outcome) -> String {
    let lines = setting(args, trace, machine).into_iter().chain(results(args, outcome));
    lines.map(|(name, value)| format!("{name:<12} {value}\n")).collect()
}

fn gb(bytes: u64) -> String {
    format!("{:.1} GB", bytes as f64 / 1e9)
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

type Line = (&'static str, String);

fn setting(args: &Args, trace: &Trace, machine: &Machine) -> [Line; 4] {
    let requests: usize = trace.steps.iter().map(|step| step.requests.len()).sum();
    let (agents, steps) = (trace.sizes.len(), trace.steps.len());
    let states = gb(trace.sizes.iter().sum());
    let link = machine.inward_bytes_per_second as f64 / 1e9;
    let (memory, compute_ms) = (gb(machine.memory_bytes), machine.compute_ns as f64 / 1e6);
    let seed = args.seed;
    [
        ("policy", args.policy.name().to_owned()),
        ("workload", args.workload.in_words()),
        (
            "",
            format!(
                "{agents} agents with {states}, {steps} steps, {requests} requests, seed {seed}"
            ),
        ),
        (
            "device",
            format!(
                "simulated: {memory} for states, link of {link} GB/s each way, {compute_ms} ms a request"
            ),
        ),
    ]
}

fn results(args: &Args, outcome: &Outcome) -> [Line; 8] {
    let row = Row::of(args.policy, outcome);
    let totals = &outcome.totals;
    let mut latencies = outcome.latencies_ns.clone();
    latencies.sort_unstable();
    let ms = |at: usize| format!("{:.1} ms", percentile(&latencies, at) as f64 / 1e6);
    let uses = (totals.hits + totals.misses).max(1) as f64;
    let (needed, least) = (outcome.ns as f64 / 1e9, outcome.bound.ns as f64 / 1e9);
    [
        (
            "time",
            format!(
                "{needed:.3} s; no policy needs less than {least:.3} s: {:.2} times the bound",
                row.time_over_bound
            ),
        ),
        ("throughput", format!("{:.1} requests/s", row.throughput)),
        ("stall", format!("the processor had nothing to do {} of the time", percent(row.stall))),
        (
            "copied in",
            format!(
                "{}: {} on demand, {} ahead of use ({} of that in vain); at least {}",
                gb(totals.demand_bytes + totals.prefetch_bytes),
                gb(totals.demand_bytes),
                gb(totals.prefetch_bytes),
                percent(row.wasted_prefetch),
                gb(outcome.bound.bytes)
            ),
        ),
        ("copied out", gb(totals.written_bytes)),
        (
            "uses",
            format!(
                "{} were on the device already, {} were waited for; {} evictions",
                percent(totals.hits as f64 / uses),
                percent(totals.misses as f64 / uses),
                totals.evictions
            ),
        ),
        ("latency", format!("p50 {}, p90 {}, p99 {}, most {}", ms(50), ms(90), ms(99), ms(100))),
        ("peak memory", gb(outcome.peak_bytes)),
    ]
}
