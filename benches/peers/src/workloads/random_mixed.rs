//! Owns the paper's Random Mixed: one thread, sizes 16 to 1024 bytes, random slots.

use super::mixed::Mix;
use crate::table::Table;
use crate::{Peer, Story, Timed, clock};

/// `cycles` steps over `slots` slots.
pub fn run<P: Peer>(cycles: u64, slots: u64, seed: u64) -> Timed {
    let mut table = Table::new(slots as usize);
    let mut mix = Mix::new(&mut table, seed);
    mix.steps::<P, 16, 1024>(super::warm_up(cycles));
    let start = clock::now_ns();
    let checksum = mix.steps::<P, 16, 1024>(cycles);
    let ns = clock::now_ns() - start;
    mix.finish::<P>();
    Timed { ops: cycles, ns, checksum, story: Story::default() }
}
