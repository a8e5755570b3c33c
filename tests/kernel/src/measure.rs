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

/// Instructions since the machine began: the lower half of their number.
#[inline(always)]
fn now() -> u32 {
    let low;
    // SAFETY: reads a counter. That it may touch memory, as the compiler must think, keeps calls in place.
    unsafe { asm!("rdtsc", out("eax") low, out("edx") _, options(nostack)) };
    low
}

/// Runs a call, and counts its instructions and those of measuring.
#[inline(always)]
fn timed<R>(call: impl FnOnce() -> R) -> (R, u32) {
    let before = now();
    let result = call();
    (result, now().wrapping_sub(before))
}

// Functions of their own, so that the arguments are in registers, and nothing of the caller's is in the way. The
// heap's functions are inlined here if they ask for it, as they are in a program with link-time optimization.

#[inline(never)]
fn nothing() -> u32 {
    timed(|| ()).1
}

#[inline(never)]
fn alloc(heap: &impl GlobalAlloc, layout: Layout) -> (*mut u8, u32) {
    // SAFETY: no layout here is empty.
    timed(|| unsafe { heap.alloc(layout) })
}

#[inline(never)]
fn free(heap: &impl GlobalAlloc, block: *mut u8, layout: Layout) -> u32 {
    // SAFETY: blocks here were allocated with this layout, and are given up.
    timed(|| unsafe { heap.dealloc(block, layout) }).1
}

/// How often calls took how many instructions.
struct Counts {
    calls: Vec<u32>,
    /// Instructions of a measurement of nothing.
    overhead: u32,
}

impl Counts {
    fn new() -> Self {
        Self { calls: vec![0; MOST + 1], overhead: nothing() }
    }

    fn add(&mut self, took: u32) {
        let took = (took - self.overhead) as usize;
        self.calls[took.min(MOST)] += 1;
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
pub struct Mix {
    bytes: RangeInclusive<usize>,
    blocks: usize,
}

/// A deterministic mix: a random place is emptied if it holds a block, and filled if it does not.
fn count(heap: &impl GlobalAlloc, mix: &Mix) -> [Counts; 2] {
    let [mut allocs, mut frees] = [Counts::new(), Counts::new()];
    let mut random = Random::new(1);
    let mut blocks = vec![(ptr::null_mut::<u8>(), Layout::new::<u8>()); mix.blocks];
    for _ in 0..CALLS {
        let (block, layout) = &mut blocks[random.below(mix.blocks)];
        if block.is_null() {
            let bytes = mix.bytes.start() + random.below(mix.bytes.end() - mix.bytes.start() + 1);
            *layout = Layout::from_size_align(bytes, 8).expect("a small layout");
            let took;
            (*block, took) = alloc(heap, *layout);
            assert!(!block.is_null(), "half a heap is free");
            allocs.add(took);
        } else {
            frees.add(free(heap, *block, *layout));
            *block = ptr::null_mut();
        }
    }
    [allocs, frees]
}

/// Counts a heap's calls, and says what they took as a line of JSON.
pub fn report(name: &str, memory: usize, heap: &impl GlobalAlloc, mix: &Mix) {
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
    #[cfg(feature = "peers")]
    // SAFETY: the heaps that had the memory are not used any more.
    unsafe {
        crate::peers::report_all(&WIDE_MEMORY, &mixed);
        crate::peers::report_all(&MINI_MEMORY, &small);
    }
}
