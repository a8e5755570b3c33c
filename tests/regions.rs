//! The heap over regions: what it promises of every block, whatever is asked of it and on every scale; and how
//! much of a region programs get.

#[path = "regions/caches.rs"]
mod caches;

use ace_alloc::region::{ClaimError, Link, Micro, Mini, RegionHeap, Scale, Wide};
use ace_alloc_tests::on_every_scale;
use ace_alloc_tests::random::{Random, cases, seed};
use ace_alloc_tests::regions::{Memory, SCALES, Step, Yard, granules, play};
use linked_list_allocator::Heap as ListHeap;
use std::{alloc::Layout, ptr::NonNull};

/// Random plans on heaps of one region and of several, of this many bytes each.
fn plans(bytes: usize, steps: usize, usual: u32) {
    let seed = seed();
    for case in 0..u64::from(cases(usual)) {
        let mut random = Random::new(seed ^ case << 8);
        let regions: Vec<_> = (0..=case % 3).map(|_| (bytes, random.below(97))).collect();
        for scale in 0..SCALES {
            let steps: Vec<_> = (0..steps).map(|_| Step::random(&mut random, bytes)).collect();
            eprintln!("case {case}, scale {scale}, regions {regions:?}");
            play(scale, &regions, &steps, case);
        }
    }
}

#[test]
fn in_a_kilobyte_and_a_half_blocks_are_apart_and_keep_their_bytes() {
    plans(1536, 600, 12);
}

#[test]
fn in_four_kilobytes_blocks_are_apart_and_keep_their_bytes() {
    plans(4096, 800, 12);
}

#[test]
fn in_64_kilobytes_blocks_are_apart_and_keep_their_bytes() {
    plans(64 << 10, 800, 6);
}

#[test]
fn in_a_megabyte_blocks_are_apart_and_keep_their_bytes() {
    plans(1 << 20, 3000, 3);
}

fn exhaust<S: Scale>() {
    let mut random = Random::new(seed());
    let mut yard = Yard::<S>::new(9000, 3);
    let first_day = yard.shape();
    for _ in 0..6 {
        let most = 16 + random.below(200);
        while yard.take(random.below(most), 1) {}
        // Three granules are not split in two: there would be one.
        [0, 24].iter().for_each(|&bytes| while yard.take(bytes, 1) {});
        let full = yard.heap.stats();
        for (bytes, align) in [(0, 1), (8, 8), (0, 16), (1 << 20, 1), (64, 4096)] {
            assert!(!yard.take(bytes, align), "a full heap refuses {bytes} bytes");
            yard.check_sums();
            yard.audit();
        }
        assert_eq!(yard.heap.stats().live, full.live, "a refusal changes nothing");
        let half = yard.blocks() / 2;
        (0..half).for_each(|_| yard.free(random.below(1 << 20)));
        yard.audit();
        // What is free can be had again, in the smallest blocks, but for what a bounded scale caches.
        yard.heap.trim();
        [0, 24].iter().for_each(|&bytes| while yard.take(bytes, 1) {});
        let left = yard.heap.stats();
        assert!(left.free + left.cached <= left.claimed / 16, "{left:?}");
        yard.check_bytes();
        yard.clear(&mut random);
        assert_eq!(yard.shape(), first_day);
    }
}

#[test]
fn a_full_heap_refuses_and_is_whole_again_when_everything_is_freed() {
    on_every_scale!(exhaust);
}

fn the_whole<S: Scale>() {
    let mut yard = Yard::<S>::new(8192, 0);
    let free = yard.heap.largest_free();
    if !S::BOUNDED {
        assert!(yard.take(free, 1), "the largest free block can be had whole");
        assert_eq!(yard.heap.stats().free, 0);
        yard.free(0);
        // And after its pieces were cached.
        while yard.take(48, 1) {}
        (0..yard.blocks()).for_each(|_| yard.free(0));
        assert!(yard.take(free, 1), "caches make way for a request that needs them");
        yard.free(0);
    }
    assert!(!yard.take(free + 1, 1));
    yard.audit();
}

#[test]
fn all_that_is_free_can_be_had_in_one_block() {
    on_every_scale!(the_whole);
}

fn alignments<S: Scale>() {
    for shift in 0..14 {
        let mut yard = Yard::<S>::new(32 << 10, 5);
        let first_day = yard.shape();
        for bytes in [0, 1, 24, 100, 1000] {
            assert!(yard.take(bytes, 1 << shift), "{bytes} bytes at a multiple of 1 << {shift}");
            yard.audit();
            yard.clear(&mut Random::new(1));
            assert_eq!(yard.shape(), first_day);
        }
        while yard.take(40, 1 << shift) {}
        yard.audit();
        yard.clear(&mut Random::new(2));
        assert_eq!(yard.shape(), first_day);
    }
}

#[test]
fn blocks_have_any_alignment_up_to_half_of_the_region() {
    on_every_scale!(alignments);
}

