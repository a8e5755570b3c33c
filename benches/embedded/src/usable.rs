//! Owns how much of an arena a program can use: before the first request fails, and after a long life.

use crate::heap::{self, Arena, Heap};
use crate::mix::Mix;
use crate::replay::{Plain, Replay};
use crate::trace::Trace;
use ace_bench_peers::random::Random;
use std::alloc::Layout;

/// Live bytes when the first request failed: in a fresh heap, and in the same after churn.
pub struct Usable {
    /// At the first failure of all.
    pub fresh: usize,
    /// At the first failure after the last round.
    pub churned: usize,
}

/// Fills the heap until a request fails; then frees a random half of the blocks, in random order, and
/// fills it again, `rounds` times.
pub fn run<H: Heap>(mix: Mix, arena: usize, rounds: usize, seed: u64) -> Usable {
    let mut random = Random::new(seed);
    let mut blocks = Vec::new();
    let fresh = fill::<H>(mix, arena, &mut random, &mut blocks);
    let mut churned = fresh;
    for _ in 0..rounds {
        shuffle(&mut blocks, &mut random);
        for (block, layout) in blocks.split_off(blocks.len().div_ceil(2)) {
            // SAFETY: `fill` put it there, and it leaves the list.
            unsafe { heap::free::<H>(block, layout) };
        }
        churned = fill::<H>(mix, arena, &mut random, &mut blocks);
    }
    Usable { fresh, churned }
}

/// Live bytes, by what was asked for, when a request failed.
fn fill<H: Heap>(
    mix: Mix,
    arena: usize,
    random: &mut Random,
    blocks: &mut Vec<(*mut u8, Layout)>,
) -> usize {
    let mut live = blocks.iter().map(|(_, layout)| layout.size()).sum::<usize>();
    loop {
        let layout = mix.draw(random);
        let block = heap::alloc::<H>(layout);
        if block.is_null() {
            return live;
        }
        live += layout.size();
        // The floor would go on until the machine has no memory.
        assert!(live <= arena, "more was handed out than there is");
        // SAFETY: the block has at least 8 bytes, aligned to 8. A program writes to its blocks.
        unsafe { block.cast::<u64>().write(layout.size() as u64) };
        blocks.push((block, layout));
    }
}

/// Fisher and Yates.
fn shuffle<T>(list: &mut [T], random: &mut Random) {
    for last in (1..list.len()).rev() {
        let at = (random.bits() >> 32) as usize % (last + 1);
        list.swap(last, at);
    }
}

/// What is left after a trace: how many bytes were not asked for, the largest block that could be had,
/// and how many bytes the trace's own mix then got before a request failed.
pub struct Left {
    /// The arena less the live blocks.
    pub free: usize,
    /// One block.
    pub largest: usize,
    /// Many blocks.
    pub again: usize,
    /// Requests of the trace.
    pub asked: u64,
    /// Requests of the trace that the heap refused.
    pub failed: u64,
}

/// Replays the trace to its end and looks at what is left.
pub fn after<H: Heap>(arena: Arena, trace: &Trace, mix: Mix, seed: u64) -> Left {
    let mut replay = Replay::<H>::new(trace);
    replay.go(&trace.steps, &mut Plain);
    let free = arena.bytes - replay.live_bytes();
    let largest = largest::<H>(arena.bytes);
    let again = fill::<H>(mix, arena.bytes, &mut Random::new(seed), &mut Vec::new());
    Left { free, largest, again, asked: replay.asked, failed: replay.failed }
}

/// The largest block that can be had now, by bisection.
fn largest<H: Heap>(arena: usize) -> usize {
    let (mut fits, mut fails) = (0, arena + 1);
    while fails - fits > 1 {
        let bytes = fits.midpoint(fails);
        let layout = Layout::from_size_align(bytes, 8).expect("an arena's size");
        let block = heap::alloc::<H>(layout);
        if block.is_null() {
            fails = bytes;
        } else {
            // SAFETY: it was just had.
            unsafe { heap::free::<H>(block, layout) };
            fits = bytes;
        }
    }
    fits
}
