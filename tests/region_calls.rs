//! The heap over regions as its callers meet it: memory is claimed, the heap runs out, threads share it.

use ace_alloc::{
    ClaimError,
    region::{Bounded, Link, LockedHeap, Micro, Mini, RegionHeap, Scale, Wide},
};
use ace_alloc_tests::on_every_scale;
use ace_alloc_tests::random::{Random, cases, seed};
use ace_alloc_tests::regions::{Memory, Yard};
use std::{
    alloc::{GlobalAlloc, Layout},
    mem::MaybeUninit,
    ptr::null_mut,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

fn claims<S: Scale>() {
    let memory = Memory::new(64 << 10, 0);
    let start = memory.start();
    let at = |offset: usize| start.wrapping_add(offset);
    let mut heap = RegionHeap::<S>::empty();
    assert_eq!(heap.allocate(Layout::new::<u64>()), None, "an empty heap has nothing");
    // SAFETY: of all that is claimed here only the middle is taken: memory that is nobody else's.
    let mut claim = |from: *mut u8, bytes: usize| unsafe { heap.claim(from, bytes) };
    let refusals = |claim: &mut dyn FnMut(*mut u8, usize) -> Result<usize, ClaimError>| {
        assert_eq!(claim(null_mut(), 4096), Err(ClaimError::Invalid), "null");
        assert_eq!(claim(at(0), usize::MAX), Err(ClaimError::Invalid), "wraps");
        for bytes in [0, 1, 7, 8, 64] {
            assert_eq!(claim(at(0), bytes), Err(ClaimError::TooSmall), "{bytes} bytes");
        }
    };
    refusals(&mut claim);
    let (from, bytes) = (16 << 10, 32 << 10);
    let usable = claim(at(from), bytes).expect("enough");
    assert!(usable < bytes && usable > bytes / 4 * 3, "{usable}");
    refusals(&mut claim);
    let again = Err(ClaimError::Overlaps);
    assert_eq!(claim(at(from), bytes), again, "the same");
    assert_eq!(claim(at(from + 8), 4096), again, "contained");
    assert_eq!(claim(at(from - 4096), bytes + 8192), again, "containing");
    assert_eq!(claim(at(from - 8192), 8192 + 8), again, "its start");
    assert_eq!(claim(at(from + bytes - 8), 8192), again, "its end");
    let before = heap.stats();
    assert_eq!((before.regions, before.free), (1, usable), "{before:?}");
    heap.audit().expect("intact");
    // Beside it there is room on either side.
    for (from, bytes) in [(from - 8192, 8192), (from + bytes, 8192)] {
        // SAFETY: as above.
        unsafe { heap.claim(at(from), bytes) }.expect("it touches the region, no more");
    }
    assert_eq!(heap.stats().regions, 3);
    heap.audit().expect("intact");
}

#[test]
fn memory_that_cannot_be_claimed_is_refused_and_changes_nothing() {
    on_every_scale!(claims);
}

fn sizes<S: Scale>() {
    let mut least = 0;
    for bytes in (8..6000).step_by(8) {
        for skipped in [0, 1, 7] {
            let mut yard = Yard::<S>::default();
            if yard.claim(bytes + 7, skipped) {
                least = if least == 0 { bytes } else { least };
                yard.audit();
                let free = yard.heap.stats().free;
                let bytes = if free <= 32 { free } else { 16 };
                assert!(yard.take(bytes, 1), "a region has room for a block");
                yard.audit();
            } else {
                assert_eq!(least, 0, "more is never worse");
            }
        }
    }
    assert!(least > 0 && least < 4096, "{least} bytes at least");
}

#[test]
fn every_size_that_is_not_too_small_makes_a_region() {
    on_every_scale!(sizes);
}

fn pieces<S: Scale>() {
    let mut yard = Yard::<S>::new(3 << 19, 3);
    let regions = yard.heap.stats().regions;
    assert_eq!(regions, ((3_usize << 16) / S::Link::MOST).max(1), "regions");
    let unused = (3 << 19) - yard.heap.stats().claimed;
    assert!(unused < 4096, "{unused} bytes of the memory are not used");
    while yard.take(5000, 8) {}
    assert!(yard.bytes() > (3 << 19) / 10 * 9);
    yard.audit();
    yard.check_bytes();
    yard.clear(&mut Random::new(1));
}

#[test]
fn memory_that_links_cannot_reach_becomes_several_regions() {
    pieces::<Micro>();
    pieces::<Mini>();
    pieces::<Wide>();
    pieces::<Bounded<Mini>>();
}

static MORE: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];
static ASKED: AtomicUsize = AtomicUsize::new(0);

