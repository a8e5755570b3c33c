//! Owns the command line: subcommands, their arguments and defaults, the texts of `--help`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, value_parser};

use crate::arguments::{
    FillArgs, LarsonArgs, MidMtArgs, OscillateArgs, PhasesArgs, PipeArgs, RandomMixedArgs,
    TinyHotArgs,
};
use crate::embedded::Group;
use crate::rounds::Bench;

/// Benchmarks of ACE-Alloc against its peers.
///
/// Every allocator runs the same compiled loop in a process of its own, in interleaved rounds
/// (A B C, B C A, …); the table shows medians over the rounds. The first run builds the peers from
/// crates.io, which takes a few minutes; later runs only check that they are up to date.
#[derive(Parser)]
#[command(name = "ace-bench", version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Batches of equal small blocks, allocated, written and freed in order
    ///
    /// Each cycle allocates BATCH blocks of SIZE bytes, writes the first word of each, then reads it
    /// back and frees them in order. One malloc is one operation, one free is another.
    TinyHot {
        #[command(flatten)]
        args: TinyHotArgs,
        #[command(flatten)]
        common: Common,
    },
    /// Random slots, sizes 16 to 1024 bytes, one thread
    ///
    /// Each step picks a random slot: a taken one is freed, an empty one is filled with a block of
    /// random size whose first word is written. One step is one operation.
    RandomMixed {
        #[command(flatten)]
        args: RandomMixedArgs,
        #[command(flatten)]
        common: Common,
    },
    /// Random slots, sizes 2 to 32 KiB, several threads
    ///
    /// As random-mixed, in each thread with slots of its own. One step is one operation; the time
    /// runs from the first thread's first step to the last thread's last.
    MidMt {
        #[command(flatten)]
        args: MidMtArgs,
        #[command(flatten)]
        common: Common,
    },
    /// Blocks that outlive their threads: 8 to 1000 bytes, handed from thread to thread
    ///
    /// Each thread replaces STEPS random blocks among SLOTS, hands the slots to a successor and
    /// exits; each of THREADS chains has LIVES threads. One malloc is one operation, one free
    /// another. The time contains the starts of the threads.
    Larson {
        #[command(flatten)]
        args: LarsonArgs,
        #[command(flatten)]
        common: Common,
    },
    /// Producers and consumers: 16 to 256 bytes, each block freed by another thread
    ///
    /// In each pair one thread makes BLOCKS blocks and one frees them, through a ring of 4096 slots
    /// in batches of 64. One malloc is one operation, one free another.
    Pipe {
        #[command(flatten)]
        args: PipeArgs,
        #[command(flatten)]
        common: Common,
    },
    /// As larson, but no thread exits: blocks of owners that are alive and asleep
    ///
    /// Each thread replaces STEPS random blocks among SLOTS, hands the slots to a successor and
    /// sleeps until all is done. Operations are counted as in larson.
    Sleepers {
        #[command(flatten)]
        args: LarsonArgs,
        #[command(flatten)]
        common: Common,
    },
    /// Memory given back: a heap is filled and freed; how long does it stay resident?
    ///
    /// Fills MIB MiB with blocks of 16 to 1024 bytes and frees them in order, which is timed; one
    /// malloc is one operation, one free another. Then the program goes on with a light load
    /// (fill-call: 1000 random steps each millisecond) or sleeps (fill-sleep). "lean ms" is the time
    /// until the resident set is at most what it was before, plus 1.1 times the blocks kept, plus 8 MiB,
    /// and stays so for half a second; "never" if PATIENCE ms were not enough.
    Fill {
        #[command(flatten)]
        args: FillArgs,
        #[command(flatten)]
        common: Common,
    },
    /// Memory that comes and goes: the same heap filled and freed, cycle after cycle
    ///
    /// Each cycle fills MIB MiB with blocks of 16 to 1024 bytes, frees them in order and pauses. One
    /// malloc is one operation, one free another; the pauses are not timed. "cycle ms" is the median
    /// cycle, "low MiB" the median of the resident set at the cycles' ends.
    Oscillate {
        #[command(flatten)]
        args: OscillateArgs,
        #[command(flatten)]
        common: Common,
    },
    /// A program that changes: small blocks, mid-sized ones, blocks for other threads, idle
    ///
    /// SMALL random steps with 16 to 1024 bytes, MID random steps with 1 to 64 KiB, REMOTE blocks that
    /// one thread makes and another frees, then a sleep of IDLE ms; each phase frees its blocks. The
    /// work is fixed, so the sum of the busy phases' times is the result, and the integral of the
    /// resident set over everything ("rss MiB s"). The defaults take each busy phase about two seconds
    /// with ACE-Alloc on a slow CPU; some allocators need several times as long.
    Phases {
        #[command(flatten)]
        args: PhasesArgs,
        #[command(flatten)]
        common: Common,
    },
    /// The three benches of the paper with their default arguments, and their geometric mean
    All {
        #[command(flatten)]
        common: Common,
    },
    /// What each part of ACE-Alloc is worth: one part off a time, in Markdown
    ///
    /// Two groups of rows. In the first, the library as deployed, with ACE tuning or off and one
    /// part switched off; in the second, one heap that keeps what it knows of a block in tables, in
    /// slab tails, or in headers. --peers picks rows by name, --reference the row of the first
    /// group that the others are compared with [default: tune]. Variables that begin with ACE_ must not
    /// be set, for the rows set them.
    #[command(long_flag = "ablate")]
    Ablate {
        /// Benches, separated by commas: tiny-hot, random-mixed, mid-mt, larson, fill-call, fill-sleep,
        /// oscillate, sleepers, phases [default: the first seven]
        #[arg(long, value_name = "LIST", value_delimiter = ',')]
        benches: Option<Vec<String>>,
        #[command(flatten)]
        common: Common,
    },
    /// Explore the dials: throughput against memory, with the Pareto front, as CSV and SVG
    ///
    /// Measures every point of a grid over the dials (depot limits, refill, trim, tiering; ACE off),
    /// the fixed profiles and ACE itself (ACE_MODE=tune). Medians over the rounds; over the benches, a
    /// point's throughput is their geometric mean and its mean resident memory their arithmetic one.
    ///
    /// A sweep that was stopped goes on where its CSV ends; with another grid, machine or build of the
    /// library it refuses. Variables that begin with ACE_ must not be set, for the points set them.
    /// The whole grid takes about half an hour, --quick about three minutes.
    Sweep(SweepArgs),
    /// Heaps for kernels and microcontrollers: one arena, the same trace for all
    ///
    /// The heaps run on this machine, each in a process and an arena of its own: ACE-Alloc's LockedHeap in
    /// its scales, and the allocators that kernels and firmware use today, behind the locks that their
    /// users give them ("-bare": without). Every trace is first replayed by a pass that fills all blocks
    /// and checks contents, places and alignment; a heap that fails it is left out and the report says so.
    /// "floor" is no allocator: what the trace itself costs. Heaps that need too long make fewer steps, and
    /// their figures say so.
    ///
    /// GROUPS picks parts; all of it takes about a quarter of an hour, and each part is printed when it is
    /// measured. "heap, 75 %" is a heap whose live blocks,
    /// by the bytes asked for, are so much of the arena. Instructions are counted by valgrind.
    Embedded(EmbeddedArgs),
    /// Resident memory of a C-like program that does nothing, under each library
    ///
    /// The program has no Rust runtime; it prints its own VmHWM, once without any malloc and once
    /// after one pair of malloc and free. Only glibc and preloadable libraries take part.
    RssEmpty {
        #[command(flatten)]
        common: Common,
    },
    /// List the allocators that --peers knows
    Peers,
}

