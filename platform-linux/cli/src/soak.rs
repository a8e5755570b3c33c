//! `ace soak`: stresses the allocator for minutes and checks every block. Floor: tool.
//!
//! ```text
//! ace soak ──starts, with the library preloaded──> ace soak-worker: threads, forks, checks
//!    └── bar, patience, verdict <── one JSON message a line ──┘
//! ```
//! Two processes, so that a crash or a hang of the soaked one is a finding and not the end of the soak.
//!
//! | file | owns |
//! |---|---|
//! | `worker` | the soaked process: threads, phases, the account at the end |
//! | `actor`, `births`, `fork` | what a thread does; threads that come and go; forks |
//! | `block`, `mix` | a block and its pattern; which sizes and calls |
//! | `floor` | what the threads share |
//! | `memory` | what kernel, loader and allocator say |
//! | `message` | what the worker tells |
//! | `watch`, `verdict` | what the user sees |

mod actor;
mod births;
mod block;
mod floor;
mod fork;
mod memory;
mod message;
mod mix;
mod verdict;
mod watch;
mod worker;

pub use worker::work;

use crate::{
    Trouble,
    library::{self, Build},
    stop,
};
use ace_alloc_linux::options::parse_bytes;
use clap::value_parser;
use message::{Account, Message, Progress};
use std::{
    env,
    io::{BufRead, BufReader, Read},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};
use watch::Watch;

/// The first argument of the soaked process.
pub const WORKER: &str = "soak-worker";
const TICK: Duration = Duration::from_millis(100);

#[derive(clap::Args)]
pub struct Args {
    /// How long, in minutes; fractions are fine.
    #[arg(long, value_name = "N", default_value = "10", value_parser = parse_minutes)]
    #[arg(allow_negative_numbers = true)]
    minutes: f64,
    /// Threads that live all the time; more come and go [default: twice the cores, at least 4].
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(4..=1024))]
    threads: Option<u32>,
    /// What sizes, calls and patterns are drawn from. How the threads interleave is not in it.
    #[arg(long, value_name = "N", default_value_t = 0x5EED_ACE0)]
    seed: u64,
    /// Most bytes that live at a time; `k`, `m` or `g` may follow.
    #[arg(long, value_name = "BYTES", default_value = "512m", value_parser = parse_memory)]
    memory: usize,
    /// Seconds without an operation, or of a forked child's life, after which it counts as hung.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = value_parser!(u64).range(1..))]
    patience: u64,
}

impl Args {
    fn length(&self) -> Duration {
        Duration::from_secs_f64(self.minutes * 60.0)
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(self.patience)
    }

    fn threads(&self) -> u32 {
        let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        self.threads.unwrap_or_else(|| u32::try_from(2 * cores).unwrap_or(1024).clamp(4, 1024))
    }

    /// The worker's words, which it parses as these were parsed.
    fn words(&self) -> [String; 5] {
        [
            format!("--minutes={}", self.minutes),
            format!("--threads={}", self.threads()),
            format!("--seed={}", self.seed),
            format!("--memory={}", self.memory),
            format!("--patience={}", self.patience),
        ]
    }
}

fn parse_minutes(text: &str) -> Result<f64, String> {
    const MOST: f64 = 60.0 * 24.0 * 365.0;
    match text.parse() {
        Ok(minutes) if minutes > 0.0 && minutes <= MOST => Ok(minutes),
        _ => Err("a number of minutes above 0, at most a year of them".to_owned()),
    }
}

fn parse_memory(text: &str) -> Result<usize, String> {
    const LEAST: u64 = 16 << 20;
    const MOST: u64 = 1 << 40;
    match parse_bytes(text.as_bytes()) {
        Some(bytes @ LEAST..=MOST) => Ok(usize::try_from(bytes).unwrap_or(usize::MAX)),
        _ => Err("a number of bytes from 16m to 1024g".to_owned()),
    }
}

