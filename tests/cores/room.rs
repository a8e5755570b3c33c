//! How much of its memory a heap of CPUs can hand out.

use crate::board::{core, switch_to};
use ace_alloc::{
    CoreHeap, CoreId, Geometry, SpinLock,
    geometry::{Compact, Small},
};
use ace_alloc_tests::random::Random;
use std::{
    alloc::{Layout, alloc, dealloc},
    ops::RangeInclusive,
};

struct Switched;
// SAFETY: each heap of this kind belongs to one test, which runs on one thread.
unsafe impl CoreId for Switched {
    fn current() -> usize {
        core()
    }
}

type Heap<G> = CoreHeap<Switched, 2, G, SpinLock>;

const MIB: usize = 1 << 20;

/// Runs `work` with a heap of so many bytes, whatever they hold.
fn with_heap<G: Geometry, R>(bytes: usize, work: impl FnOnce(&Heap<G>) -> R) -> R {
    let layout = Layout::from_size_align(bytes, 1 << 16).expect("a layout");
    // SAFETY: the layout is not of zero size.
    let memory = unsafe { alloc(layout) };
    // SAFETY: allocated above.
    unsafe { memory.write_bytes(0xA5, bytes) };
    let heap = Heap::<G>::new();
    // SAFETY: nobody else uses the memory while there is the heap.
    unsafe { heap.claim(memory, bytes) }.expect("enough for a heap");
    let result = work(&heap);
    drop(heap);
    // SAFETY: allocated above with this layout; the heap is gone.
    unsafe { dealloc(memory, layout) };
    result
}

fn of(bytes: usize) -> Layout {
    Layout::from_size_align(bytes, 8).expect("a layout")
}

/// Live bytes, in thousandths of the heap's, when the first request is refused.
fn filled<G: Geometry>(heap_bytes: usize, bytes: usize) -> usize {
    with_heap::<G, _>(heap_bytes, |heap| {
        switch_to(0);
        let blocks = std::iter::repeat_with(|| heap.alloc(of(bytes)));
        blocks.take_while(|block| !block.is_null()).count() * bytes * 1000 / heap_bytes
    })
}

/// Both CPUs fill the heap with blocks of `sizes`, free a random half of them, and so on; each frees what the other
/// got. The least of live bytes, in thousandths, at the first refusals.
fn churned<G: Geometry>(heap_bytes: usize, sizes: &RangeInclusive<usize>) -> usize {
    let mut random = Random::new(11);
    with_heap::<G, _>(heap_bytes, |heap| {
        let (mut blocks, mut live, mut least) = (Vec::new(), 0, usize::MAX);
        for _ in 0..5 {
            for at in 0.. {
                switch_to(at / 16 % 2);
                let layout = of(sizes.start() + random.below(sizes.end() - sizes.start() + 1));
                let block = heap.alloc(layout);
                if block.is_null() {
                    break;
                }
                live += layout.size();
                blocks.push((block, layout));
            }
            least = least.min(live * 1000 / heap_bytes);
            for at in (0..blocks.len()).rev() {
                if random.below(2) == 0 {
                    switch_to(random.below(2));
                    let (block, layout) = blocks.swap_remove(at);
                    live -= layout.size();
                    // SAFETY: a live block of this layout.
                    unsafe { heap.dealloc(block, layout) };
                }
            }
        }
        least
    })
}

#[test]
fn blocks_of_one_size_fill_most_of_a_heap_whatever_their_size() {
    for (bytes, small, compact) in [
        (16, 940, 850),
        (100, 890, 850),
        (512, 940, 780),
        (1024, 940, 670),
        (1500, 860, 650),
        (2048, 940, 890),
        (2500, 860, 720),
        (3000, 860, 870),
        (4096, 940, 890),
        (5000, 860, 870),
        (6000, 690, 870),
        (8192, 940, 890),
        (12_000, 920, 870),
        (40_000, 910, 830),
    ] {
        let in_small = filled::<Small>(4 * MIB, bytes);
        let in_compact = filled::<Compact>(MIB, bytes);
        println!("blocks of {bytes} bytes: Small {in_small}, Compact {in_compact}");
        assert!(in_small >= small && in_compact >= compact, "{small} and {compact} promised");
    }
}

#[test]
fn two_cpus_with_mixed_sizes_are_not_refused_before_most_of_a_heap_is_used() {
    for (sizes, small, compact) in
        [(8..=128, 850, 730), (16..=1024, 590, 510), (16..=8192, 540, 660)]
    {
        let in_small = churned::<Small>(4 * MIB, &sizes);
        let in_compact = churned::<Compact>(MIB, &sizes);
        println!("blocks of {sizes:?} bytes: Small {in_small}, Compact {in_compact}");
        assert!(in_small >= small && in_compact >= compact, "{small} and {compact} promised");
    }
}
