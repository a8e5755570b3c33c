//! A program's mistakes at the door of a heap over regions: each is noticed, under its name; and what a stray
//! write leaves in free memory is noticed before it is acted upon.

use ace_alloc::misuse::{Misuse, MisuseKind};
use ace_alloc::region::{Bounded, Micro, Mini, RegionHeap, Scale, Wide};
use ace_alloc_tests::random::{Random, cases, seed};
use ace_alloc_tests::regions::Memory;
use std::{
    alloc::Layout,
    marker::PhantomData,
    panic::{AssertUnwindSafe, catch_unwind, panic_any},
    ptr::NonNull,
};

/// A scale whose reports unwind to the test.
struct Heard<S>(PhantomData<S>);

impl<S: Scale> Scale for Heard<S> {
    type Link = S::Link;
    const EXACT: usize = S::EXACT;
    const CACHED: usize = S::CACHED;
    const CACHE_SHIFT: u32 = S::CACHE_SHIFT;
    const BOUNDED: bool = S::BOUNDED;
    const GUARDED: bool = S::GUARDED;

    fn misuse(misuse: Misuse) -> ! {
        panic_any(misuse)
    }
}

macro_rules! on_every_scale {
    ($crime:ident) => {
        $crime::<Heard<Micro>>();
        $crime::<Heard<Mini>>();
        $crime::<Heard<Wide>>();
        $crime::<Heard<Bounded<Micro>>>();
        $crime::<Heard<Bounded<Mini>>>();
        $crime::<Heard<Bounded<Wide>>>();
    };
}

struct Scene<S: Scale> {
    heap: RegionHeap<S>,
    memory: Memory,
}

fn layout(bytes: usize) -> Layout {
    Layout::from_size_align(bytes, 8).expect("a layout")
}

fn report(act: impl FnOnce()) -> Option<Misuse> {
    let panic = catch_unwind(AssertUnwindSafe(act)).err()?;
    Some(*panic.downcast::<Misuse>().expect("a report, not another panic"))
}

impl<S: Scale> Scene<S> {
    fn new() -> Self {
        let memory = Memory::new(16 << 10, 0);
        let mut heap = RegionHeap::empty();
        // SAFETY: the memory lives as long as the heap, which has it for itself.
        unsafe { heap.claim(memory.start(), memory.bytes()) }.expect("enough");
        Self { heap, memory }
    }

    fn take(&mut self, bytes: usize) -> NonNull<u8> {
        self.heap.allocate(layout(bytes)).expect("there is room")
    }

    fn free(&mut self, block: NonNull<u8>, bytes: usize) {
        // SAFETY: a live block of this size; or the mistake that the heap must notice.
        unsafe { self.heap.deallocate(block, layout(bytes)) };
    }

    /// Freed or resized, `block` is reported, as this; and the heap is as it was.
    fn accuses(&mut self, block: NonNull<u8>, bytes: usize, kinds: &[MisuseKind], what: &str) {
        let before = (self.heap.stats(), self.heap.audit());
        for resize in [false, true] {
            let report = report(|| {
                if resize {
                    // SAFETY: as for `free`.
                    let _: bool =
                        unsafe { self.heap.resize_in_place(block, layout(bytes), 9 * bytes) };
                } else {
                    self.free(block, bytes);
                }
            });
            let report = report.unwrap_or_else(|| panic!("{what} was not noticed"));
            assert!(kinds.contains(&report.kind), "{what}: {report:?}");
            assert_eq!(report.address, block.addr().get(), "{what}");
            assert_eq!((self.heap.stats(), self.heap.audit()), before, "{what}: a change");
        }
    }
}

const SIZES: [usize; 6] = [1, 24, 64, 200, 1000, 3000];

fn double_frees<S: Scale>() {
    for bytes in SIZES {
        let mut scene = Scene::<S>::new();
        let (before, block, after) = (scene.take(bytes), scene.take(bytes), scene.take(bytes));
        scene.free(block, bytes);
        let double = &[MisuseKind::DoubleFree];
        scene.accuses(block, bytes, double, "a double free, as freed last");
        scene.heap.trim();
        scene.accuses(block, bytes, double, "a double free of a block in a bin");
        scene.free(before, bytes);
        scene.heap.trim();
        scene.accuses(block, bytes, double, "a double free of a block joined with the one before");
        scene.free(after, bytes);
        scene.heap.trim();
        for block in [before, block, after] {
            scene.accuses(block, bytes, double, "a double free when all is free");
        }
    }
}

#[test]
fn a_double_free_is_reported_wherever_the_block_is_kept() {
    on_every_scale!(double_frees);
}

fn pointers<S: Scale>() {
    for bytes in SIZES {
        let mut scene = Scene::<S>::new();
        let blocks: Vec<_> = (0..3).map(|_| scene.take(bytes)).collect();
        let inside = blocks[1];
        for offset in (1..bytes.next_multiple_of(8)).step_by(if bytes > 64 { 37 } else { 1 }) {
            // SAFETY: inside the block.
            let pointer = unsafe { inside.add(offset) };
            scene.accuses(pointer, bytes, &[MisuseKind::Interior], "an interior pointer");
        }
        let start = NonNull::new(scene.memory.start()).expect("memory");
        for offset in (0..scene.heap.stats().control).step_by(4) {
            // SAFETY: inside the memory.
            let pointer = unsafe { start.add(offset) };
            scene.accuses(pointer, bytes, &[MisuseKind::Interior], "a pointer to control data");
        }
        // SAFETY: one past the memory's end.
        let edge = unsafe { start.add(scene.memory.bytes()) };
        scene.accuses(edge, bytes, &[MisuseKind::Foreign], "a pointer to the edge");
        let other = Box::new(0_u64);
        let kinds = &[MisuseKind::Foreign];
        scene.accuses(NonNull::from(&*other).cast(), bytes, kinds, "a foreign pointer");
        let wild = NonNull::without_provenance(std::num::NonZero::new(8).expect("not zero"));
        scene.accuses(wild, bytes, kinds, "a wild pointer");
    }
    let mut empty = RegionHeap::<S>::empty();
    // SAFETY: the heap has no blocks, and must notice.
    let report = report(|| unsafe { empty.deallocate(NonNull::dangling(), layout(8)) });
    assert_eq!(report.map(|report| report.kind), Some(MisuseKind::Foreign));
}

