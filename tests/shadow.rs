//! The whole heap against its shadow: random scripts over every geometry and both placements of the
//! prefix. Every live range is owned by the model, filled, and intact when it is given back.
//!
//! `ACE_TEST_SEED` and `ACE_TEST_CASES` vary what is tried; a failure prints the shrunken script.

use ace_alloc::geometry::{Geometry, Host, HostTail, Placement, Small};
use ace_alloc_tests::platforms::Shape;
use ace_alloc_tests::random;
use ace_alloc_tests::script::{Op, Stage};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

const USUAL_CASES: u32 = 96;
const USUAL_STEPS: usize = 400;

fn sizes(largest: usize) -> impl Strategy<Value = usize> + Clone {
    prop_oneof![
        8 => 0..=256_usize,
        4 => 0..=1024_usize,
        2 => 0..=(8_usize << 10),
        1 => 0..=(64_usize << 10),
        1 => 0..=largest,
    ]
}

fn ops<G: Shape>() -> impl Strategy<Value = Op> {
    let size = sizes(G::LARGEST);
    prop_oneof![
        300 => size.clone().prop_map(Op::Malloc),
        50 => size.clone().prop_map(Op::Calloc),
        50 => (0..17_u32, size.clone()).prop_map(|(shift, bytes)| Op::Memalign(shift, bytes)),
        100 => (0..13_u32, size.clone(), any::<bool>())
            .prop_map(|(shift, bytes, zeroed)| Op::Alloc(shift, bytes, zeroed)),
        350 => any::<u16>().prop_map(|number| Op::Free(number.into())),
        100 => (any::<u16>(), size).prop_map(|(number, bytes)| Op::Realloc(number.into(), bytes)),
        35 => (0..64_usize).prop_map(Op::Hop),
        5 => prop_oneof![Just(0_usize), Just(64 << 10), Just(8 << 20)].prop_map(Op::Trim),
        8 => any::<bool>().prop_map(Op::Exit),
        2 => (0..4_usize << 20).prop_map(Op::Huge),
    ]
}

fn keeps_its_promises<G: Shape, const ZEROED: bool>() {
    let seed = random::seed();
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config {
        cases: random::cases(USUAL_CASES),
        failure_persistence: None,
        max_shrink_iters: 2000,
        ..Config::default()
    };
    let mut runner =
        TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &key));
    let outcome = runner.run(&vec(ops::<G>(), 1..USUAL_STEPS), |script| {
        let mut stage = Stage::<G, ZEROED>::new();
        stage.play(&script);
        stage.shadow.check_all();
        stage.finish();
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{}, seed {seed}: {failure}", G::NAME);
    }
}

#[test]
fn live_blocks_of_a_host_heap_never_overlap_and_keep_their_bytes() {
    assert_eq!(Host::PREFIX, Placement::Table);
    keeps_its_promises::<Host, true>();
}

#[test]
fn live_blocks_of_a_host_heap_with_tail_prefixes_never_overlap_and_keep_their_bytes() {
    assert_eq!(HostTail::PREFIX, Placement::SlabTail);
    keeps_its_promises::<HostTail, true>();
}

#[test]
fn live_blocks_of_a_small_heap_never_overlap_and_keep_their_bytes() {
    keeps_its_promises::<Small, true>();
}

/// Long enough that superslabs empty, are released and reused.
fn survives_a_long_life<G: Shape, const ZEROED: bool>() {
    let seed = random::seed();
    let mut stage = Stage::<G, ZEROED>::new();
    for round in 0..4_u64 {
        stage.play(&Op::script::<G>(seed ^ round, 10_000));
        stage.finish();
    }
}

#[test]
fn a_long_life_of_a_host_heap_leaves_nothing_behind() {
    survives_a_long_life::<Host, true>();
}

#[test]
fn a_long_life_of_a_host_heap_with_tail_prefixes_leaves_nothing_behind() {
    survives_a_long_life::<HostTail, true>();
}

#[test]
fn a_long_life_of_a_small_heap_leaves_nothing_behind() {
    survives_a_long_life::<Small, true>();
}

#[test]
fn a_heap_whose_fresh_memory_holds_anything_keeps_the_same_promises() {
    keeps_its_promises::<Host, false>();
    keeps_its_promises::<HostTail, false>();
    keeps_its_promises::<Small, false>();
}

#[test]
fn a_long_life_on_memory_that_held_anything_leaves_nothing_behind() {
    survives_a_long_life::<Host, false>();
    survives_a_long_life::<HostTail, false>();
    survives_a_long_life::<Small, false>();
}

/// Fills a heap with blocks of one size and empties it, many times over; the pages that the heap
/// holds after the last time are those it held after the first.
fn holds_no_more_after_many_cycles<G: Shape>(bytes: usize) {
    let mut stage = Stage::<G>::new();
    let blocks = (4 << 20) / bytes;
    let mut after_first = None;
    for cycle in 0..20 {
        stage.play(&vec![Op::Malloc(bytes); blocks]);
        stage.play(&vec![Op::Free(blocks * cycle); blocks]);
        stage.finish();
        let ledger = stage.heap.pages.ledger();
        let held = (ledger.committed, stage.heap.pages.resident(), ledger.mapped);
        assert_eq!(held, *after_first.get_or_insert(held), "{}: cycle {cycle}", G::NAME);
    }
}

#[test]
fn pages_held_do_not_grow_from_cycle_to_cycle() {
    for bytes in [16, 100, 1000, 5000, 40_000, 100_000] {
        holds_no_more_after_many_cycles::<Host>(bytes);
        holds_no_more_after_many_cycles::<HostTail>(bytes);
        holds_no_more_after_many_cycles::<Small>(bytes);
    }
}

/// After everything was freed and trimmed, the provider has its pages back, but for the heap's own
/// records.
fn trim_gives_pages_back<G: Shape>(bytes: usize, blocks: usize) {
    let mut stage = Stage::<G>::new();
    stage.play(&vec![Op::Malloc(bytes); blocks]);
    let full = stage.heap.pages.resident();
    stage.finish();
    let empty = stage.heap.pages.resident();
    assert!(
        empty <= full / 8 + (1 << 20),
        "{}: {bytes}-byte blocks left {empty} of {full} bytes resident",
        G::NAME
    );
}

#[test]
fn trim_gives_the_pages_of_freed_blocks_back() {
    for bytes in [64, 1000, 8000, 60_000] {
        trim_gives_pages_back::<Host>(bytes, (64 << 20) / bytes);
        trim_gives_pages_back::<HostTail>(bytes, (64 << 20) / bytes);
        trim_gives_pages_back::<Small>(bytes, (8 << 20) / bytes);
    }
}

/// One thread allocates and then sleeps; another frees all of it, more than any cache holds.
fn come_home_from_others<G: Shape>(bytes: usize) {
    let mut stage = Stage::<G>::new();
    let blocks = (8 << 20) / bytes;
    stage.play(&vec![Op::Malloc(bytes); blocks]);
    stage.play(&[Op::Hop(1)]);
    stage.play(&vec![Op::Free(0); blocks]);
    stage.finish();
}

#[test]
fn blocks_freed_by_others_while_their_thread_sleeps_come_home() {
    for bytes in [16, 100, 1000] {
        come_home_from_others::<Host>(bytes);
        come_home_from_others::<HostTail>(bytes);
        come_home_from_others::<Small>(bytes);
    }
}
