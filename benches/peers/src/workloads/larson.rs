//! Owns a bench after Larson and Krishnan: blocks outlive the threads that made them.

use std::thread;

use super::Part;
use super::chains::{self, Lives};
use super::mixed::Mix;
use crate::table::Table;
use crate::{Peer, Timed, clock};

/// `threads` chains of threads. Each thread replaces `steps` random blocks (8 to 1000 bytes) among
/// `slots`, hands all slots to a successor and exits; a chain has `lives` threads. So at first
/// nearly every free is of a dead thread's block. Starting a thread allocates a few blocks itself:
/// with enough steps a life that does not show.
pub fn run<P: Peer>(threads: u64, lives: u64, steps: u64, slots: u64, seed: u64) -> Timed {
    chains::run::<P>(threads, Lives { lives, steps, slots, seed }, |table, lives| {
        P::thread_end();
        let (table, part) = chain::<P>(table, lives);
        P::thread_start();
        (table, part)
    })
}

/// One chain of lives, one after the other.
fn chain<P: Peer>(mut table: Table, Lives { lives, steps, seed, .. }: Lives) -> (Table, Part) {
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
    (table, Part { start, end: clock::now_ns(), checksum })
}
