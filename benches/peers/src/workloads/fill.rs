//! Owns the bench of memory given back: fill a heap, free it, and see how long it stays.

use super::mixed::Mix;
use super::{Story, table_of};
use crate::table::Table;
use crate::watch::Watch;
use crate::{Peer, Timed, clock};

/// A heap that stays lean for so long counts as lean for good.
const SETTLED: u64 = 500_000_000;
/// Slots and steps of the light load that a program goes on with.
const LIGHT_SLOTS: usize = 1024;
const LIGHT_STEPS: u64 = 1000;

/// What the program does after it has freed its memory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// A thousand random steps each millisecond.
    Call,
    /// Nothing at all.
    Sleep,
}

/// Fills `mib` MiB with blocks of 16 to 1024 bytes and frees them in the same order but for each
/// `keep`-th (0: none stays). That is what is timed. Then waits until the process is lean: at most
/// what it was, plus the blocks kept, plus a tenth of them, plus 8 MiB; at most `patience` ms.
pub fn run<P: Peer>(
    mib: u64,
    keep: u64,
    patience: u64,
    seed: u64,
    then: Then,
    watch: &Watch,
) -> Timed {
    let mut table = table_of(mib);
    let mut light = Table::new(LIGHT_SLOTS);
    let base = watch.resident_kib();
    let mut heap = Mix::new(&mut table, seed);
    let start = clock::now_ns();
    heap.fill::<P, 16, 1024>();
    let checksum = heap.empty::<P>(keep as usize);
    let end = clock::now_ns();

    let kept_kib = heap.live_bytes() / 1024;
    let limit = base + kept_kib + kept_kib / 10 + (8 << 10);
    let mut random = Mix::new(&mut light, seed);
    let over = end + patience * 1_000_000;
    let lean = loop {
        if then == Then::Call {
            random.steps::<P, 16, 1024>(LIGHT_STEPS);
        }
        clock::sleep_ms(1);
        let now = clock::now_ns();
        let lean = watch.lean_since(end, limit);
        if now >= over || lean.is_some_and(|since| now - since >= SETTLED) {
            break lean;
        }
    };
    let resident = watch.resident_kib();
    random.finish::<P>();
    heap.finish::<P>();
    let mut story = Story::default();
    story.add("lean_ms", lean.map(|since| (since - end) as f64 / 1e6));
    story.add("end_mib", Some(resident as f64 / 1024.0));
    story.add("limit_mib", Some(limit as f64 / 1024.0));
    let blocks = table.len() as u64;
    let freed = blocks - blocks.checked_div(keep).unwrap_or(0);
    Timed { ops: blocks + freed, ns: end - start, checksum, story }
}
