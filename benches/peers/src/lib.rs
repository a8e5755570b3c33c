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
    P::process_start();
    let start_rss_kib = memory::resident_kib();
    let timed = workloads::dispatch::<P>(&bench, &numbers)?;
    let end_rss_kib = memory::resident_kib();
    let peak_rss_kib = memory::peak_resident_kib();
    if let Ok(library) = std::env::var("BENCH_MAPPED")
        && !memory::is_mapped(&library)
    {
        return Err(format!("{library} is not mapped: the loader did not take it"));
    }
    Ok(format!(
        "{{\"version\":\"{}\",\"ops\":{},\"ns\":{},\"checksum\":{},\"start_rss_kib\":{},\
         \"end_rss_kib\":{},\"peak_rss_kib\":{}}}",
        P::version(),
        timed.ops,
        timed.ns,
        timed.checksum,
        start_rss_kib,
        end_rss_kib,
        peak_rss_kib,
    ))
}