#[test]
fn a_pointer_that_no_live_block_begins_at_is_reported() {
    on_every_scale!(pointers);
}

/// The region's memory as its bits may look: many sizes, freed in part, and then every granule is tried.
fn every_granule<S: Scale>() {
    let seed = seed();
    for case in 0..u64::from(cases(2)) {
        let mut random = Random::new(seed + case);
        let mut scene = Scene::<S>::new();
        let mut live = Vec::new();
        for _ in 0..300 {
            let bytes = random.below(90);
            if random.below(3) > 0 || live.is_empty() {
                live.extend(scene.heap.allocate(layout(bytes)).map(|block| (block, bytes)));
            } else {
                let (block, bytes) = live.swap_remove(random.below(live.len()));
                scene.free(block, bytes);
            }
        }
        let start = NonNull::new(scene.memory.start()).expect("memory");
        let kinds = [MisuseKind::Interior, MisuseKind::DoubleFree];
        for granule in 0..scene.memory.bytes() / 8 {
            // SAFETY: inside the memory.
            let pointer = unsafe { start.add(granule * 8) };
            if live.iter().all(|&(block, _)| block != pointer) {
                scene.accuses(pointer, 16, &kinds, &format!("case {case}, granule {granule}"));
            }
        }
    }
}

#[test]
fn of_all_addresses_of_a_region_only_starts_of_live_blocks_can_be_freed() {
    on_every_scale!(every_granule);
}

/// A word of freed memory is overwritten, and the heap used until everything has been freed and had again: it is
/// reported as corrupt, or it did no harm.
fn strays<S: Scale>() {
    let seed = seed();
    let mut noticed = 0;
    for case in 0..u64::from(cases(400).max(100)) {
        let mut random = Random::new(seed + case);
        let mut scene = Scene::<S>::new();
        let mut live: Vec<_> =
            (0..60).map(|_| random.below(300)).map(|bytes| (scene.take(bytes), bytes)).collect();
        let (mut freed, mut at) = (Vec::new(), 0);
        live.retain(|&(block, bytes)| {
            at += 1;
            let frees = at % 2 == 0 || random.below(4) == 0;
            if frees {
                scene.free(block, bytes);
                freed.push((block, bytes.max(16)));
            }
            !frees
        });
        if random.below(2) == 0 {
            scene.heap.trim();
        }
        let (block, bytes) = freed[random.below(freed.len())];
        let written = match random.below(4) {
            0 => bytes,
            _ => 4,
        };
        let byte = [0, 1, 0x41, 0xFF][random.below(4)];
        let offset = if written == 4 { random.below(bytes.min(16) / 4) * 4 } else { 0 };
        // SAFETY: inside the region's memory; that it is free is the mistake.
        unsafe { block.add(offset).write_bytes(byte, written) };
        let kinds = report(|| {
            let mut owned: Vec<NonNull<u8>> = Vec::new();
            for _ in 0..60 {
                owned.extend(scene.heap.allocate(layout(random.below(300))));
            }
            for (block, bytes) in std::mem::take(&mut live) {
                scene.free(block, bytes);
            }
            scene.heap.trim();
            while let Some(block) = scene.heap.allocate(layout(16)) {
                owned.push(block);
            }
            let mut starts: Vec<_> = owned.iter().map(|block| block.addr().get()).collect();
            starts.sort_unstable();
            let apart = starts.windows(2).all(|pair| pair[0] + 16 <= pair[1]);
            assert!(apart, "case {case}: blocks overlap");
        });
        if let Some(report) = kinds {
            assert_eq!(report.kind, MisuseKind::Corrupt, "case {case}: {report:?}");
            noticed += 1;
        }
    }
    assert!(noticed > 0, "no stray write was noticed");
}

#[test]
fn a_stray_write_to_free_memory_is_reported_or_harmless() {
    strays::<Heard<Micro>>();
    strays::<Heard<Mini>>();
    strays::<Heard<Wide>>();
}

#[test]
fn a_program_that_does_not_care_is_stopped_with_the_reason() {
    let memory = Memory::new(4096, 0);
    let mut heap = RegionHeap::<Mini>::empty();
    // SAFETY: the memory lives as long as the heap.
    unsafe { heap.claim(memory.start(), memory.bytes()) }.expect("enough");
    let block = heap.allocate(layout(40)).expect("room");
    // SAFETY: freed once; the second time is what the heap must notice.
    let twice = || unsafe {
        heap.deallocate(block, layout(40));
        heap.deallocate(block, layout(40));
    };
    let panic = catch_unwind(AssertUnwindSafe(twice)).expect_err("it is stopped");
    let message = panic.downcast_ref::<String>().expect("a message");
    assert_eq!(*message, format!("{:#x}: double free", block.addr()));
}