fn grow(heap: &mut RegionHeap<Mini>, layout: Layout) -> bool {
    ASKED.fetch_add(1, Relaxed);
    assert!(layout.size() > 0);
    let slot = MORE.iter().find(|slot| slot.load(Relaxed) != 0);
    let Some(slot) = slot else { return false };
    slot.store(0, Relaxed);
    let memory = Box::leak(Box::new([MaybeUninit::uninit(); 8192]));
    heap.claim_static(memory).is_ok()
}

#[test]
fn the_handler_is_asked_for_more_until_it_says_no() {
    // What it claims is never given back.
    static HEAP: LockedHeap<ace_alloc::SpinLock, Mini> = LockedHeap::with_oom(grow);
    let layout = Layout::from_size_align(2000, 8).expect("a layout");
    // SAFETY: the size is not zero.
    let take = || unsafe { HEAP.alloc(layout) };
    MORE.iter().for_each(|slot| slot.store(1, Relaxed));
    let blocks: Vec<_> =
        std::iter::from_fn(|| Some(take()).filter(|block| !block.is_null())).collect();
    assert_eq!(HEAP.stats().regions, 2, "two claims, the first at the first request");
    assert_eq!(ASKED.load(Relaxed), 3, "asked twice with success, and once more");
    assert!(blocks.len() >= 6);
    assert!(take().is_null());
    assert_eq!(ASKED.load(Relaxed), 4, "once for each request that fails, and no more after a no");
    for block in blocks {
        // SAFETY: live blocks of this layout.
        unsafe { HEAP.dealloc(block, layout) };
    }
    HEAP.trim();
    let stats = HEAP.stats();
    assert_eq!((stats.live, stats.cached), (0, 0));
    assert!(!take().is_null(), "what was freed serves, and nobody is asked");
    assert_eq!(ASKED.load(Relaxed), 4);
}

/// What one thread does to the heap that all share.
fn work<S: Scale>(heap: &LockedHeap<ace_alloc::SpinLock, S>, number: u8, steps: usize, seed: u64) {
    let mut random = Random::new(seed ^ u64::from(number));
    let mut blocks: Vec<(*mut u8, Layout)> = Vec::new();
    let check = |block: *mut u8, bytes: usize| {
        // SAFETY: a live block that has so many bytes, all written.
        let found = unsafe { std::slice::from_raw_parts(block, bytes) };
        assert!(found.iter().all(|&byte| byte == number), "another thread's bytes");
    };
    for _ in 0..steps {
        let pick = random.below(blocks.len().max(1));
        match random.below(8) {
            0..4 if blocks.len() < 60 => {
                let bytes = 1 + random.below(300);
                let layout =
                    Layout::from_size_align(bytes, 1 << random.below(6)).expect("a layout");
                // SAFETY: the size is not zero.
                let block = unsafe { heap.alloc(layout) };
                if !block.is_null() {
                    assert_eq!(block.addr() % layout.align(), 0);
                    // SAFETY: a live block of this size.
                    unsafe { block.write_bytes(number, bytes) };
                    blocks.push((block, layout));
                }
            }
            4 if !blocks.is_empty() => {
                let (block, layout) = blocks[pick];
                let bytes = 1 + random.below(500);
                // SAFETY: a live block of this layout.
                let moved = unsafe { heap.realloc(block, layout, bytes) };
                if !moved.is_null() {
                    check(moved, bytes.min(layout.size()));
                    // SAFETY: a live block of this size.
                    unsafe { moved.write_bytes(number, bytes) };
                    let layout = Layout::from_size_align(bytes, layout.align()).expect("a layout");
                    assert_eq!(moved.addr() % layout.align(), 0);
                    blocks[pick] = (moved, layout);
                }
            }
            5 if random.below(50) == 0 => heap.trim(),
            _ if !blocks.is_empty() => {
                let (block, layout) = blocks.swap_remove(pick);
                check(block, layout.size());
                // SAFETY: a live block of this layout.
                unsafe { heap.dealloc(block, layout) };
            }
            _ => {}
        }
    }
    for (block, layout) in blocks {
        check(block, layout.size());
        // SAFETY: a live block of this layout.
        unsafe { heap.dealloc(block, layout) };
    }
}