fn layouts<S: Scale>() {
    let mut yard = Yard::<S>::new(16 << 10, 0);
    let first_day = yard.shape();
    let most = isize::MAX as usize;
    for shift in 0..usize::BITS - 1 {
        for bytes in [(1_usize << shift) - 1, 1 << shift, (1 << shift) + 1] {
            for align in [1, 16, 1 << shift, 1 << 62] {
                let Ok(layout) = Layout::from_size_align(bytes, align) else { continue };
                if bytes > 16 << 10 || align > 16 << 10 {
                    assert_eq!(yard.heap.allocate(layout), None, "{layout:?}");
                }
            }
        }
    }
    for bytes in [S::Link::MOST * 8 - 8, S::Link::MOST * 8, S::Link::MOST * 8 + 8, most - 7, most] {
        let layout = Layout::from_size_align(bytes, 1).expect("a layout");
        assert_eq!(yard.heap.allocate(layout), None, "{layout:?}");
    }
    assert_eq!(yard.shape(), first_day);
    assert!(yard.take(0, 1) && yard.take(0, 1), "blocks of no size are blocks");
    for bytes in [1 << 30, most / 2, most] {
        assert!(!yard.resize(0, bytes), "{bytes} bytes are refused");
    }
    yard.audit();
}

#[test]
fn absurd_layouts_are_refused_and_empty_ones_served() {
    on_every_scale!(layouts);
}

fn resizes<S: Scale>() {
    let mut yard = Yard::<S>::new(8192, 0);
    let first_day = yard.shape();
    assert!(yard.take(100, 1) && yard.take(100, 1));
    // The first has a neighbour, the second has all the rest.
    assert!(!yard.resize(0, 200), "no room before a live neighbour");
    assert!(yard.resize(0, 104) && yard.resize(0, 97), "the same granules");
    let free = yard.heap.stats().free;
    assert!(yard.resize(1, 1000), "grows into the free neighbour");
    assert_eq!(yard.heap.stats().free, free - (granules(1000) - granules(100)) * 8);
    yard.audit();
    assert!(yard.resize(1, 20), "gives its tail back");
    assert_eq!(yard.heap.stats().free, free + (granules(100) - granules(20)) * 8);
    yard.audit();
    assert!(yard.resize(0, 40), "gives its tail back before a live neighbour, too");
    assert!(yard.take(50, 1), "the tail of the first, or of the second");
    assert!(yard.resize(0, 32), "a granule joins a free neighbour");
    while yard.take(0, 1) {}
    assert!(!yard.resize(0, 24), "one granule can't be a block");
    yard.audit();
    (2..yard.blocks()).rev().for_each(|block| yard.free(block));
    yard.heap.trim();
    let rest = yard.heap.largest_free();
    assert!(yard.resize(1, granules(20) * 8 + rest), "takes the free neighbour whole");
    assert!(!yard.resize(1, granules(20) * 8 + rest + 1));
    yard.audit();
    yard.check_bytes();
    yard.clear(&mut Random::new(3));
    assert_eq!(yard.shape(), first_day);
}

#[test]
fn a_block_grows_into_a_free_neighbour_and_gives_its_tail_back() {
    on_every_scale!(resizes);
}

fn least<S: Scale>() {
    let bytes = RegionHeap::<S>::MIN_BYTES;
    let memory = Memory::new(bytes, 0);
    let mut heap = RegionHeap::<S>::empty();
    // SAFETY: the memory lives as long as the heap, which has it for itself.
    let mut claim = |bytes| unsafe { heap.claim(memory.start(), bytes) };
    assert_eq!(claim(bytes - 1), Err(ClaimError::TooSmall));
    assert_eq!(claim(bytes), Ok(16));
    let block = heap.allocate(Layout::new::<[u64; 2]>());
    assert!(block.is_some(), "the least region has a block");
    assert_eq!(heap.allocate(Layout::new::<u8>()), None, "and no other");
}

#[test]
fn the_least_region_has_one_block_and_a_byte_less_is_too_small() {
    on_every_scale!(least);
}

/// [`RegionHeap::MIN_BYTES`], and the usable bytes of so many.
fn layout_of<S: Scale>() -> [usize; 3] {
    let usable = |bytes| Yard::<S>::new(bytes, 0).heap.stats().free;
    [RegionHeap::<S>::MIN_BYTES, usable(4 << 10), usable(64 << 10)]
}

#[test]
#[cfg(target_pointer_width = "64")]
fn what_control_data_takes_is_what_the_documentation_says() {
    assert_eq!(layout_of::<Micro>(), [240, 3808, 64_288]);
    assert_eq!(layout_of::<Mini>(), [608, 3448, 63_928]);
    assert_eq!(layout_of::<Wide>(), [2640, 1448, 61_928]);
}

