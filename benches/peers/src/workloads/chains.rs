//! Owns chains of threads that hand their blocks on: how they begin and end.

use std::sync::atomic::AtomicU64;
use std::thread;

use super::mixed::Mix;
use super::{Part, meet};
use crate::table::Table;
use crate::{Peer, Timed};

/// A chain: so many threads one after the other, each with so many steps among so many slots.
#[derive(Clone, Copy)]
pub struct Lives {
    pub lives: u64,
    pub steps: u64,
    pub slots: u64,
    pub seed: u64,
}

/// `threads` chains at once, each from its own filled table; what is left at the end is freed.
pub fn run<P: Peer>(
    threads: u64,
    lives: Lives,
    chain: impl Fn(Table, Lives) -> (Table, Part) + Sync,
) -> Timed {
    let (ready, chain) = (AtomicU64::new(0), &chain);
    let parts = thread::scope(|scope| {
        let chains = Vec::from_iter((0..threads).map(|index| {
            let (ready, own) = (&ready, Lives { seed: lives.seed + index, ..lives });
            scope.spawn(move || {
                let mut table = Table::new(own.slots as usize);
                P::thread_start();
                Mix::new(&mut table, own.seed).fill::<P, 8, 1000>();
                meet(ready, threads);
                let (mut table, part) = chain(table, own);
                Mix::new(&mut table, own.seed).finish::<P>();
                P::thread_end();
                part
            })
        }));
        Vec::from_iter(chains.into_iter().map(|c| c.join().expect("a worker thread panicked")))
    });
    Part::join(&parts, 2 * threads * lives.lives * lives.steps)
}
