//! The agents' workload with real buffers and a real kernel, in several arms. Floor: roof.
//!
//! Nothing is taken on trust. Each kernel adds a digest of what it found and one of what it left; what it
//! found must be what the use before it left, through however many evictions. At the end all states are
//! brought back and held against the last digest and, in places, against the host's model of the kernel.
//! The outputs of all arms must be equal.

mod naive;
mod plan;
mod predict;
mod served;
mod sums;

use crate::{
    args::{Args, ArmName, Regime},
    bench::{Bench, Pace},
    failure::Failure,
    figures::{percentile, share},
    link::Link,
    machine::Host,
    pages,
};
use ace_alloc_cuda::{
    device::Device,
    policy::{Distance, Lru, Policy, default_policy},
};
use plan::{Plan, Room};
use serde::Serialize;
use served::Setup;

/// What came of an arm.
#[derive(Clone, Debug, Default)]
struct Figures {
    seconds: f64,
    /// In which a kernel ran.
    busy_seconds: f64,
    /// From the beginning of a request's step to its end.
    latencies_ms: Vec<f64>,
    in_bytes: u64,
    out_bytes: u64,
    prefetched_bytes: u64,
    wasted_bytes: u64,
    pinned_bytes: u64,
    failures: u64,
    /// A digest of each request's output.
    outputs: Vec<u64>,
}

/// An arm's runs, the shortest first; there is one at least.
struct Ran {
    name: ArmName,
    budget_bytes: u64,
    runs: Vec<Figures>,
}

impl Ran {
    fn median(&self) -> &Figures {
        &self.runs[self.runs.len() / 2]
    }
}

/// An arm, as it is reported. Its contents were checked.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub arm: &'static str,
    /// Device memory for states.
    pub budget_bytes: u64,
    /// Of all runs, the shortest first.
    pub runs_seconds: Vec<f64>,
    /// Of the run with the median time, as all that follows.
    pub seconds: f64,
    pub requests_per_second: f64,
    /// Its throughput over that of the naive arm, if that was run.
    pub over_naive: Option<f64>,
    /// Over that of least recently used.
    pub over_lru: Option<f64>,
    /// The share of the time in which no kernel ran.
    pub stall: f64,
    pub in_bytes: u64,
    pub out_bytes: u64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    /// The share of what was fetched ahead that was evicted before it was used.
    pub wasted_prefetch: f64,
    pub prefetched_bytes: u64,
    pub pinned_bytes: u64,
    /// Copies, maps and unmaps that failed and were made up for.
    pub failures: u64,
    /// What the simulator says, with this device's speeds; it does not know an arm that begins warm.
    pub predicted_seconds: Option<f64>,
    /// What no schedule can beat, by the same speeds; of arms that begin cold.
    pub bound_seconds: Option<f64>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Table {
    pub regime: &'static str,
    pub workload: &'static str,
    pub hints: &'static str,
    pub agents: usize,
    pub steps: usize,
    pub requests: usize,
    pub seed: u64,
    /// Sizes of 64 to 512 MiB were divided by it.
    pub scale: u64,
    /// Of all states, on the device.
    pub footprint_bytes: u64,
    pub memory_percent: u64,
    /// What a kernel was to take.
    pub wanted_kernel_ms: f64,
    /// What it took on average, over the arms.
    pub kernel_ms: f64,
    pub arms: Vec<Row>,
}

/// The speeds that were measured before.
pub struct Speeds<'a> {
    pub link: &'a Link,
    /// Of mapping, if that was measured.
    pub pages: Option<&'a pages::Pages>,
}

pub fn measure(bench: &mut Bench, args: &Args, speeds: &Speeds<'_>) -> Result<Vec<Table>, Failure> {
    bench.begin("contents of the states", 1);
    let room = Room {
        device_bytes: bench.device.memory()?.free_bytes,
        host_bytes: Host::find().available_bytes,
        granularity: bench.device.granularity(),
    };
    let mut plan = Plan::new(args, room)?;
    let pace = bench.pace(plan.mean_bytes(), 5)?;
    let mut tables = Vec::new();
    for regime in args.regimes.iter().copied() {
        tables.push(table(bench, args, &mut plan, (regime, pace), speeds)?);
    }
    Ok(tables)
}

