//! Owns the rounds: every contestant once a round, each time in a fresh process.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;

use crate::allocators::{Allocator, TUNING};
use crate::cli::{Common, Layout};
use crate::machine;
use crate::settings;
use crate::workshop::Contestant;

/// A bench and its arguments.
pub struct Bench {
    /// The name that workers know.
    pub name: &'static str,
    /// The arguments, in the order of the command line.
    pub arguments: Vec<u64>,
}

/// What a worker reports.
#[derive(Deserialize)]
pub struct Sample {
    /// The linked allocator's name and version.
    pub version: String,
    /// Operations, and the nanoseconds that they took.
    pub ops: u64,
    pub ns: u64,
    /// What the blocks held: equal for all, or someone returned wrong memory.
    pub checksum: u64,
    /// Resident set before the bench, after it, and at its largest.
    pub start_rss_kib: u64,
    pub end_rss_kib: u64,
    pub peak_rss_kib: u64,
    /// Mean resident set from start to end, where a watcher was there.
    pub mean_rss_kib: Option<f64>,
    /// What the bench measures besides; the unit is part of the name. None: never.
    pub story: Vec<(String, Option<f64>)>,
}

impl Sample {
    /// Million operations per second.
    pub fn mops(&self) -> f64 {
        self.ops as f64 * 1e3 / self.ns.max(1) as f64
    }
}

/// One allocator's samples, in the order of the rounds.
pub struct Row {
    pub allocator: &'static Allocator,
    pub version: String,
    pub samples: Vec<Sample>,
}

/// One bench, measured.
pub struct Outcome {
    pub bench: Bench,
    /// Those who finished every round.
    pub rows: Vec<Row>,
    /// Those who did not, and disagreements.
    pub complaints: Vec<String>,
}

impl Bench {
    /// A bench with its arguments.
    pub fn new(name: &'static str, arguments: &[u64]) -> Self {
        Self { name, arguments: arguments.to_vec() }
    }

    /// Do threads free blocks that other threads made?
    pub fn frees_for_others(&self) -> bool {
        ["larson", "sleepers", "pipe", "phases"].contains(&self.name)
    }

    /// The command line's words, for the reports.
    pub fn words(&self) -> String {
        Vec::from_iter(self.arguments.iter().map(u64::to_string)).join(" ")
    }
}

/// Measures one bench. Each round starts with another contestant, so that nobody always runs in
/// the wake of the same neighbour. Whoever fails once is out.
pub fn run(bench: Bench, contestants: &[Contestant], common: &Common) -> Outcome {
    let bar = ProgressBar::new(u64::from(common.rounds) * contestants.len() as u64);
    let style = ProgressStyle::with_template("{prefix} {bar:40} {pos}/{len} {msg}");
    bar.set_style(style.expect("the template is valid"));
    bar.set_prefix(bench.name);
    let mut samples = Vec::from_iter(contestants.iter().map(|_| Ok(Vec::new())));
    let loader = (common.layout == Layout::Near).then(loader).flatten();
    for round in 0..common.rounds as usize {
        for turn in 0..contestants.len() {
            let index = (round + turn) % contestants.len();
            bar.set_message(contestants[index].allocator.name);
            if let Ok(list) = &mut samples[index] {
                machine::wait_until_idle(Duration::from_secs(u64::from(common.workers.quiet)));
                match sample(&bench, &contestants[index], loader.as_deref(), common.workers.limit) {
                    Ok(one) => list.push(one),
                    Err(why) => samples[index] = Err(why),
                }
            }
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    judge(bench, contestants, samples)
}

/// Splits the samples into rows and complaints.
fn judge(
    bench: Bench,
    contestants: &[Contestant],
    samples: Vec<Result<Vec<Sample>, String>>,
) -> Outcome {
    let (mut rows, mut complaints) = (Vec::new(), Vec::new());
    for (contestant, samples) in contestants.iter().zip(samples) {
        let allocator = contestant.allocator;
        match samples {
            Ok(samples) => {
                let file = contestant.library.as_ref().and_then(|path| path.file_name());
                let version = match file {
                    Some(file) => file.to_string_lossy().into_owned(),
                    None => samples[0].version.clone(),
                };
                rows.push(Row { allocator, version, samples });
            }
            Err(why) => complaints.push(format!("{} failed: {why}", allocator.name)),
        }
    }
    complaints.extend(disagreement(&rows));
    Outcome { bench, rows, complaints }
}

/// All blocks held what was written, so all checksums are one number; if not, who says which.
fn disagreement(rows: &[Row]) -> Option<String> {
    let mut said = BTreeMap::<u64, Vec<&str>>::new();
    for row in rows {
        for sample in &row.samples {
            said.entry(sample.checksum).or_default().push(row.allocator.name);
        }
    }
    said.values_mut().for_each(|names| names.dedup());
    (said.len() > 1).then(|| format!("the blocks' contents differ: {said:?}"))
}

/// One process of one contestant.
pub fn sample(
    bench: &Bench,
    contestant: &Contestant,
    loader: Option<&Path>,
    limit: u32,
) -> Result<Sample, String> {
    let mut command = match loader {
        Some(loader) => {
            let mut command = command(contestant, loader, limit);
            command.arg(&contestant.worker);
            command
        }
        None => command(contestant, &contestant.worker, limit),
    };
    command.arg(bench.name).args(bench.arguments.iter().map(u64::to_string));
    let line = output(&mut command)?;
    serde_json::from_str(&line).map_err(|e| format!("it printed {line:?}: {e}"))
}

/// The dynamic loader that loaded this program, and would load the workers. A program that is
/// started through it is mapped beside its libraries.
fn loader() -> Option<PathBuf> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let mut paths = maps.lines().filter_map(|line| line.find('/').map(|at| Path::new(&line[at..])));
    let is_loader = |path: &&Path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ld-linux"))
    };
    paths.find(is_loader).map(Path::to_path_buf)
}

/// A command for `program` under the contestant's library and settings, and no others.
pub fn command(contestant: &Contestant, program: &Path, limit: u32) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if TUNING.iter().any(|start| name.to_string_lossy().starts_with(start)) {
            command.env_remove(name);
        }
    }
    // Variables for this program, which the library under test must not take for its own.
    for name in settings::OURS {
        command.env_remove(name);
    }
    command.envs(contestant.settings.iter().map(|(name, value)| (name, value)));
    if let Some(library) = &contestant.library {
        command.env("LD_PRELOAD", library);
        command.env("BENCH_MAPPED", library.file_name().unwrap_or_default());
    }
    // The kernel's own alarm survives exec and needs no one to watch the worker.
    // SAFETY: alarm is async-signal-safe and touches no memory of this process.
    unsafe {
        command.pre_exec(move || {
            libc::alarm(limit);
            Ok(())
        })
    };
    command
}

/// What the process printed, or how it ended.
pub fn output(command: &mut Command) -> Result<String, String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("cannot start {}: {e}", command.get_program().display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim();
    if output.status.success() {
        // ACE-Alloc's only words when all is well are about an option that it does not understand.
        return match said.starts_with("ace-alloc:") {
            true => Err(format!("it said: {said}")),
            false => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        };
    }
    Err(match output.status.signal() {
        Some(libc::SIGALRM) => "it did not finish in time".to_owned(),
        Some(signal) => format!("signal {signal} {said}"),
        None => format!("{} {said}", output.status),
    })
}