/// Soaks the library; 0 if it was clean.
pub fn soak(args: &Args) -> Result<u8, Trouble> {
    let library = library::find(Build::Ordinary)?;
    stop::listen();
    let mut worker = start(args, &library)?;
    let (sender, receiver) = mpsc::channel();
    let lines = BufReader::new(worker.stdout.take().ok_or_else(|| Trouble::own("no pipe"))?);
    thread::spawn(move || {
        // A line that can't be read is one that a dying process did not finish; its end tells more.
        let messages = split_lines(lines).filter_map(|line| serde_json::from_str(&line).ok());
        messages.map(|message| sender.send(message)).take_while(Result::is_ok).count();
    });
    eprintln!("soak: {} threads, seed {}, on {}", args.threads(), args.seed, library.display());
    let mut soak = Soak::new(args, library);
    soak.follow(&mut worker, &receiver);
    let status = worker
        .wait()
        .map_err(|error| Trouble::own(format_args!("the worker can't be waited for: {error}")))?;
    soak.judge(status)
}

fn start(args: &Args, library: &Path) -> Result<Child, Trouble> {
    let own = |error| Trouble::own(format_args!("the soak's worker can't be started: {error}"));
    let mut command = Command::new(env::current_exe().map_err(own)?);
    command.arg(WORKER).args(args.words()).env("LD_PRELOAD", library::preload_list(library));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(own)
}

fn split_lines(stream: BufReader<impl Read>) -> impl Iterator<Item = String> {
    stream.lines().map_while(Result::ok)
}

/// What is known of the worker.
struct Soak<'a> {
    args: &'a Args,
    library: PathBuf,
    watch: Watch,
    malloc_is_in: Option<PathBuf>,
    progress: Progress,
    last_progress: Instant,
    findings: Vec<String>,
    account: Option<Account>,
    /// How often the worker was told to stop.
    told: u32,
    killed: bool,
}

impl<'a> Soak<'a> {
    fn new(args: &'a Args, library: PathBuf) -> Self {
        Self {
            args,
            library,
            watch: Watch::new(args.length()),
            malloc_is_in: None,
            progress: Progress::default(),
            last_progress: Instant::now(),
            findings: Vec::new(),
            account: None,
            told: 0,
            killed: false,
        }
    }

    /// Listens to the worker until it says no more.
    fn follow(&mut self, worker: &mut Child, messages: &Receiver<Message>) {
        loop {
            match messages.recv_timeout(TICK) {
                Ok(message) => self.take(message),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.watch.show(&self.progress);
            let wrong_library =
                self.malloc_is_in.as_ref().is_some_and(|file| *file != self.library);
            let hung = self.last_progress.elapsed() > self.args.patience();
            if hung && !self.killed {
                let patience = self.args.patience();
                self.findings.push(format!("it hung: no operation went through for {patience:?}"));
            }
            if (hung || wrong_library || stop::asked() > 1) && !self.killed {
                self.killed = true;
                // It fails only if the worker is gone already.
                let _ = worker.kill();
            }
            if stop::asked() > self.told {
                self.told = stop::asked();
                // SAFETY: our own child, not waited for yet. From a terminal it got the signal anyway.
                unsafe { libc::kill(worker.id().cast_signed(), libc::SIGINT) };
            }
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Begun { malloc_is_in } => self.malloc_is_in = Some(malloc_is_in),
            Message::Progress(progress) if progress.operations == self.progress.operations => {}
            Message::Progress(progress) => {
                self.progress = progress;
                self.last_progress = Instant::now();
            }
            Message::Finding(what) => self.findings.push(what),
            Message::Ended(account) => self.account = Some(account),
        }
    }

    fn judge(mut self, status: ExitStatus) -> Result<u8, Trouble> {
        let took = self.watch.end();
        match &self.malloc_is_in {
            Some(file) if *file != self.library => {
                return Err(Trouble::own(format_args!(
                    "the soak would not test {}: malloc is in {}",
                    self.library.display(),
                    file.display()
                )));
            }
            _ => {}
        }
        match &self.account {
            Some(account) => self.findings.extend(verdict::leaks(account)),
            None if self.findings.is_empty() && stop::asked() > 0 && status.signal().is_some() => {
                return Err(Trouble::own("the soak was stopped before it had a verdict"));
            }
            None if self.killed => {}
            None => self.findings.push(format!("the worker ended before its time: {status}")),
        }
        if let (Some(account), []) = (&self.account, &self.findings[..]) {
            let stopped = stop::asked() > 0;
            println!("{}", verdict::clean(account, &self.library, took, stopped));
            return Ok(0);
        }
        println!("{}", verdict::broken(&self.findings, &self.library, took, self.args.seed));
        Ok(1)
    }
}
