//! `ace agents replay`: policies on the requests of a real trace. Floor: tool.

use super::{
    args::{self, Device, Field, Output},
    compare,
    output::{self, Findings},
    sweep::{self, Sweep},
};
use crate::Trouble;
use ace_alloc_cuda_sim::{
    Trace,
    experiment::{Case, Memory},
    traces::{self, Replay, Request, Sessions, Settings, TraceError},
    units,
    workload::Hints,
};
use clap::value_parser;
use std::{
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
};

#[derive(clap::Args)]
pub struct Args {
    /// `mooncake`: JSONL with `timestamp`, `input_length`, `output_length` and `hash_ids`. `azure`: CSV with
    /// `TIMESTAMP`, `ContextTokens` and `GeneratedTokens`.
    #[arg(long, value_name = "FORMAT", value_parser = ["mooncake", "azure"])]
    format: String,
    /// The trace.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// What is predicted; `natural` is nothing, as the traces hold no predictions.
    #[arg(long, value_name = "HINTS", default_value = "none", value_parser = args::hints())]
    hints: Hints,
    /// Requests that arrive within so many milliseconds are a step.
    #[arg(long, value_name = "MS", default_value_t = 3000, value_parser = value_parser!(u64).range(1..=86_400_000))]
    bucket_ms: u64,
    /// Size of the keys and values of one token; 128KiB is that of a model with 32 layers of 8 heads of
    /// 128 numbers of 2 bytes.
    #[arg(long, value_name = "SIZE", default_value = "128KiB", value_parser = kv_bytes)]
    kv_bytes_per_token: u64,
    /// Azure's traces do not say which requests belong together: of a session there are so many on
    /// average, drawn by the seed.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = value_parser!(u64).range(1..=10_000))]
    turns: u64,
    /// Replay the first N requests only.
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..))]
    first: Option<u64>,
    /// Device memory for states: bytes as in 80GB, or a percentage of all sessions of the whole trace.
    #[arg(long, value_name = "SIZE", default_value = "64GB", value_parser = args::parse_memory)]
    memory: Memory,
    #[command(flatten)]
    device: Device,
    #[command(flatten)]
    field: Field,
    /// Vary one setting: memory=20GB..80GB (ten values) or ratio=0.2,1,5 (time to copy a state over time to
    /// compute a request).
    #[arg(long, value_name = "NAME=VALUES", value_parser = sweep::parse)]
    sweep: Option<Sweep>,
    #[command(flatten)]
    output: Output,
}

fn kv_bytes(text: &str) -> Result<u64, String> {
    let most = 64 << 20;
    let bytes = units::bytes(text).ok().filter(|bytes| *bytes <= most);
    bytes.ok_or_else(|| "a number of bytes above 0 and at most 64 MiB, as in 128KiB".to_owned())
}

pub fn replay(args: &Args) -> Result<(), Trouble> {
    output::check(&args.output)?;
    if matches!(args.sweep, Some(Sweep::Agents(_))) {
        return Err(Trouble::own("a trace has the agents that it has: --sweep can't vary them"));
    }
    compare::check_ratio(args.sweep.as_ref(), &args.device)?;
    let in_file = |error| Trouble::own(format_args!("{}: {error}", args.file.display()));
    let requests = read(args).map_err(in_file)?;
    // Steps and requests are the same with every seed, so that what goes wrong later goes wrong here.
    let first = args.made(&requests, args.field.seeds()[0]).map_err(in_file)?;
    let trace = |seed| args.trace(&requests, seed);
    let cases = match &args.sweep {
        Some(sweep) => compare::vary(sweep, &args.device, args.memory, trace),
        None => vec![Case {
            trace: Box::new(trace),
            machine: Box::new(|trace, _| args.device.machine(args.memory.bytes(trace))),
        }],
    };
    let groups = compare::run(&cases, args.sweep.as_ref(), &args.field)?;
    let title = args.title(&first);
    let memory = args::memory_in_words(args.memory);
    let device = compare::device_in_words(args.sweep.as_ref(), &args.device, &memory);
    output::write(&Findings { title, device, groups }, &args.output)
}

fn read(args: &Args) -> Result<Vec<Request>, TraceError> {
    let file = open(&args.file)?;
    let most = args.first.and_then(|first| usize::try_from(first).ok()).unwrap_or(usize::MAX);
    if args.format == "azure" {
        traces::azure(file).take(most).collect()
    } else {
        traces::mooncake(file).take(most).collect()
    }
}

fn open(path: &Path) -> Result<BufReader<File>, TraceError> {
    Ok(BufReader::new(File::open(path)?))
}

impl Args {
    fn made(&self, requests: &[Request], seed: u64) -> Result<Replay, TraceError> {
        let Self { bucket_ms, kv_bytes_per_token, turns, .. } = *self;
        let settings = Settings { bucket_ms, kv_bytes_per_token };
        if self.format == "azure" {
            traces::replay("azure", requests, Sessions::Drawn { turns, seed }, settings)
        } else {
            traces::replay("mooncake", requests, Sessions::Blocks, settings)
        }
    }

    fn trace(&self, requests: &[Request], seed: u64) -> Trace {
        let replay = self.made(requests, seed).expect("what can go wrong went wrong at the first");
        replay.trace.with_hints(self.hints, seed)
    }

    fn title(&self, first: &Replay) -> String {
        let trace = &first.trace;
        let sessions = if self.format == "azure" { "drawn sessions" } else { "sessions" };
        let uses: usize = trace.steps.iter().map(|step| step.requests.len()).sum();
        let hints = if self.hints == Hints::Natural { Hints::None } else { self.hints };
        format!(
            "{} ({}), {}: {} requests, {uses} uses of {} {sessions} with {:.1} GB in {} steps, {}",
            self.file.file_name().unwrap_or_default().display(),
            self.format,
            args::hints_in_words(hints),
            first.requests,
            trace.sizes.len(),
            trace.sizes.iter().sum::<u64>() as f64 / 1e9,
            trace.steps.len(),
            self.field.in_words()
        )
    }
}
