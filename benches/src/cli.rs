//! Owns the command line: subcommands, their arguments and defaults, the texts of `--help`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, value_parser};

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
    /// The three benches of the paper with their default arguments, and their geometric mean
    All {
        #[command(flatten)]
        common: Common,
    },
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

#[derive(Args)]
pub struct TinyHotArgs {
    /// Bytes of a block
    #[arg(default_value_t = 64, value_parser = value_parser!(u64).range(8..=1 << 30))]
    size: u64,
    /// Blocks of a cycle
    #[arg(default_value_t = 100, value_parser = value_parser!(u64).range(1..=1 << 28))]
    batch: u64,
    /// Timed cycles (a tenth as many warm up)
    #[arg(default_value_t = 60_000, value_parser = value_parser!(u64).range(1..))]
    cycles: u64,
}

#[derive(Args)]
pub struct RandomMixedArgs {
    /// Timed steps (a tenth as many warm up)
    #[arg(default_value_t = 2_000_000, value_parser = value_parser!(u64).range(1..))]
    cycles: u64,
    /// Slots: on average half of them hold a block
    #[arg(default_value_t = 400, value_parser = value_parser!(u64).range(1..=1 << 28))]
    slots: u64,
    /// Seed of the slots and sizes
    #[arg(default_value_t = 42)]
    seed: u64,
}

#[derive(Args)]
pub struct MidMtArgs {
    /// Threads
    #[arg(default_value_t = 2, value_parser = value_parser!(u64).range(1..=1024))]
    threads: u64,
    /// Timed steps of each thread (a tenth as many warm up)
    #[arg(default_value_t = 2_000_000, value_parser = value_parser!(u64).range(1..))]
    cycles: u64,
    /// Slots of each thread: on average half of them hold a block
    #[arg(default_value_t = 1024, value_parser = value_parser!(u64).range(1..=1 << 24))]
    slots: u64,
    /// Seed of the first thread; each further thread counts one up
    #[arg(default_value_t = 42)]
    seed: u64,
}

#[derive(Args)]
pub struct LarsonArgs {
    /// Chains of threads
    #[arg(default_value_t = 2, value_parser = value_parser!(u64).range(1..=1024))]
    threads: u64,
    /// Threads of each chain
    #[arg(default_value_t = 20, value_parser = value_parser!(u64).range(1..))]
    lives: u64,
    /// Steps of each thread
    #[arg(default_value_t = 100_000, value_parser = value_parser!(u64).range(1..))]
    steps: u64,
    /// Slots of each chain: all of them hold a block
    #[arg(default_value_t = 5000, value_parser = value_parser!(u64).range(1..=1 << 24))]
    slots: u64,
    /// Seed of the first chain; each further chain counts one up
    #[arg(default_value_t = 42)]
    seed: u64,
}

#[derive(Args)]
pub struct PipeArgs {
    /// Pairs of threads
    #[arg(default_value_t = 1, value_parser = value_parser!(u64).range(1..=512))]
    pairs: u64,
    /// Blocks of each pair (a tenth as many warm up)
    #[arg(default_value_t = 3_000_000, value_parser = value_parser!(u64).range(1..))]
    blocks: u64,
    /// Seed of the first pair; each further pair counts one up
    #[arg(default_value_t = 42)]
    seed: u64,
}

impl TinyHotArgs {
    /// The bench with these arguments.
    pub fn bench(&self) -> Bench {
        Bench::new("tiny-hot", &[self.size, self.batch, self.cycles])
    }
}

impl RandomMixedArgs {
    /// The bench with these arguments.
    pub fn bench(&self) -> Bench {
        Bench::new("random-mixed", &[self.cycles, self.slots, self.seed])
    }
}

impl MidMtArgs {
    /// The bench with these arguments.
    pub fn bench(&self) -> Bench {
        Bench::new("mid-mt", &[self.threads, self.cycles, self.slots, self.seed])
    }
}

impl LarsonArgs {
    /// The bench with these arguments.
    pub fn bench(&self) -> Bench {
        Bench::new("larson", &[self.threads, self.lives, self.steps, self.slots, self.seed])
    }
}

impl PipeArgs {
    /// The bench with these arguments.
    pub fn bench(&self) -> Bench {
        Bench::new("pipe", &[self.pairs, self.blocks, self.seed])
    }
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
