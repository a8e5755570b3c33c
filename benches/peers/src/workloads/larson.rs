//! Owns a bench after Larson and Krishnan: blocks outlive the threads that made them.

use std::sync::atomic::AtomicU64;
use std::thread;

use super::mixed::Mix;
use super::{Part, meet};
use crate::table::Table;
use crate::{Peer, Timed, clock};

/// `threads` chains of threads. Each thread replaces `steps` random blocks (8 to 1000 bytes) among
/// `slots`, hands all slots to a successor and exits; a chain has `lives` threads. So at first
/// nearly every free is of a dead thread's block. Starting a thread allocates a few blocks itself:
/// with enough steps a life that does not show.
pub fn run<P: Peer>(threads: u64, lives: u64, steps: u64, slots: u64, seed: u64) -> Timed {
    let ready = AtomicU64::new(0);
    let parts = thread::scope(|scope| {
        let chains = Vec::from_iter((0..threads).map(|index| {
            let ready = &ready;
            scope.spawn(move || {
                let mut table = Table::new(slots as usize);
                P::thread_start();
                Mix::new(&mut table, seed + index).fill::<P, 8, 1000>();
                P::thread_end();
                meet(ready, threads);
                chain::<P>(table, lives, steps, seed + index)
            })
        }));
        Vec::from_iter(chains.into_iter().map(|c| c.join().expect("a worker thread panicked")))
    });
    Part::join(&parts, 2 * threads * lives * steps)
}

/// One chain of lives, one after the other.
fn chain<P: Peer>(mut table: Table, lives: u64, steps: u64, seed: u64) -> Part {
    let start = clock::now_ns();
    let mut checksum = 0u64;
    for life in 0..lives {
        let one = thread::spawn(move || {
            P::thread_start();
            let sum = Mix::new(&mut table, seed ^ (life << 32)).replacements::<P, 8, 1000>(steps);
            P::thread_end();
            (table, sum)
        });
        let (handed_on, sum) = one.join().expect("a worker thread panicked");
        table = handed_on;
        checksum = checksum.rotate_left(1) ^ sum;
    }
    let end = clock::now_ns();
    P::thread_start();
    Mix::new(&mut table, seed).finish::<P>();
    P::thread_end();
    Part { start, end, checksum }
}
