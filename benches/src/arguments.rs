//! Owns the arguments of each bench: their order, defaults and ranges.

use clap::{Args, ValueEnum, value_parser};

use crate::rounds::Bench;

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

/// What a program does after it has freed its memory.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Then {
    /// One bench for each
    Both,
    /// A light load
    Call,
    /// Sleep
    Sleep,
}

#[derive(Args)]
pub struct FillArgs {
    /// MiB of blocks
    #[arg(default_value_t = 256, value_parser = value_parser!(u64).range(1..=1 << 20))]
    mib: u64,
    /// Each KEEP-th block stays (0: none)
    #[arg(default_value_t = 0)]
    keep: u64,
    /// Milliseconds to wait for a lean process
    #[arg(default_value_t = 5000, value_parser = value_parser!(u64).range(1..=60_000))]
    patience: u64,
    /// Seed of the sizes
    #[arg(default_value_t = 42)]
    seed: u64,
    /// What the program does afterwards
    #[arg(long, value_enum, default_value_t = Then::Both)]
    then: Then,
}

#[derive(Args)]
pub struct OscillateArgs {
    /// MiB of blocks
    #[arg(default_value_t = 256, value_parser = value_parser!(u64).range(1..=1 << 20))]
    mib: u64,
    /// Cycles
    #[arg(default_value_t = 12, value_parser = value_parser!(u64).range(1..=1 << 20))]
    cycles: u64,
    /// Milliseconds between two cycles
    #[arg(default_value_t = 0, value_parser = value_parser!(u64).range(0..=60_000))]
    pause: u64,
    /// Seed of the sizes
    #[arg(default_value_t = 42)]
    seed: u64,
}

#[derive(Args)]
pub struct PhasesArgs {
    /// Random steps with small blocks
    #[arg(default_value_t = 40_000_000, value_parser = value_parser!(u64).range(1..))]
    small: u64,
    /// Random steps with mid-sized blocks
    #[arg(default_value_t = 140_000_000, value_parser = value_parser!(u64).range(1..))]
    mid: u64,
    /// Blocks from one thread to another
    #[arg(default_value_t = 130_000_000, value_parser = value_parser!(u64).range(1..))]
    remote: u64,
    /// Milliseconds of sleep
    #[arg(default_value_t = 2000, value_parser = value_parser!(u64).range(0..=60_000))]
    idle: u64,
    /// Seed of all phases
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
        Bench::new("larson", &self.numbers())
    }

    /// The same with threads that stay.
    pub fn sleepers(&self) -> Bench {
        Bench::new("sleepers", &self.numbers())
    }

    fn numbers(&self) -> [u64; 5] {
        [self.threads, self.lives, self.steps, self.slots, self.seed]
    }
}

impl FillArgs {
    /// Both ends of the story, or the one that was asked for.
    pub fn benches(&self) -> Vec<Bench> {
        let numbers = [self.mib, self.keep, self.patience, self.seed];
        let names = match self.then {
            Then::Call => &["fill-call"][..],
            Then::Sleep => &["fill-sleep"],
            Then::Both => &["fill-call", "fill-sleep"],
        };
        names.iter().map(|name| Bench::new(name, &numbers)).collect()
    }
}

impl OscillateArgs {
    /// The bench with these arguments.
    pub fn bench(&self) -> Bench {
        Bench::new("oscillate", &[self.mib, self.cycles, self.pause, self.seed])
    }
}

impl PhasesArgs {
    /// The bench with these arguments.
    pub fn bench(&self) -> Bench {
        Bench::new("phases", &[self.small, self.mid, self.remote, self.idle, self.seed])
    }
}

impl PipeArgs {
    /// The bench with these arguments.
    pub fn bench(&self) -> Bench {
        Bench::new("pipe", &[self.pairs, self.blocks, self.seed])
    }
}
