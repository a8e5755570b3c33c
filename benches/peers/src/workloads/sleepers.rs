//! Owns larson's variant with threads that stay: each sleeps on after its life, and others free its blocks.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;

use super::Part;
use super::chains::{self, Lives};
use super::mixed::Mix;
use crate::table::Table;
use crate::{Peer, Timed, clock};

/// As larson: `threads` chains of `lives` threads, each of which replaces `steps` random blocks (8 to
/// 1000 bytes) among `slots` and hands the slots to its successor. But no thread exits before all is
/// done: nearly every free is of a block whose owner is alive and asleep.
pub fn run<P: Peer>(threads: u64, lives: u64, steps: u64, slots: u64, seed: u64) -> Timed {
    chains::run::<P>(threads, Lives { lives, steps, slots, seed }, chain::<P>)
}

/// One chain of lives; the time ends with the last life, before the sleepers wake.
fn chain<P: Peer>(mut table: Table, Lives { lives, steps, seed, .. }: Lives) -> (Table, Part) {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let mut sleepers = Vec::with_capacity(lives as usize);
        let start = clock::now_ns();
        let mut checksum = 0u64;
        for life in 0..lives {
            let (hand_on, handed_on) = mpsc::sync_channel(1);
            let over = &over;
            let sleeper = scope.spawn(move || {
                P::thread_start();
                let seed = seed ^ (life << 32);
                let sum = Mix::new(&mut table, seed).replacements::<P, 8, 1000>(steps);
                hand_on.send((table, sum)).expect("the chain waits");
                // Acquire: pairs with the Release below; a woken thread sees why.
                while !over.load(Ordering::Acquire) {
                    thread::park();
                }
                P::thread_end();
            });
            sleepers.push(sleeper);
            let (next, sum) = handed_on.recv().expect("a worker thread panicked");
            table = next;
            checksum = checksum.rotate_left(1) ^ sum;
        }
        let end = clock::now_ns();
        // Release: pairs with the Acquire above.
        over.store(true, Ordering::Release);
        sleepers.iter().for_each(|sleeper| sleeper.thread().unpark());
        (table, Part { start, end, checksum })
    })
}
