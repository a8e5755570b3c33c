//! Owns the list of workloads: which name runs which loop, with which numbers.

mod chains;
mod fill;
mod larson;
mod mid_mt;
mod mixed;
mod oscillate;
mod phases;
mod pipe;
mod random_mixed;
mod sleepers;
mod tiny_hot;

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::table::Table;
use crate::watch::Watch;
use crate::{Peer, Story, Timed};

/// The benches that tell more than a watcher's mean: they can't run without one.
const WATCHED: [&str; 4] = ["fill-call", "fill-sleep", "oscillate", "phases"];

/// Does `bench` need a watcher?
pub fn is_watched(bench: &str) -> bool {
    WATCHED.contains(&bench)
}

/// Runs `bench` with its arguments.
pub fn dispatch<P: Peer>(
    bench: &str,
    numbers: &[u64],
    watch: Option<&Watch>,
) -> Result<Timed, String> {
    if let Some(watch) = watch.filter(|_| is_watched(bench)) {
        return watched::<P>(bench, numbers, watch);
    }
    match (bench, numbers) {
        ("tiny-hot", &[size, batch, cycles]) => Ok(tiny_hot::run::<P>(size, batch, cycles)),
        ("random-mixed", &[cycles, slots, seed]) => Ok(random_mixed::run::<P>(cycles, slots, seed)),
        ("mid-mt", &[threads, cycles, slots, seed]) => {
            Ok(mid_mt::run::<P>(threads, cycles, slots, seed))
        }
        ("larson", &[threads, lives, steps, slots, seed]) => {
            Ok(larson::run::<P>(threads, lives, steps, slots, seed))
        }
        ("sleepers", &[threads, lives, steps, slots, seed]) => {
            Ok(sleepers::run::<P>(threads, lives, steps, slots, seed))
        }
        ("pipe", &[pairs, blocks, seed]) => Ok(pipe::run::<P>(pairs, blocks, seed)),
        _ => Err(unknown(bench, numbers)),
    }
}

/// The benches whose subject is memory over time.
fn watched<P: Peer>(bench: &str, numbers: &[u64], watch: &Watch) -> Result<Timed, String> {
    match (bench, numbers) {
        ("fill-call" | "fill-sleep", &[mib, keep, patience, seed]) => {
            let then = match bench {
                "fill-call" => fill::Then::Call,
                _ => fill::Then::Sleep,
            };
            Ok(fill::run::<P>(mib, keep, patience, seed, then, watch))
        }
        ("oscillate", &[mib, cycles, pause, seed]) => {
            Ok(oscillate::run::<P>(mib, cycles, pause, seed, watch))
        }
        ("phases", &[small_steps, mid_steps, remote_blocks, idle_ms, seed]) => {
            let work = phases::Work { small_steps, mid_steps, remote_blocks, idle_ms, seed };
            Ok(phases::run::<P>(&work, watch))
        }
        _ => Err(unknown(bench, numbers)),
    }
}

fn unknown(bench: &str, numbers: &[u64]) -> String {
    format!("no bench {bench} with {} numbers", numbers.len())
}

/// Slots for `mib` MiB of blocks of 16 to 1024 bytes, which are 520 bytes on average.
fn table_of(mib: u64) -> Table {
    Table::new((mib << 20).div_ceil(520) as usize)
}

/// The middle of the values (the upper one of two); 0 if there are none.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// Warm-up before the clock starts: a tenth of the timed work.
fn warm_up(cycles: u64) -> u64 {
    cycles.div_ceil(10)
}

/// One thread's share of a measurement.
struct Part {
    start: u64,
    end: u64,
    checksum: u64,
}

impl Part {
    /// The whole: from the first thread's first step to the last thread's last.
    fn join(parts: &[Self], ops: u64) -> Timed {
        let start = parts.iter().map(|part| part.start).min().unwrap_or(0);
        let end = parts.iter().map(|part| part.end).max().unwrap_or(0);
        let checksum = parts.iter().fold(0u64, |sum, part| sum.wrapping_add(part.checksum));
        Timed { ops, ns: end - start, checksum, story: Story::default() }
    }
}

/// Returns when all `threads` have called. Yields rather than sleeps: a futex wake-up would let one
/// thread start much later than the other.
fn meet(ready: &AtomicU64, threads: u64) {
    // AcqRel and Acquire: no step of the measurement moves before the meeting.
    ready.fetch_add(1, Ordering::AcqRel);
    while ready.load(Ordering::Acquire) < threads {
        thread::yield_now();
    }
}
