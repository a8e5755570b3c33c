//! How many instructions each call of a heap over one region takes, counted and not sampled: for a machine
//! whose time stamp counts instructions (QEMU's `-icount shift=0,sleep=off`, one CPU). Two runs say the same
//! to the last byte.

use crate::{checks::Random, interrupts, say};
use ace_alloc::{
    LockedHeap, SpinLock,
    region::{Bounded, Mini, Scale, Wide},
};
use alloc::vec;
use core::{
    alloc::{GlobalAlloc, Layout},
    arch::asm,
    fmt,
    mem::MaybeUninit,
    ops::RangeInclusive,
    ptr,
};

const CALLS: usize = 400_000;
/// A call that takes this many instructions or more is counted as this many.
const MOST: usize = 4096;

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
    calls: [u32; MOST + 1],
    overhead: u64,
}

impl Counts {
    const fn new() -> Self {
        Self { calls: [0; MOST + 1], overhead: 0 }
    }

    /// Finds out what measuring itself takes.
    fn calibrate(&mut self) {
        self.measure(|| ());
        let empty = self.calls.iter().position(|calls| *calls > 0);
        *self = Self::new();
        self.overhead = empty.unwrap_or(0) as u64;
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
fn run(heap: &impl GlobalAlloc, mix: &Mix) -> [Counts; 2] {
    let mut counts = [Counts::new(), Counts::new()];
    counts.iter_mut().for_each(Counts::calibrate);
    let [allocs, frees] = &mut counts;
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
    counts
}

fn report<S: Scale>(name: &str, heap: &LockedHeap<SpinLock, S>, mix: &Mix) {
    let [alloc, free] = run(heap, mix);
    let (claimed, low, high) = (heap.stats().claimed, mix.bytes.start(), mix.bytes.end());
    say!(
        r#"{{"scale":"{name}","claimed":{claimed},"bytes":[{low},{high}],"alloc":{alloc},"free":{free}}}"#
    );
}

/// See the module's documentation.
pub fn run_all() {
    static WIDE: LockedHeap<SpinLock, Bounded<Wide>> = LockedHeap::empty();
    static mut WIDE_MEMORY: [MaybeUninit<u8>; 16 << 20] = [MaybeUninit::uninit(); 16 << 20];
    static MINI: LockedHeap<SpinLock, Bounded<Mini>> = LockedHeap::empty();
    static mut MINI_MEMORY: [MaybeUninit<u8>; 64 << 10] = [MaybeUninit::uninit(); 64 << 10];
    interrupts::disable();
    // SAFETY: this is called once.
    let (wide, mini) = unsafe { (&mut *&raw mut WIDE_MEMORY, &mut *&raw mut MINI_MEMORY) };
    WIDE.claim_static(wide).expect("memory of its own");
    MINI.claim_static(mini).expect("memory of its own");
    report("Bounded<Wide>", &WIDE, &Mix { bytes: 16..=1024, blocks: 16 << 10 });
    report("Bounded<Mini>", &MINI, &Mix { bytes: 8..=128, blocks: 512 });
}