/// The three benches as they run without arguments.
pub fn defaults() -> Vec<Bench> {
    ["tiny-hot", "random-mixed", "mid-mt"]
        .into_iter()
        .map(|name| match Cli::parse_from(["ace-bench", name]).command {
            Command::TinyHot { args, .. } => args.bench(),
            Command::RandomMixed { args, .. } => args.bench(),
            Command::MidMt { args, .. } => args.bench(),
            _ => unreachable!("{name} is one of the three"),
        })
        .collect()
}

/// Where the worker lies in relation to its libraries.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Layout {
    /// Where the kernel puts a program, far from its libraries, as deployed: a preloaded allocator is
    /// called across that gap, which some CPUs charge for (0.6 to 0.8 ns a call seen), a linked one
    /// is not
    Exec,
    /// Beside its libraries, started through the dynamic loader: linked and preloaded allocators are
    /// called over a short distance. Flatters preloaded rows against their deployment
    Near,
}

impl Layout {
    /// The word of the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Exec => "exec",
            Self::Near => "near",
        }
    }
}

#[derive(Args)]
pub struct Common {
    /// Rounds: processes of each allocator
    #[arg(long, default_value_t = 7, value_parser = value_parser!(u32).range(1..=1000))]
    pub rounds: u32,
    /// Allocators to compare, separated by commas (see `ace-bench peers`); one that cannot run is
    /// then an error [default: all that can run here]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub peers: Option<Vec<String>>,
    /// The allocator that the others are compared with [default: ace, or the first one]
    #[arg(long, value_name = "NAME")]
    pub reference: Option<String>,
    /// Write one line per bench and allocator to a CSV file
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// Write everything as JSON to a file, or with `-` to stdout (the table then goes to stderr)
    #[arg(long, value_name = "FILE|-")]
    pub json: Option<PathBuf>,
    /// Where the workers' code lies
    #[arg(long, value_enum, default_value_t = Layout::Exec)]
    pub layout: Layout,
    #[command(flatten)]
    pub workers: Workers,
}

