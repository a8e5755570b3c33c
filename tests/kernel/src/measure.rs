//! How many instructions each call of a heap over one region takes, counted and not sampled: for a machine
//! whose time stamp counts instructions (QEMU's `-icount shift=0,sleep=off`, one CPU). Two runs say the same
//! to the last byte.

use crate::{boot, checks::Random, heap::HEAP, interrupts, say, storage::Storage};
use ace_alloc::{
    LockedHeap, SpinLock,
    region::{Bounded, Mini, Wide},
};
use alloc::{vec, vec::Vec};
use core::{
    alloc::{GlobalAlloc, Layout},
    arch::asm,
    fmt,
    ops::RangeInclusive,
    ptr,
};

const CALLS: usize = 400_000;
/// A call that takes this many instructions or more is counted as this many.
const MOST: usize = 1 << 17;

/// Instructions since the machine began.
#[inline(always)]
fn now() -> u64 {
    let (low, high): (u64, u64);
    // SAFETY: reads a counter. That it may touch memory, as the compiler must think, keeps calls in place.
    unsafe { asm!("rdtsc", out("rax") low, out("rdx") high, options(nostack)) };
    high << 32 | low
}

/// How often calls took how many instructions.
struct Counts {
    calls: Vec<u32>,
    /// Instructions of a measurement of nothing.
    overhead: u64,
}

impl Counts {
    fn new() -> Self {
        let mut counts = Self { calls: vec![0; MOST + 1], overhead: 0 };
        counts.measure(|| ());
        counts.overhead = counts.max() as u64;
        counts.calls.fill(0);
        counts
    }

    #[inline(always)]
    fn measure<R>(&mut self, call: impl FnOnce() -> R) -> R {
        let before = now();
        let result = call();
        let took = now() - before - self.overhead;
        self.calls[(took as usize).min(MOST)] += 1;
        result
    }

    /// Instructions that a call takes which is dearer than this part of a thousand of the others.
    fn quantile(&self, permille: u64) -> usize {
        let all: u64 = self.calls.iter().map(|calls| u64::from(*calls)).sum();
        let mut seen = 0;
        let reached = |calls: &u32| {
            seen += u64::from(*calls);
            seen * 1000 >= all * permille
        };
        self.calls.iter().position(reached).unwrap_or(MOST)
    }

    fn max(&self) -> usize {
        self.calls.iter().rposition(|calls| *calls > 0).unwrap_or(0)
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (p50, p999, max) = (self.quantile(500), self.quantile(999), self.max());
        write!(f, r#"{{"p50":{p50},"p999":{p999},"max":{max}}}"#)
    }
}

/// A mix of sizes in a heap that is about half full.
struct Mix {
    bytes: RangeInclusive<usize>,
    blocks: usize,
}

/// A deterministic mix: a random place is emptied if it holds a block, and filled if it does not.
fn count(heap: &impl GlobalAlloc, mix: &Mix) -> [Counts; 2] {
    let [mut allocs, mut frees] = [Counts::new(), Counts::new()];
    let mut random = Random::new(1);
    let mut blocks = vec![(ptr::null_mut::<u8>(), 0); mix.blocks];
    for _ in 0..CALLS {
        let (block, bytes) = &mut blocks[random.below(mix.blocks)];
        if block.is_null() {
            *bytes = mix.bytes.start() + random.below(mix.bytes.end() - mix.bytes.start() + 1);
            let layout = Layout::from_size_align(*bytes, 8).expect("a small layout");
            // SAFETY: the layout is not empty.
            *block = allocs.measure(|| unsafe { heap.alloc(layout) });
            assert!(!block.is_null(), "half a heap is free");
        } else {
            let layout = Layout::from_size_align(*bytes, 8).expect("a small layout");
            // SAFETY: allocated with this layout, and given up.
            frees.measure(|| unsafe { heap.dealloc(*block, layout) });
            *block = ptr::null_mut();
        }
    }
    [allocs, frees]
}

fn report(name: &str, memory: usize, heap: &impl GlobalAlloc, mix: &Mix) {
    let [alloc, free] = count(heap, mix);
    let (low, high) = (mix.bytes.start(), mix.bytes.end());
    say!(
        r#"{{"heap":"{name}","memory":{memory},"bytes":[{low},{high}],"alloc":{alloc},"free":{free}}}"#
    );
}

/// See the module's documentation.
pub fn run() {
    static WIDE: LockedHeap<SpinLock, Bounded<Wide>> = LockedHeap::empty();
    static WIDE_MEMORY: Storage<{ 16 << 20 }> = Storage::new();
    static MINI: LockedHeap<SpinLock, Bounded<Mini>> = LockedHeap::empty();
    static MINI_MEMORY: Storage<{ 64 << 10 }> = Storage::new();
    interrupts::disable();
    // SAFETY: nobody else uses the memory.
    let claimed = unsafe {
        [
            WIDE.claim(WIDE_MEMORY.start(), WIDE_MEMORY.bytes()),
            MINI.claim(MINI_MEMORY.start(), MINI_MEMORY.bytes()),
        ]
    };
    assert!(claimed.iter().all(Result::is_ok), "{claimed:?}");
    let (mixed, small) =
        (Mix { bytes: 16..=1024, blocks: 16 << 10 }, Mix { bytes: 8..=128, blocks: 512 });
    report("LockedHeap<SpinLock, Bounded<Wide>>", WIDE_MEMORY.bytes(), &WIDE, &mixed);
    report("LockedHeap<SpinLock, Bounded<Mini>>", MINI_MEMORY.bytes(), &MINI, &small);
    report("CoreHeap", boot::free_memory().len(), &HEAP, &mixed);
}
