//! `ace`: runs programs on ACE-Alloc (`ace run`), tells what it decided (`ace explain`), measures it (`ace
//! bench`, `ace sweep`), stresses it (`ace soak`) and simulates the GPU memory of agents (`ace agents`).
//! Floor: tool.

mod agents;
mod bench;
mod child;
mod explain;
mod library;
mod program;
mod put;
mod report;
mod run;
mod soak;
mod stop;
mod style;

use ace_alloc_linux::AceAlloc;
use clap::{Parser, Subcommand};
use std::{ffi::OsString, fmt, path::PathBuf, process::ExitCode};

#[global_allocator]
static ALLOC: AceAlloc = AceAlloc::new();

#[derive(Parser)]
#[command(version, about = "Runs programs on ACE-Alloc, measures it and stresses it")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a program with ACE-Alloc as its memory allocator.
    ///
    /// Input, output, signals and the exit code are the program's own. When `ace` can't run it, the
    /// exit code is 127 (no such program), 126 (not one that can be run this way) or 125 (other
    /// trouble). The library is the `libace_alloc.so` beside `ace`, with --report the
    /// `libace_alloc_counted.so`, or in both cases the file that the environment variable ACE_LIBRARY
    /// names. Options of the allocator itself: docs/ENV_VARS.md.
    Run(RunArgs),
    /// Tell what ACE saw in a program, what it decided and why, from a trace.
    ///
    /// `ace run --trace FILE -- PROGRAM` writes one. The exit code is 0, 2 (bad arguments) or 125 (the
    /// file is not a trace, or something can't be written).
    Explain(explain::Args),
    /// Compare ACE-Alloc with other allocators; builds the benchmarks at the first call.
    #[command(disable_help_flag = true)]
    Bench {
        /// Arguments of the benchmarks (`ace bench --help` lists them).
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Explore the allocator's dials: throughput against memory, as CSV and as a picture.
    #[command(disable_help_flag = true)]
    Sweep {
        /// Arguments of the sweep (`ace sweep --help` lists them).
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Stress ACE-Alloc for minutes with threads, forks and all kinds of calls, and check every block.
    ///
    /// Each block is filled with a pattern of its own, which is checked while it lives and when it is
    /// freed; in the end everything is freed, and the allocator must have given its memory back. The
    /// exit code is 0 (clean), 1 (broken promises were found; each has a line) or 125 (there was no
    /// soak). SIGINT ends it early, with a verdict. The library is found as for `run`.
    Soak(soak::Args),
    /// Simulate the GPU memory of many agents: which policy keeps the right states on the device.
    ///
    /// A model with a virtual clock: one processor, a link with a lane in each direction, requests that
    /// are known when their step begins. It needs no GPU and takes seconds, and the same arguments give
    /// the same figures. They compare policies with one another and with a bound that none can beat; they
    /// are not measurements of a device. The exit code is 0, 2 (bad arguments) or 125 (other trouble).
    #[command(subcommand)]
    Agents(Box<agents::Command>),
    /// The process that `ace soak` soaks.
    #[command(name = soak::WORKER, hide = true)]
    SoakWorker(soak::Args),
}

#[derive(clap::Args)]
struct RunArgs {
    /// When the program ends, print what the allocator did, or write it as JSON to FILE. The program
    /// then runs on a library that counts calls and is a little slower.
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    report: Option<Option<PathBuf>>,
    /// Write what ACE sees, decides and why to FILE, for `ace explain`. Programs that the program starts
    /// write there too; with `%p` in the name, which becomes the process id, each into a file of its own.
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// The program and its arguments.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    #[arg(value_names = ["PROGRAM", "ARGS"])]
    program: Vec<OsString>,
}

/// Trouble that ends `ace`: a sentence and an exit code.
#[derive(Debug, PartialEq, Eq)]
struct Trouble {
    message: String,
    exit_code: u8,
}

impl Trouble {
    /// There is no such program.
    fn not_found(message: impl fmt::Display) -> Self {
        Self { message: message.to_string(), exit_code: 127 }
    }

    /// The program exists and can't be run on ACE-Alloc.
    fn cannot_run(message: impl fmt::Display) -> Self {
        Self { message: message.to_string(), exit_code: 126 }
    }

    /// Trouble of `ace` itself.
    fn own(message: impl fmt::Display) -> Self {
        Self { message: message.to_string(), exit_code: 125 }
    }
}

fn main() -> ExitCode {
    let done = match Args::parse().command {
        Command::Run(args) => run::run(&args.program, args.report.as_ref(), args.trace.as_deref()),
        Command::Explain(args) => explain::explain(&args),
        Command::Bench { args } => bench::bench(None, &args),
        Command::Sweep { args } => bench::bench(Some("sweep"), &args),
        Command::Soak(args) => soak::soak(&args),
        Command::Agents(command) => agents::agents(&command),
        Command::SoakWorker(args) => soak::work(&args),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(trouble) => {
            eprintln!("ace: {}", trouble.message);
            ExitCode::from(trouble.exit_code)
        }
    }
}