fn threads<S: Scale>() {
    let memory = Memory::new(48 << 10, 9);
    let heap = LockedHeap::<ace_alloc::SpinLock, S>::empty();
    // SAFETY: the memory lives as long as the heap, which has it for itself.
    let usable = unsafe { heap.claim(memory.start(), memory.bytes()) }.expect("enough");
    let steps = 500 * cases(8) as usize;
    let seed = seed();
    std::thread::scope(|scope| {
        for number in 1..=4 {
            let heap = &heap;
            scope.spawn(move || work(heap, number, steps, seed));
        }
    });
    heap.trim();
    assert_eq!(heap.stats().live, 0);
    assert_eq!(heap.lock().largest_free(), usable, "all of it, in one block");
    heap.lock().audit().expect("intact");
}

#[test]
fn threads_that_share_a_heap_keep_their_bytes() {
    on_every_scale!(threads);
}

fn refusals<S: Scale>() {
    let memory = Memory::new(64 << 10, 0);
    let heap = LockedHeap::<ace_alloc::SpinLock, S>::empty();
    // SAFETY: the memory is the test's, and outlives the heap.
    unsafe { heap.claim(memory.start(), 64 << 10) }.expect("a region");
    let small = Layout::new::<[u64; 4]>();
    // SAFETY: the layout is not empty, and blocks are freed once, with the layout that they were allocated with.
    unsafe {
        let blocks: Vec<_> = (0..20).map(|_| heap.alloc(small)).collect();
        blocks.into_iter().for_each(|block| heap.dealloc(block, small));
    }
    let before = heap.stats();
    for (count, bytes) in (1..).zip([100_000, 1 << 20, isize::MAX as usize - 8]) {
        let layout = Layout::from_size_align(bytes, 8).expect("a layout");
        // SAFETY: the layout is not empty.
        assert!(unsafe { heap.alloc(layout) }.is_null(), "{bytes} bytes");
        let after = heap.stats();
        assert_eq!(after.refused, before.refused + count, "counted once: {bytes} bytes");
        assert_eq!(after.cached, before.cached, "the caches could not help: {bytes} bytes");
    }
    heap.lock().audit().expect("intact");
}

#[test]
fn a_request_that_no_region_could_hold_costs_the_caches_nothing() {
    on_every_scale!(refusals);
}

#[test]
fn a_realloc_that_is_refused_leaves_the_block() {
    let mut memory = vec![MaybeUninit::<u8>::uninit(); 8192];
    let heap = LockedHeap::<ace_alloc::SpinLock, Mini>::empty();
    // SAFETY: the memory lives as long as the heap, which has it for itself.
    unsafe { heap.claim(memory.as_mut_ptr().cast(), memory.len()) }.expect("enough");
    let layout = Layout::from_size_align(100, 64).expect("a layout");
    // SAFETY: blocks are live, of the layouts they are given back with, and inside their sizes.
    unsafe {
        let block = heap.alloc(layout);
        block.write_bytes(7, 100);
        let stop = heap.alloc(layout);
        assert!(heap.realloc(block, layout, 9000).is_null());
        assert_eq!(std::slice::from_raw_parts(block, 100), [7; 100]);
        let moved = heap.realloc(block, layout, 1000);
        assert!(!moved.is_null() && moved != block, "another block is in the way");
        assert_eq!(moved.addr() % 64, 0);
        assert_eq!(std::slice::from_raw_parts(moved, 100), [7; 100]);
        heap.dealloc(stop, layout);
        heap.dealloc(moved, Layout::from_size_align(1000, 64).expect("a layout"));
    }
    assert_eq!(heap.stats().live, 0);
}