/// The list allocator as a judge: the same requests, the same memory.
struct Judge {
    heap: ListHeap,
    blocks: Vec<(NonNull<u8>, Layout)>,
    _memory: Memory,
}

impl Judge {
    fn new(bytes: usize) -> Self {
        let memory = Memory::new(bytes, 0);
        let mut heap = ListHeap::empty();
        // SAFETY: the memory lives as long as the heap, which has it for itself.
        unsafe { heap.init(memory.start(), memory.bytes()) };
        Self { heap, blocks: Vec::new(), _memory: memory }
    }

    fn take(&mut self, bytes: usize) -> bool {
        let layout = Layout::from_size_align(bytes, 8).expect("a layout");
        let block = self.heap.allocate_first_fit(layout);
        self.blocks.extend(block.map(|block| (block, layout)));
        block.is_ok()
    }

    fn free(&mut self, pick: usize) {
        let (block, layout) = self.blocks.swap_remove(pick % self.blocks.len());
        // SAFETY: a live block and its layout.
        unsafe { self.heap.deallocate(block, layout) };
    }
}

/// Per mille of the region that are live bytes when a request is refused, after 20 rounds in which half of all
/// blocks were freed and the heap filled again.
fn pressed<S: Scale>(bytes: usize, sizes: std::ops::RangeInclusive<usize>, seed: u64) -> usize {
    let mut random = Random::new(seed);
    let mut yard = Yard::<S>::new(bytes, 0);
    for _ in 0..20 {
        for _ in 0..yard.blocks() / 2 {
            yard.free(random.below(1 << 30));
        }
        while yard.take(sizes.start() + random.below(sizes.end() - sizes.start() + 1), 8) {}
    }
    yard.audit();
    yard.bytes() * 1000 / bytes
}

#[test]
fn most_of_64_kilobytes_can_be_had_after_churn() {
    let seed = seed();
    let permille: Vec<_> =
        (0..8).map(|case| pressed::<Mini>(64 << 10, 8..=128, seed + case)).collect();
    let mean = permille.iter().sum::<usize>() / permille.len();
    assert!(mean >= 813, "live at the first refusal, per mille: {permille:?}");
}

#[test]
fn nearly_all_of_16_megabytes_can_be_had_after_churn() {
    let permille = pressed::<Wide>(16 << 20, 16..=1024, seed());
    assert!(permille >= 968, "live at the first refusal, per mille: {permille}");
}

#[test]
fn a_region_of_64_megabytes_is_filled_churned_and_whole_again() {
    let bytes = 64 << 20;
    let mut random = Random::new(seed());
    let mut yard = Yard::<Wide>::new(bytes, 0);
    let first_day = yard.shape();
    // Heavy tails: 16 bytes to 32 KiB, each doubling half as often as the one before.
    let mut fill = |yard: &mut Yard<Wide>| {
        loop {
            let doublings = (random.below(1 << 10) | 1 << 10).trailing_zeros();
            let size = 16 << doublings;
            let align = if random.below(16) == 0 { 64 } else { 8 };
            // What is refused at first is long: the memory is full when small ones are.
            if !yard.take(size + random.below(size), align) && size < 1024 {
                return;
            }
        }
    };
    for round in 0..3_usize {
        fill(&mut yard);
        yard.audit();
        let live = yard.heap.stats().live;
        assert!(live > bytes / 100 * 95, "{live} bytes are live when it is full");
        for pick in 0..yard.blocks() / 2 {
            yard.free(pick * 7919 + round);
        }
        yard.audit();
    }
    yard.check_bytes();
    yard.clear(&mut random);
    assert_eq!(yard.shape(), first_day);
}

#[test]
fn what_a_list_of_all_free_memory_serves_is_served() {
    let (mut served, mut missed) = (0, 0);
    let seed = seed();
    for case in 0..8 {
        let mut random = Random::new(seed + case);
        let mut yard = Yard::<Mini>::new(64 << 10, 0);
        let mut judge = Judge::new(64 << 10);
        for _ in 0..20_000 {
            // What one of the two refused, neither has: they stay alike.
            let full = yard.heap.stats().free < 6 << 10;
            if yard.blocks() > 0 && random.below(if full { 3 } else { 4 }) > 1 - usize::from(full) {
                let pick = random.below(yard.blocks());
                yard.free(pick);
                judge.free(pick);
                continue;
            }
            let bytes = 8 + random.below(121);
            match (judge.take(bytes), yard.take(bytes, 8)) {
                (true, true) => served += 1,
                (true, false) => {
                    missed += 1;
                    let last = judge.blocks.len() - 1;
                    judge.free(last);
                }
                (false, true) => yard.free(yard.blocks() - 1),
                (false, false) => {}
            }
        }
        yard.audit();
    }
    assert!(served > 20_000, "{served} served");
    assert!(missed * 1000 <= served, "{missed} of {served} that a list serves were refused");
}
