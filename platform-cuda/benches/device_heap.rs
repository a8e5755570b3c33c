//! The heap over device memory beside `offset-allocator` on the same scripts: nanoseconds a pair of
//! allocate and free, and the memory that a script needs.
//!
//! `cargo bench -p ace-alloc-cuda --bench device_heap [script ...]`. The device is an account that answers at once, so the
//! time of the driver is not in the figures.

#[path = "../tests/device_heap/model.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod model;

use ace_alloc_cuda::device::DeviceAddress;
use ace_alloc_cuda::heap::{DeviceHeap, Settings};
use ace_alloc_tests::random::Random;
use model::Model;
use offset_allocator::{Allocation, Allocator};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GRANULE: u64 = 2 * MIB;
const RUNS: usize = 11;

/// Blocks of a script are named by slots: a slot that holds one gives it back, then takes a new one.
struct Script {
    name: &'static str,
    slots: usize,
    steps: Vec<(u32, u64)>,
}

/// Nanoseconds that this thread has run: other programs on the machine don't count.
fn now_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a place for the answer.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut now) };
    assert_eq!(failed, 0, "every thread has this clock");
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

type Size = fn(&mut Random) -> u64;

/// The two factors of an adapter, for one projection of an 8-billion-parameter model, in 16-bit numbers.
fn adapter(random: &mut Random) -> u64 {
    let side = [4096, 4096, 1024, 1024, 4096, 14336, 14336][random.below(7)];
    side * (8 << random.below(4)) * 2
}

/// Pages of keys and values, 16 tokens of one layer, and the tables that name them.
fn pages(random: &mut Random) -> u64 {
    match random.below(4) {
        0 => 4 * (1 + random.draw() % 2048),
        _ => 64 * KIB,
    }
}

/// Evenly spread over the doublings from 256 bytes to 8 MiB, and within each.
fn spread(random: &mut Random) -> u64 {
    let low = 256 << random.below(15);
    low + random.draw() % low
}

fn small(random: &mut Random) -> u64 {
    1 + random.draw() % (16 * KIB)
}

impl Script {
    /// Fills its slots, then replaces blocks at random.
    fn new(name: &'static str, slots: usize, size: Size) -> Self {
        let mut random = Random::new(11);
        let fill = (0..slots).collect::<Vec<_>>();
        let churn = (0..200_000).map(|_| random.below(slots)).collect::<Vec<_>>();
        let mut step = |slot| (u32::try_from(slot).expect("a slot"), size(&mut random));
        let steps = fill.into_iter().chain(churn).map(&mut step).collect();
        Self { name, slots, steps }
    }

    /// Most bytes live at a time, each block counted as `rounded` says.
    fn peak(&self, rounded: impl Fn(u64) -> u64) -> u64 {
        let (mut live, mut peak, mut held) = (0, 0, vec![0; self.slots]);
        for &(slot, bytes) in &self.steps {
            live =
                live - std::mem::replace(&mut held[slot as usize], rounded(bytes)) + rounded(bytes);
            peak = peak.max(live);
        }
        peak
    }

    /// Plays it; nanoseconds a step after the filling, or `None` if memory was short.
    fn play<H: Heap>(&self, heap: &mut H) -> Option<f64> {
        let mut held: Vec<Option<H::Block>> = (0..self.slots).map(|_| None).collect();
        let mut begin = now_ns();
        for (at, &(slot, bytes)) in self.steps.iter().enumerate() {
            if at == self.slots {
                begin = now_ns();
            }
            let place = &mut held[slot as usize];
            if let Some(block) = place.take() {
                heap.give(block);
            }
            *place = Some(heap.take(bytes)?);
        }
        let nanos = (now_ns() - begin) as f64;
        held.into_iter().flatten().for_each(|block| heap.give(block));
        Some(nanos / (self.steps.len() - self.slots) as f64)
    }
}

trait Heap {
    type Block;
    fn with_bytes(bytes: u64) -> Self;
    fn take(&mut self, bytes: u64) -> Option<Self::Block>;
    fn give(&mut self, block: Self::Block);
}

impl Heap for DeviceHeap<Model> {
    type Block = DeviceAddress;

    fn with_bytes(bytes: u64) -> Self {
        let model = Model::new(GRANULE, 1 << 40);
        Self::new(model, Settings::new(bytes)).expect("good settings")
    }

    fn take(&mut self, bytes: u64) -> Option<DeviceAddress> {
        self.allocate(bytes, 1).ok()
    }

    fn give(&mut self, block: DeviceAddress) {
        // SAFETY: there is no device, so nothing works on it.
        unsafe { self.free(block) }.expect("a live block");
    }
}

/// In units of 256 bytes, since it counts in 32 bits.
struct Offsets(Allocator<u32>);

impl Heap for Offsets {
    type Block = Allocation<u32>;

    fn with_bytes(bytes: u64) -> Self {
        Self(Allocator::with_max_allocs(u32::try_from(bytes / 256).expect("a range"), 1 << 20))
    }

    fn take(&mut self, bytes: u64) -> Option<Self::Block> {
        self.0.allocate(u32::try_from(bytes.div_ceil(256)).ok()?)
    }

    fn give(&mut self, block: Self::Block) {
        self.0.free(block);
    }
}

/// Median time with room to spare, and the least memory that is enough, to a granule.
fn measure<H: Heap>(script: &Script) -> (f64, u64) {
    let peak = script.peak(|bytes| bytes);
    let mut times: Vec<_> = (0..RUNS)
        .map(|_| script.play(&mut H::with_bytes(peak * 2)).expect("twice the memory is enough"))
        .collect();
    times.sort_by(f64::total_cmp);
    let (mut short, mut enough) = (peak / GRANULE - 1, peak * 2 / GRANULE);
    while enough - short > 1 {
        let middle = short.midpoint(enough);
        match script.play(&mut H::with_bytes(middle * GRANULE)) {
            Some(_) => enough = middle,
            None => short = middle,
        }
    }
    (times[RUNS / 2], enough * GRANULE)
}

fn main() {
    let scripts = [
        Script::new("adapters", 4000, adapter),
        Script::new("pages", 30_000, pages),
        Script::new("spread", 2000, spread),
        Script::new("small", 100_000, small),
    ];
    println!(
        "time: ns a pair, median of {RUNS}; memory: least that is enough, over the peak asked for"
    );
    println!("| script | peak MiB | ours | memory | offset-allocator | memory | granules alone |");
    println!("|---|---|---|---|---|---|---|");
    let only: Vec<_> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    for script in scripts {
        if !only.is_empty() && !only.iter().any(|name| name == script.name) {
            continue;
        }
        let peak = script.peak(|bytes| bytes);
        let (ours, our_bytes) = measure::<DeviceHeap<Model>>(&script);
        let (theirs, their_bytes) = measure::<Offsets>(&script);
        let alone = script.peak(|bytes| bytes.next_multiple_of(GRANULE));
        let over = |bytes: u64| bytes as f64 / peak as f64;
        println!(
            "| {} | {} | {ours:.0} | {:.3} | {theirs:.0} | {:.3} | {:.1} |",
            script.name,
            peak / MIB,
            over(our_bytes),
            over(their_bytes),
            over(alone),
        );
    }
}
