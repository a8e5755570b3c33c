//! Owns the list of workloads: which name runs which loop, with which numbers.

mod larson;
mod mid_mt;
mod mixed;
mod pipe;
mod random_mixed;
mod tiny_hot;

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::{Peer, Timed};

/// Runs `bench` with its arguments.
pub fn dispatch<P: Peer>(bench: &str, numbers: &[u64]) -> Result<Timed, String> {
    match (bench, numbers) {
        ("tiny-hot", &[size, batch, cycles]) => Ok(tiny_hot::run::<P>(size, batch, cycles)),
        ("random-mixed", &[cycles, slots, seed]) => Ok(random_mixed::run::<P>(cycles, slots, seed)),
        ("mid-mt", &[threads, cycles, slots, seed]) => {
            Ok(mid_mt::run::<P>(threads, cycles, slots, seed))
        }
        ("larson", &[threads, lives, steps, slots, seed]) => {
            Ok(larson::run::<P>(threads, lives, steps, slots, seed))
        }
        ("pipe", &[pairs, blocks, seed]) => Ok(pipe::run::<P>(pairs, blocks, seed)),
        _ => Err(format!("no bench {bench} with {} numbers", numbers.len())),
    }
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
        Timed { ops, ns: end - start, checksum }
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
