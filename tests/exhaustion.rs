//! Memory that runs out: the provider fails at call k, for every k of a script, and the heap answers
//! null, stays usable, recovers, and loses nothing.

use ace_alloc::geometry::{Host, HostTail, Small};
use ace_alloc_tests::pages::Fault;
use ace_alloc_tests::platforms::{Seat, Shape, TestHeap, take_misuses};
use ace_alloc_tests::random::{self, Random};
use ace_alloc_tests::script::{Op, Stage};
use std::alloc::Layout;

/// A script that makes every kind of call of the provider.
fn script<G: Shape>(seed: u64) -> Vec<Op> {
    let mut ops = Op::script::<G>(seed, 200);
    ops.push(Op::Huge(1 << 20));
    ops.extend(vec![Op::Malloc(G::LARGEST); 12]);
    ops.extend(vec![Op::Free(3); 200]);
    ops.push(Op::Trim(0));
    ops.push(Op::Huge(5));
    ops.push(Op::Realloc(1 << 20, G::LARGEST));
    ops.extend(Op::script::<G>(seed + 1, 100));
    ops
}

/// Calls of the provider that the script makes when none fails.
fn calls_without_faults<G: Shape, const ZEROED: bool>(script: &[Op]) -> u64 {
    let mut stage = Stage::<G, ZEROED>::new();
    stage.play(script);
    let calls = stage.heap.pages.ledger().calls;
    stage.finish();
    calls
}

/// Plays the script under a fault, then without it; everything must come back.
fn survives<G: Shape, const ZEROED: bool>(script: &[Op], fault: Fault) -> u64 {
    let mut stage = Stage::<G, ZEROED>::new();
    stage.null_is_fine = true;
    stage.heap.pages.set_fault(fault);
    stage.play(script);
    stage.shadow.check_all();
    let hit = stage.heap.pages.ledger().faults;
    stage.heap.pages.set_fault(Fault::Never);
    stage.null_is_fine = false;
    stage.nulls = 0;
    stage.play(script);
    assert_eq!(stage.nulls, 0, "{} under {fault:?}: no memory after the fault is gone", G::NAME);
    stage.finish();
    hit
}

fn every_single_fault<G: Shape, const ZEROED: bool>() {
    let script = script::<G>(random::seed());
    let calls = calls_without_faults::<G, ZEROED>(&script);
    assert!(calls > 5, "{}: the script makes {calls} calls: too few to be a test", G::NAME);
    for call in 0..calls {
        let hit = survives::<G, ZEROED>(&script, Fault::Call(call));
        assert_eq!(hit, 1, "{}: call {call} of {calls} was not made again", G::NAME);
    }
}

fn every_lasting_fault<G: Shape>() {
    let script = script::<G>(random::seed() + 7);
    for call in 0..calls_without_faults::<G, true>(&script) {
        survives::<G, true>(&script, Fault::From(call));
    }
}

fn pairs_of_faults<G: Shape>() {
    let seed = random::seed();
    let script = script::<G>(seed + 9);
    let calls = usize::try_from(calls_without_faults::<G, true>(&script)).expect("a count");
    let mut random = Random::new(seed);
    for _ in 0..random::cases(60) {
        let (first, second) = (random.below(calls) as u64, random.below(calls) as u64);
        survives::<G, true>(&script, Fault::Calls(first, second));
    }
}

#[test]
fn a_failing_call_of_the_provider_loses_nothing() {
    every_single_fault::<Host, true>();
    every_single_fault::<HostTail, true>();
    every_single_fault::<Small, true>();
}

#[test]
fn a_failing_call_loses_nothing_where_fresh_memory_holds_anything() {
    every_single_fault::<Host, false>();
    every_single_fault::<HostTail, false>();
    every_single_fault::<Small, false>();
}

#[test]
fn a_provider_that_fails_for_good_leaves_the_heap_usable() {
    every_lasting_fault::<Host>();
    every_lasting_fault::<HostTail>();
    every_lasting_fault::<Small>();
}

#[test]
fn two_failing_calls_lose_nothing() {
    pairs_of_faults::<Host>();
    pairs_of_faults::<HostTail>();
    pairs_of_faults::<Small>();
}

/// Blocks of one size until null; then all of it can be had again after it was freed.
fn fills_to_the_brim_and_recovers<G: Shape>(bytes: usize, limit: usize) {
    let heap = TestHeap::<G>::new(limit);
    let mut seat = Seat::new();
    let mut counts = Vec::new();
    for _ in 0..4 {
        let mut blocks = Vec::new();
        loop {
            let ptr = seat.sit(|| heap.malloc(bytes));
            if ptr.is_null() {
                break;
            }
            // SAFETY: a live block of at least this size.
            unsafe { ptr.write_bytes(0xA5, bytes) };
            blocks.push(ptr);
        }
        counts.push(blocks.len());
        for ptr in blocks {
            // SAFETY: a live block, freed once.
            seat.sit(|| unsafe { heap.free(ptr) });
        }
        seat.sit(|| heap.trim(0));
        assert_eq!(heap.live_blocks(), 0, "{}: all blocks were freed", G::NAME);
    }
    let (first, last) = (counts[0], counts[3]);
    assert!(first > 0, "{}: not one block of {bytes} bytes from {limit} bytes", G::NAME);
    assert!(
        last * 100 >= first * 97,
        "{}: {first} blocks of {bytes} bytes at first, {last} after recovery",
        G::NAME
    );
}

