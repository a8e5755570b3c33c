//! Owns the paper's Mid MT: threads that each mix sizes of 2 to 32 KiB in slots of their own.

use std::sync::atomic::AtomicU64;
use std::thread;

use super::mixed::Mix;
use super::{Part, meet};
use crate::table::Table;
use crate::{Peer, Timed, clock};

/// `threads` threads, each `cycles` steps over `slots` slots. The time is from the first thread's
/// first step to the last thread's last.
pub fn run<P: Peer>(threads: u64, cycles: u64, slots: u64, seed: u64) -> Timed {
    let threads = threads.max(1);
    let ready = AtomicU64::new(0);
    let parts = thread::scope(|scope| {
        let workers = Vec::from_iter((0..threads).map(|index| {
            let ready = &ready;
            scope.spawn(move || {
                P::thread_start();
                let part = one_thread::<P>(cycles, slots, seed + index, || meet(ready, threads));
                P::thread_end();
                part
            })
        }));
        Vec::from_iter(workers.into_iter().map(|w| w.join().expect("a worker thread panicked")))
    });
    Part::join(&parts, threads * cycles)
}

/// Warms up, waits for the others, measures.
fn one_thread<P: Peer>(cycles: u64, slots: u64, seed: u64, meet: impl Fn()) -> Part {
    let mut table = Table::new(slots as usize);
    let mut mix = Mix::new(&mut table, seed);
    mix.steps::<P, 2048, 32768>(super::warm_up(cycles));
    meet();
    let start = clock::now_ns();
    let checksum = mix.steps::<P, 2048, 32768>(cycles);
    let end = clock::now_ns();
    mix.finish::<P>();
    Part { start, end, checksum }
}