/// How worker processes are made and run.
#[derive(Clone, Debug, Args)]
pub struct Workers {
    /// Before each process, wait up to this long for the CPUs to be idle (0: do not wait)
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub quiet: u32,
    /// Use the workers and libraries that are there; build nothing
    #[arg(long)]
    pub no_build: bool,
    /// Seconds after which a worker counts as hung
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    #[arg(value_parser = value_parser!(u32).range(1..))]
    pub limit: u32,
}

/// Which benches a sweep runs.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scope {
    /// Those of `tiny` and of `mixed`
    Both,
    /// tiny-hot, with small and with large batches
    Tiny,
    /// random-mixed with few and with many slots, and oscillate
    Mixed,
}

#[derive(Args)]
pub struct SweepArgs {
    /// The benches
    #[arg(value_enum, default_value_t = Scope::Both)]
    pub scope: Scope,
    /// The samples: written as they come, and read again by a sweep that goes on
    #[arg(long, value_name = "FILE", default_value = "sweep.csv")]
    pub csv: PathBuf,
    /// The picture
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// A small grid, for a first look
    #[arg(long)]
    pub quick: bool,
    /// Rounds: processes of each point and bench
    #[arg(long, default_value_t = 3, value_parser = value_parser!(u32).range(1..=1000))]
    pub rounds: u32,
    /// Measure nothing: draw what the CSV has
    #[arg(long)]
    pub draw_only: bool,
    #[command(flatten)]
    pub workers: Workers,
}

#[derive(Args)]
pub struct EmbeddedArgs {
    /// Parts of the comparison [default: all]
    #[arg(value_enum)]
    pub groups: Vec<Group>,
    /// Heaps to compare, separated by commas [default: all]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub peers: Option<Vec<String>>,
    /// Rounds of what is timed: processes of each heap and load
    #[arg(long, default_value_t = 5, value_parser = value_parser!(u32).range(1..=1000))]
    pub rounds: u32,
    /// Speed at one fill only, for a first look
    #[arg(long)]
    pub quick: bool,
    /// Write one line per figure to a CSV file
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// Write everything as JSON to a file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Draw pictures into a folder
    #[arg(long, value_name = "FOLDER")]
    pub svg: Option<PathBuf>,
    #[command(flatten)]
    pub workers: Workers,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
        assert_eq!(defaults().len(), 3);
    }
}