#[test]
fn a_full_heap_answers_null_and_has_its_memory_again_after_free() {
    for bytes in [16, 80, 1000, 10_000, 60_000] {
        fills_to_the_brim_and_recovers::<Small>(bytes, 8 << 20);
        fills_to_the_brim_and_recovers::<Host>(bytes, 64 << 20);
        fills_to_the_brim_and_recovers::<HostTail>(bytes, 64 << 20);
    }
}

#[test]
fn freed_blocks_of_one_size_serve_another_when_memory_is_short() {
    let heap = TestHeap::<Small>::new(8 << 20);
    let mut seat = Seat::new();
    let fill = |seat: &mut Seat, bytes: usize| -> Vec<*mut u8> {
        let more = || Some(heap.malloc(bytes)).filter(|ptr| !ptr.is_null());
        seat.sit(|| std::iter::from_fn(more).collect())
    };
    let mut served = Vec::new();
    for bytes in [32, 2000, 30_000, 48, 700, 32] {
        let blocks = fill(&mut seat, bytes);
        served.push(blocks.len() * bytes);
        for ptr in blocks {
            // SAFETY: a live block, freed once.
            seat.sit(|| unsafe { heap.free(ptr) });
        }
    }
    let (least, first) = (served.iter().min().expect("six"), served[0]);
    assert!(*least * 10 >= first * 6, "bytes served by size: {served:?}");
}

#[test]
fn requests_that_no_heap_can_serve_are_null() {
    let heap = TestHeap::<Host>::new(1 << 30);
    let mut seat = Seat::new();
    let most = isize::MAX.unsigned_abs();
    for bytes in [usize::MAX, usize::MAX - 15, most + 1, most, most - 4096, 1 << 47, 1 << 40] {
        seat.sit(|| {
            assert!(heap.malloc(bytes).is_null(), "malloc({bytes:#x})");
            assert!(heap.calloc(bytes).is_null(), "calloc({bytes:#x})");
            for align in [16, 4096, 1 << 30, 1 << 62] {
                assert!(heap.memalign(align, bytes).is_null(), "memalign({align:#x}, {bytes:#x})");
            }
            let block = heap.malloc(100);
            // SAFETY: a live block; realloc fails and leaves it, then it is freed once.
            unsafe {
                assert!(heap.realloc(block, bytes).is_null(), "realloc to {bytes:#x}");
                heap.free(block);
            }
        });
    }
    for shift in 0..63 {
        seat.sit(|| {
            let block = heap.memalign(1 << shift, 10);
            assert!(block.addr().is_multiple_of(1 << shift), "alignment 1 << {shift}");
            // SAFETY: null, or a live block freed once.
            unsafe { heap.free(block) };
        });
    }
    seat.sit(|| heap.thread_exit());
    assert_eq!(heap.live_blocks(), 0);
}

/// The heap can't grow any more, and of one larger class there is a slab with room: smaller requests have its blocks,
/// and then null, for which the provider is not asked once a class.
fn blocks_of_a_larger_class_will_do<G: Shape>(layout: Layout, larger: usize) {
    let heap = TestHeap::<G>::new(64 << 20);
    let mut seat = Seat::new();
    seat.sit(|| {
        let kept = heap.malloc(larger);
        heap.pages.set_fault(Fault::From(0));
        let mut blocks = Vec::new();
        let mut of_larger = 0;
        loop {
            // SAFETY: any layout is fine here.
            let block = unsafe { heap.alloc(layout) };
            if block.is_null() {
                break;
            }
            // SAFETY: a live block.
            let usable = unsafe { heap.usable_size(block) };
            assert!(usable == larger || usable == layout.size(), "{}: {usable} bytes", G::NAME);
            assert!(block.addr().is_multiple_of(layout.align()), "{}: {block:p}", G::NAME);
            // SAFETY: a live block of this size.
            unsafe { block.write_bytes(0xA5, usable) };
            of_larger += usize::from(usable == larger);
            blocks.push(block);
        }
        assert!(of_larger > 0, "{}: no block of {larger} bytes for {layout:?}", G::NAME);
        heap.pages.set_fault(Fault::From(0));
        // SAFETY: any layout is fine here.
        assert!(unsafe { heap.alloc(layout) }.is_null());
        let calls = heap.pages.ledger().calls;
        assert!(calls <= 8, "{}: {calls} calls of the provider for one refusal", G::NAME);
        for block in blocks {
            // SAFETY: a live block of this layout, freed once.
            unsafe { heap.dealloc(block, layout) };
        }
        // SAFETY: likewise.
        unsafe { heap.free(kept) };
        heap.thread_exit();
    });
    assert_eq!((heap.live_blocks(), take_misuses().len()), (0, 0), "{}", G::NAME);
}

#[test]
fn where_no_slab_is_to_be_had_a_block_of_a_larger_class_is() {
    for (bytes, align, larger) in [(16, 16, 112), (24, 8, 112), (64, 64, 128), (320, 16, 448)] {
        let layout = Layout::from_size_align(bytes, align).expect("a layout");
        blocks_of_a_larger_class_will_do::<Host>(layout, larger);
        blocks_of_a_larger_class_will_do::<HostTail>(layout, larger);
        blocks_of_a_larger_class_will_do::<Small>(layout, larger);
    }
}
