//! Owns the bench of memory that comes and goes: the same heap filled and freed again and again.

use super::mixed::Mix;
use super::{Story, median, table_of};
use crate::watch::Watch;
use crate::{Peer, Timed, clock};

/// `cycles` times: fills `mib` MiB with blocks of 16 to 1024 bytes, frees them all, pauses for
/// `pause` ms. The pauses are not timed.
pub fn run<P: Peer>(mib: u64, cycles: u64, pause: u64, seed: u64, watch: &Watch) -> Timed {
    let mut table = table_of(mib);
    let list = || Vec::<f64>::with_capacity(cycles as usize);
    let (mut times, mut lows) = (list(), list());
    let mut checksum = 0u64;
    for _ in 0..cycles {
        let mut heap = Mix::new(&mut table, seed);
        let start = clock::now_ns();
        heap.fill::<P, 16, 1024>();
        checksum = checksum.rotate_left(1) ^ heap.empty::<P>(0);
        times.push((clock::now_ns() - start) as f64);
        if pause > 0 {
            clock::sleep_ms(pause);
        }
        lows.push(watch.resident_kib() as f64);
    }
    let ns = times.iter().sum::<f64>() as u64;
    let mut story = Story::default();
    story.add("cycle_ms", Some(median(&mut times) / 1e6));
    story.add("low_mib", Some(median(&mut lows) / 1024.0));
    Timed { ops: 2 * cycles * table.len() as u64, ns, checksum, story }
}