fn table(
    bench: &mut Bench,
    args: &Args,
    plan: &mut Plan,
    (regime, pace): (Regime, Pace),
    speeds: &Speeds<'_>,
) -> Result<Table, Failure> {
    let inward = Link::best(&speeds.link.pinned).0;
    bench.begin("the host's model", 1);
    let wanted = plan.tune(regime, pace, inward);
    let mut ran: Vec<Ran> = Vec::new();
    for name in args.arms.iter().copied() {
        bench.begin(
            &format!("{}: {}", regime.name(), name.name()),
            plan.requests() as u64 * u64::from(args.repeats),
        );
        let (budget_bytes, figures) = arm(bench, args, plan, name, inward)?;
        let mut runs = vec![figures];
        for _ in 1..args.repeats {
            runs.push(arm(bench, args, plan, name, inward)?.1);
        }
        let first = ran.first().map_or(&runs[0], |ran| &ran.runs[0]);
        if runs.iter().any(|run| run.outputs != first.outputs) {
            let text = format!("the outputs of the arm {} are not those of the first", name.name());
            return Err(Failure::Contents(text));
        }
        runs.sort_unstable_by(|one, other| one.seconds.total_cmp(&other.seconds));
        ran.push(Ran { name, budget_bytes, runs });
    }
    let busy: f64 = ran.iter().map(|ran| ran.median().busy_seconds).sum();
    let kernel_ms = share(busy * 1e3, (ran.len() * plan.requests()) as f64);
    let world = predict::World { plan, speeds, kernel_ns: (kernel_ms * 1e6) as u64 };
    let seconds_of =
        |wanted: ArmName| ran.iter().find(|ran| ran.name == wanted).map(|ran| ran.median().seconds);
    let (naive, lru) = (seconds_of(ArmName::Naive), seconds_of(ArmName::Lru));
    let rows = ran.iter().map(|ran| {
        let over = |other: Option<f64>| other.map(|other| share(other, ran.median().seconds));
        let prediction = world.predict(ran.name, ran.budget_bytes);
        row(ran, (over(naive), over(lru)), prediction)
    });
    Ok(Table {
        regime: regime.name(),
        workload: args.workload.name(),
        hints: args.hints.name(),
        agents: plan.trace.sizes.len(),
        steps: plan.steps.len(),
        requests: plan.requests(),
        seed: args.seed,
        scale: plan.scale,
        footprint_bytes: plan.footprint(),
        memory_percent: args.memory,
        wanted_kernel_ms: wanted.as_secs_f64() * 1e3,
        kernel_ms,
        arms: rows.collect(),
    })
}

/// Runs one. Returns the device memory that it had, too.
fn arm(
    bench: &mut Bench,
    args: &Args,
    plan: &Plan,
    name: ArmName,
    inward_bytes_per_second: f64,
) -> Result<(u64, Figures), Failure> {
    let budget_bytes = plan.budget(args.memory);
    let engine = |bench: &mut Bench, policy: Box<dyn Policy>, budget_bytes, warm| {
        let setup = Setup { policy, budget_bytes, inward_bytes_per_second, warm };
        served::run(bench, plan, setup).map(|figures| (budget_bytes, figures))
    };
    match name {
        ArmName::Naive => {
            naive::run(bench, plan, budget_bytes).map(|figures| (budget_bytes, figures))
        }
        ArmName::Resident => {
            // All of it, or as much as there is.
            let room = bench.device.memory()?.free_bytes / 20 * 19;
            engine(bench, Box::new(Lru), plan.footprint().min(room), true)
        }
        ArmName::Lru => engine(bench, Box::new(Lru), budget_bytes, false),
        ArmName::Scalesim => engine(bench, Box::new(Distance), budget_bytes, false),
        ArmName::Ace => engine(bench, default_policy(), budget_bytes, false),
    }
}

fn row(
    ran: &Ran,
    (over_naive, over_lru): (Option<f64>, Option<f64>),
    prediction: Option<predict::Prediction>,
) -> Row {
    let figures = ran.median();
    let mut latencies = figures.latencies_ms.clone();
    latencies.sort_unstable_by(f64::total_cmp);
    Row {
        arm: ran.name.name(),
        budget_bytes: ran.budget_bytes,
        runs_seconds: ran.runs.iter().map(|run| run.seconds).collect(),
        seconds: figures.seconds,
        requests_per_second: share(latencies.len() as f64, figures.seconds),
        over_naive,
        over_lru,
        stall: 1.0 - share(figures.busy_seconds, figures.seconds).min(1.0),
        in_bytes: figures.in_bytes,
        out_bytes: figures.out_bytes,
        p50_ms: percentile(&latencies, 50),
        p99_ms: percentile(&latencies, 99),
        wasted_prefetch: share(figures.wasted_bytes as f64, figures.prefetched_bytes as f64),
        prefetched_bytes: figures.prefetched_bytes,
        pinned_bytes: figures.pinned_bytes,
        failures: figures.failures,
        predicted_seconds: prediction.map(|prediction| prediction.seconds),
        bound_seconds: prediction.map(|prediction| prediction.bound_seconds),
    }
}
