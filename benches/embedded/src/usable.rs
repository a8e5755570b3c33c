//! Owns how much of an arena a program can use before the first request fails.

use crate::heap::{self, Heap};
use crate::mix::Mix;
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

/// The largest block that can be had now, by bisection.
pub fn largest<H: Heap>(arena: usize) -> usize {
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
