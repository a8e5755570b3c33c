//! Owns two threads at once: each with blocks of its own, or one that makes and one that frees.

use crate::heap::{self, Heap};
use crate::mix::Mix;
use crate::replay::{Plain, Replay};
use crate::trace::Trace;
use ace_bench_peers::clock;
use ace_bench_peers::random::Random;
use serde_json::{Value, json};
use std::alloc::Layout;
use std::cell::UnsafeCell;
use std::ptr;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

/// A thread that needs longer ends where it is, and counts what it did.
const PATIENCE_NS: u64 = 1_000_000_000;
/// Requests between two looks at the clock.
const STRETCH: usize = 10_000;

/// One thread's part.
struct Part {
    start: u64,
    end: u64,
    pairs: u64,
    failed: u64,
}

/// From the first thread's start to the last one's end.
fn joined(parts: &[Part]) -> Value {
    let start = parts.iter().map(|part| part.start).min().unwrap_or(0);
    let end = parts.iter().map(|part| part.end).max().unwrap_or(0);
    let sum = |of: fn(&Part) -> u64| parts.iter().map(of).sum::<u64>();
    json!({ "ns": end - start, "asked": sum(|part| part.pairs), "failed": sum(|part| part.failed) })
}

/// Binds the thread to one CPU of those it may use, and tells the heap.
fn settle<H: Heap>(number: usize) {
    // SAFETY: all zeroes is the empty set.
    let mut allowed: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: `allowed` is ours and as large as said.
    unsafe { libc::sched_getaffinity(0, size_of_val(&allowed), &mut allowed) };
    // SAFETY: the number is below the set's size.
    let mut cpus =
        (0..libc::CPU_SETSIZE as usize).filter(|&c| unsafe { libc::CPU_ISSET(c, &allowed) });
    if let Some(cpu) = cpus.nth(number) {
        // SAFETY: all zeroes is the empty set.
        let mut one: libc::cpu_set_t = unsafe { std::mem::zeroed() };
        // SAFETY: the number is below the set's size.
        unsafe { libc::CPU_SET(cpu, &mut one) };
        // SAFETY: `one` is ours and as large as said. Where it fails, the thread floats.
        unsafe { libc::sched_setaffinity(0, size_of_val(&one), &one) };
    }
    H::core(number);
}

/// Each thread replays a trace of its own.
pub fn apart<H: Heap>(traces: &[Trace]) -> Value {
    let barrier = Barrier::new(traces.len());
    let work = |(number, trace): (usize, &Trace)| {
        settle::<H>(number);
        let mut replay = Replay::<H>::new(trace);
        replay.go(&trace.steps[..trace.warm_up], &mut Plain);
        let before = (replay.asked, replay.failed);
        barrier.wait();
        let start = clock::now_ns();
        for stretch in trace.steps[trace.warm_up..].chunks(STRETCH) {
            replay.go(stretch, &mut Plain);
            if clock::now_ns() - start > PATIENCE_NS {
                break;
            }
        }
        let end = clock::now_ns();
        Part { start, end, pairs: replay.asked - before.0, failed: replay.failed - before.1 }
    };
    let parts = thread::scope(|scope| {
        let spawn = |part| scope.spawn(move || work(part));
        let threads = Vec::from_iter(traces.iter().enumerate().map(spawn));
        Vec::from_iter(threads.into_iter().map(|t| t.join().expect("a thread panicked")))
    });
    joined(&parts)
}

/// Blocks between the two at most, and blocks that change hands at once: the allocator is measured, not
/// the ring.
const CAPACITY: u64 = 4096;
const BATCH: u64 = 64;

/// A position alone on its cache lines; it only grows.
#[derive(Default)]
#[repr(align(128))]
struct Position(AtomicU64);

/// What changes hands.
type Parcel = UnsafeCell<(*mut u8, Layout)>;

/// A ring for one producer and one consumer.
struct Ring {
    parcels: Vec<Parcel>,
    written: Position,
    read: Position,
    over: AtomicBool,
}

// SAFETY: the producer writes parcels that were read, the consumer reads those that were written;
// `written` and `read` keep them apart.
unsafe impl Sync for Ring {}

/// One thread allocates `blocks` blocks, the other frees them.
pub fn handed_over<H: Heap>(mix: Mix, blocks: u64, seed: u64) -> Value {
    let nothing = || UnsafeCell::new((ptr::null_mut(), Layout::new::<u64>()));
    let ring = Ring {
        parcels: Vec::from_iter((0..CAPACITY).map(|_| nothing())),
        written: Position::default(),
        read: Position::default(),
        over: AtomicBool::new(false),
    };
    let barrier = Barrier::new(2);
    let parts = thread::scope(|scope| {
        let producer = scope.spawn(|| {
            settle::<H>(0);
            barrier.wait();
            ring.produce::<H>(mix, blocks, seed)
        });
        let consumer = scope.spawn(|| {
            settle::<H>(1);
            barrier.wait();
            ring.consume::<H>()
        });
        [producer, consumer].map(|thread| thread.join().expect("a thread panicked"))
    });
    joined(&parts)
}

impl Ring {
    fn produce<H: Heap>(&self, mix: Mix, blocks: u64, seed: u64) -> Part {
        let mut random = Random::new(seed);
        let start = clock::now_ns();
        let (mut first, mut failed) = (0, 0);
        while first < blocks && clock::now_ns() - start < PATIENCE_NS {
            // Acquire: pairs with the Release in `consume`; the parcels of this batch were read.
            while first + BATCH > self.read.0.load(Ordering::Acquire) + CAPACITY {
                std::hint::spin_loop();
            }
            for position in first..first + BATCH {
                let layout = mix.draw(&mut random);
                let block = heap::alloc::<H>(layout);
                if block.is_null() {
                    failed += 1;
                } else {
                    // SAFETY: at least a word, aligned to one.
                    unsafe { block.cast::<u64>().write(position) };
                }
                // SAFETY: the consumer has read it, and waits for `written` before it does again.
                unsafe { *self.parcels[(position % CAPACITY) as usize].get() = (block, layout) };
            }
            first += BATCH;
            // Release: pairs with the Acquire in `consume`; publishes parcels and blocks.
            self.written.0.store(first, Ordering::Release);
        }
        // Release: after the last `written`.
        self.over.store(true, Ordering::Release);
        Part { start, end: clock::now_ns(), pairs: first, failed }
    }

    fn consume<H: Heap>(&self) -> Part {
        let start = clock::now_ns();
        let mut first = 0;
        loop {
            // Acquire: pairs with the Release in `produce`; what was written before `over` is seen below.
            let over = self.over.load(Ordering::Acquire);
            // Acquire: pairs with the Release in `produce`.
            let written = self.written.0.load(Ordering::Acquire);
            if written == first {
                if over {
                    break;
                }
                std::hint::spin_loop();
                continue;
            }
            for position in first..first + BATCH {
                // SAFETY: it was written, and the producer waits for `read` before it writes again.
                let (block, layout) =
                    unsafe { *self.parcels[(position % CAPACITY) as usize].get() };
                if !block.is_null() {
                    // SAFETY: the producer wrote the block's first word.
                    let word = unsafe { block.cast::<u64>().read() };
                    assert_eq!(word, position, "a block does not hold what was written");
                    // SAFETY: the producer allocated it with this layout; each parcel is read once.
                    unsafe { heap::free::<H>(block, layout) };
                }
            }
            first += BATCH;
            // Release: pairs with the Acquire in `produce`; the parcels have been read.
            self.read.0.store(first, Ordering::Release);
        }
        Part { start, end: clock::now_ns(), pairs: 0, failed: 0 }
    }
}
