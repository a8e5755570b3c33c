//! Owns the bench of a program that changes: small blocks, mid-sized ones, blocks for other threads, idle.

use super::mixed::Mix;
use super::{Story, pipe};
use crate::table::Table;
use crate::watch::Watch;
use crate::{Peer, Timed, clock};

/// Slots of the phases: on average half of them hold a block.
const SMALL_SLOTS: usize = 200_000;
const MID_SLOTS: usize = 4096;

/// How much each phase has to do.
pub struct Work {
    /// Random steps with 16 to 1024 bytes.
    pub small_steps: u64,
    /// Random steps with 1 to 64 KiB.
    pub mid_steps: u64,
    /// Blocks that one thread makes and another frees (and a tenth as many to warm up).
    pub remote_blocks: u64,
    /// Sleep in ms.
    pub idle_ms: u64,
    /// Seed of all of it.
    pub seed: u64,
}

/// Phase after phase; each frees its blocks before it ends. The work is fixed, so time is what is
/// measured; the sleep is not timed. Memory is the integral of the resident set over everything.
pub fn run<P: Peer>(work: &Work, watch: &Watch) -> Timed {
    let (mut small, mut mid) = (Table::new(SMALL_SLOTS), Table::new(MID_SLOTS));
    let seed = work.seed;
    let mut ends = [clock::now_ns(); 5];
    let mut heap = Mix::new(&mut small, seed);
    let first = heap.steps::<P, 16, 1024>(work.small_steps);
    heap.finish::<P>();
    ends[1] = clock::now_ns();
    let mut heap = Mix::new(&mut mid, seed);
    let second = heap.steps::<P, 1024, 65536>(work.mid_steps);
    heap.finish::<P>();
    ends[2] = clock::now_ns();
    let third = pipe::run::<P>(1, work.remote_blocks, seed);
    ends[3] = clock::now_ns();
    clock::sleep_ms(work.idle_ms);
    ends[4] = clock::now_ns();

    let mut story = Story::default();
    story.add("busy_ms", Some((ends[3] - ends[0]) as f64 / 1e6));
    story.add("rss_mib_s", Some(watch.mib_seconds(ends[0], ends[4])));
    let names = [
        ("small_ms", "small_mib_s"),
        ("mid_ms", "mid_mib_s"),
        ("remote_ms", "remote_mib_s"),
        ("slept_ms", "slept_mib_s"),
    ];
    for ((time, memory), phase) in names.into_iter().zip(ends.windows(2)) {
        story.add(time, Some((phase[1] - phase[0]) as f64 / 1e6));
        story.add(memory, Some(watch.mib_seconds(phase[0], phase[1])));
    }
    Timed {
        ops: work.small_steps + work.mid_steps + third.ops,
        ns: ends[3] - ends[0],
        checksum: first.rotate_left(2) ^ second.rotate_left(1) ^ third.checksum,
        story,
    }
}
