//! Owns the worker process: one workload against one allocator, timed, told as one line of JSON.
//!
//! Each executable in `bin/` names one allocator through [`Peer`] and calls [`run`]; the workloads
//! are generic over it, so that every call compiles to a direct call of the peer's C function.
//! A worker measures once and exits: what several rounds say together is `ace-bench`'s business.

pub mod clock;
pub mod memory;
pub mod peer;
pub mod random;
pub mod table;
pub mod watch;
pub mod workloads;

pub use peer::Peer;

use std::process::ExitCode;

/// What one workload reports about its timed part.
pub struct Timed {
    /// Calls of malloc and of free, each counted as one.
    pub ops: u64,
    /// Nanoseconds from the first call to the last.
    pub ns: u64,
    /// What the workload read back from its blocks: the same for every allocator.
    pub checksum: u64,
    /// What else it measured.
    pub story: Story,
}

/// Further figures of a workload, with their names; the unit is part of the name. None: it did not come
/// to that.
#[derive(Default)]
pub struct Story(Vec<(&'static str, Option<f64>)>);

impl Story {
    /// One more figure.
    pub fn add(&mut self, name: &'static str, value: Option<f64>) {
        self.0.push((name, value));
    }

    /// As a JSON list of pairs, which keeps the order.
    fn json(&self) -> String {
        let figure = |(name, value): &(&str, Option<f64>)| format!("[\"{name}\",{}]", json(*value));
        format!("[{}]", Vec::from_iter(self.0.iter().map(figure)).join(","))
    }
}

/// A number as JSON.
fn json(value: Option<f64>) -> String {
    value.map_or("null".to_owned(), |value| format!("{value:.3}"))
}

/// The whole life of a worker: reads the arguments, measures `P`, prints one line of JSON.
pub fn run<P: Peer>() -> ExitCode {
    match measure::<P>() {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("{why}");
            ExitCode::from(2)
        }
    }
}

/// The measurement itself, or why there is none.
fn measure<P: Peer>() -> Result<String, String> {
    let mut args = std::env::args().skip(1);
    let bench = args.next().ok_or("usage: WORKER BENCH NUMBER…")?;
    let numbers = args
        .map(|arg| arg.parse().map_err(|_| format!("not a number: {arg}")))
        .collect::<Result<Vec<u64>, String>>()?;
    let watch = (workloads::is_watched(&bench) || std::env::var_os("BENCH_WATCH").is_some())
        .then(watch::Watch::start)
        .transpose()?;
    P::process_start();
    let start = clock::now_ns();
    let start_rss_kib = memory::resident_kib();
    let timed = workloads::dispatch::<P>(&bench, &numbers, watch.as_ref())?;
    let mean_rss_kib = watch.map(|watch| watch.mean_kib(start, clock::now_ns()));
    let end_rss_kib = memory::resident_kib();
    let peak_rss_kib = memory::peak_resident_kib();
    if let Ok(library) = std::env::var("BENCH_MAPPED")
        && !memory::is_mapped(&library)
    {
        return Err(format!("{library} is not mapped: the loader did not take it"));
    }
    Ok(format!(
        "{{\"version\":\"{}\",\"ops\":{},\"ns\":{},\"checksum\":{},\"start_rss_kib\":{},\
         \"end_rss_kib\":{},\"peak_rss_kib\":{},\"mean_rss_kib\":{},\"story\":{}}}",
        P::version(),
        timed.ops,
        timed.ns,
        timed.checksum,
        start_rss_kib,
        end_rss_kib,
        peak_rss_kib,
        json(mean_rss_kib),
        timed.story.json(),
    ))
}
