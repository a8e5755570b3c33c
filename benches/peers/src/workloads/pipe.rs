//! Owns the producer–consumer bench: every block is freed by a thread that did not make it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use super::mixed::give_sized;
use super::{Part, meet};
use crate::peer::take;
use crate::random::{Random, lower_below};
use crate::table::Table;
use crate::{Peer, Timed, clock};

/// Blocks between a producer and its consumer at most.
const CAPACITY: u64 = 4096;
/// Blocks that change hands at once: the allocator is measured, not the ring.
const BATCH: u64 = 64;
/// Sizes of the blocks.
const SMALLEST: usize = 16;
const LARGEST: usize = 256;

/// A position alone on its cache lines.
#[repr(align(128))]
struct Position(AtomicU64);

/// A ring for one producer and one consumer; positions only grow.
struct Ring<'a> {
    slots: &'a [std::sync::atomic::AtomicPtr<u8>],
    written: Position,
    read: Position,
}

/// `pairs` pairs, each with `blocks` blocks through its ring.
pub fn run<P: Peer>(pairs: u64, blocks: u64, seed: u64) -> Timed {
    let (warm, blocks) =
        (super::warm_up(blocks).next_multiple_of(BATCH), blocks.next_multiple_of(BATCH));
    let mut tables = Vec::from_iter((0..pairs).map(|_| Table::new(CAPACITY as usize)));
    let rings = Vec::from_iter(tables.iter_mut().map(Ring::new));
    let ready = AtomicU64::new(0);
    let parts = thread::scope(|scope| {
        let mut threads = Vec::new();
        for (index, ring) in rings.iter().enumerate() {
            let ready = &ready;
            let rest = move || meet(ready, 2 * pairs);
            threads.push(scope.spawn(move || {
                let mut random = Random::new(seed + index as u64);
                timed::<P>(warm, blocks, rest, |from, to| ring.produce::<P>(from, to, &mut random))
            }));
            threads.push(scope.spawn(move || {
                timed::<P>(warm, blocks, rest, |from, to| ring.consume::<P>(from, to))
            }));
        }
        Vec::from_iter(threads.into_iter().map(|t| t.join().expect("a worker thread panicked")))
    });
    Part::join(&parts, 2 * pairs * blocks)
}

/// One thread: the warm-up, the meeting, the measurement.
fn timed<P: Peer>(
    warm: u64,
    blocks: u64,
    meet: impl Fn(),
    mut work: impl FnMut(u64, u64) -> u64,
) -> Part {
    P::thread_start();
    work(0, warm);
    meet();
    let start = clock::now_ns();
    let checksum = work(warm, warm + blocks);
    let end = clock::now_ns();
    P::thread_end();
    Part { start, end, checksum }
}

impl<'a> Ring<'a> {
    /// An empty ring over a table of CAPACITY slots.
    fn new(table: &'a mut Table) -> Self {
        let zero = || Position(AtomicU64::new(0));
        Self { slots: table.shared(), written: zero(), read: zero() }
    }

    /// Makes the blocks `from..to` and publishes them, a batch at a time.
    fn produce<P: Peer>(&self, from: u64, to: u64, random: &mut Random) -> u64 {
        let mut checksum = 0u64;
        for first in (from..to).step_by(BATCH as usize) {
            // Acquire: pairs with the Release in `consume`; the slots of this batch are free.
            while first + BATCH > self.read.0.load(Ordering::Acquire) + CAPACITY {
                thread::yield_now();
            }
            for position in first..first + BATCH {
                let size = SMALLEST + lower_below(random.bits(), LARGEST - SMALLEST + 1);
                let block = take::<P>(size, size as u64);
                self.slots[(position % CAPACITY) as usize].store(block, Ordering::Relaxed);
                checksum = checksum.wrapping_add(size as u64);
            }
            // Release: pairs with the Acquire in `consume`; publishes slots and blocks.
            self.written.0.store(first + BATCH, Ordering::Release);
        }
        checksum
    }

    /// Frees the blocks `from..to`, a batch at a time.
    fn consume<P: Peer>(&self, from: u64, to: u64) -> u64 {
        let mut checksum = 0u64;
        for first in (from..to).step_by(BATCH as usize) {
            // Acquire: pairs with the Release in `produce`.
            while self.written.0.load(Ordering::Acquire) < first + BATCH {
                thread::yield_now();
            }
            for position in first..first + BATCH {
                let block = self.slots[(position % CAPACITY) as usize].load(Ordering::Relaxed);
                // SAFETY: the producer took this block with its size in the first word, and this
                // position is read once.
                checksum = checksum.rotate_left(1) ^ unsafe { give_sized::<P>(block) };
            }
            // Release: pairs with the Acquire in `produce`; the slots have been read.
            self.read.0.store(first + BATCH, Ordering::Release);
        }
        checksum
    }
}
