//! Owns the order of a measurement: arguments, contestants, rounds, report.

mod ablation;
mod allocators;
mod arguments;
mod cli;
mod drawing;
mod embedded;
mod empty;
mod machine;
mod report;
mod rounds;
mod settings;
mod stats;
mod sweep;
mod table;
mod workshop;

use std::process::ExitCode;

use clap::Parser;

use allocators::FLOOR;
use cli::{Cli, Command, Common};
use rounds::Bench;
use workshop::Workshop;

fn main() -> ExitCode {
    match perform(Cli::parse().command) {
        Ok(true) => ExitCode::SUCCESS,
        // A measurement with holes is no success, though its report stands.
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("ace-bench: {why}");
            ExitCode::from(2)
        }
    }
}

/// Runs one subcommand; `Ok(false)` when a worker failed or disagreed with the others.
fn perform(command: Command) -> Result<bool, String> {
    match command {
        Command::TinyHot { args, common } => measure("tiny-hot", vec![args.bench()], &common),
        Command::RandomMixed { args, common } => {
            measure("random-mixed", vec![args.bench()], &common)
        }
        Command::MidMt { args, common } => measure("mid-mt", vec![args.bench()], &common),
        Command::Larson { args, common } => measure("larson", vec![args.bench()], &common),
        Command::Pipe { args, common } => measure("pipe", vec![args.bench()], &common),
        Command::Sleepers { args, common } => measure("sleepers", vec![args.sleepers()], &common),
        Command::Fill { args, common } => measure("fill", args.benches(), &common),
        Command::Oscillate { args, common } => measure("oscillate", vec![args.bench()], &common),
        Command::Phases { args, common } => measure("phases", vec![args.bench()], &common),
        Command::Ablate { benches, common } => ablation::perform(benches.as_deref(), &common),
        Command::Sweep(args) => sweep::perform(&args),
        Command::All { common } => measure("all", cli::defaults(), &common),
        Command::Embedded(args) => embedded::perform(&args),
        Command::RssEmpty { common } => empty::perform(&common),
        Command::Peers => {
            report::say(&table::allocators());
            Ok(true)
        }
    }
}

/// Measures each bench with every contestant and reports.
fn measure(title: &str, benches: Vec<Bench>, common: &Common) -> Result<bool, String> {
    let machine = machine::Machine::read();
    let own_blocks_only = benches.iter().all(|bench| !bench.frees_for_others());
    let (contestants, left_out) = Workshop::open(!common.workers.no_build)?
        .contestants(common, |allocator| own_blocks_only || allocator.name != FLOOR)?;
    let reference = stats::reference(&contestants, common.reference.as_deref())?;
    let results =
        Vec::from_iter(benches.into_iter().map(|bench| rounds::run(bench, &contestants, common)));
    let complete = results.iter().all(|result| result.complaints.is_empty());
    report::publish(title, &machine, &results, &left_out, reference, common)?;
    Ok(complete)
}
