//! What a heap gives back, and when, while somebody attends it: at the turn that finds it unused, not before;
//! and while nobody does: at once.

use ace_alloc::ace::Mode;
use ace_alloc::geometry::Host;
use ace_alloc_tests::platforms::{Seat, TestHeap};
use std::ptr::NonNull;

const MIB: usize = 1 << 20;
/// What may stay in any heap, by the dials as they are at first.
const FLOOR: usize = 4 * MIB;
/// Milliseconds between turns.
const PACE: u64 = 16;

/// A heap, the one thread that uses it, and its clock.
struct Stage {
    heap: TestHeap<Host>,
    seat: Seat,
    now: u64,
}

impl Stage {
    fn new(attended: bool) -> Self {
        let mut stage = Self { heap: TestHeap::new(4 << 30), seat: Seat::new(), now: 1000 };
        stage.heap.set_attended(attended);
        // A heap that has not begun takes no turns.
        let block = stage.fill(1, 64);
        stage.free(block);
        stage.turn();
        stage
    }

    /// So many MiB in blocks of this size.
    fn fill(&mut self, mib: usize, bytes: usize) -> Vec<NonNull<u8>> {
        let heap = &self.heap;
        let block = |_| NonNull::new(heap.malloc(bytes)).expect("there is memory");
        self.seat.sit(|| (0..(mib * MIB).div_ceil(bytes)).map(block).collect())
    }

    fn free(&mut self, blocks: Vec<NonNull<u8>>) {
        for block in blocks {
            // SAFETY: a live block, freed once.
            self.seat.sit(|| unsafe { self.heap.free(block.as_ptr()) });
        }
    }

    /// Takes a turn. Returns the bytes that are free and resident afterwards.
    fn turn(&mut self) -> usize {
        self.now += PACE;
        // The thread itself does nothing: the turn is another's.
        Seat::new().sit(|| self.heap.turn(self.now));
        self.dirty()
    }

    fn dirty(&self) -> usize {
        self.heap.stats().dirty_bytes
    }

    fn cached(&self) -> u64 {
        self.heap.stats().classes.iter().map(|class| class.cached_blocks).sum()
    }
}

#[test]
fn what_is_freed_waits_for_the_turn_that_finds_it_unused() {
    for bytes in [256, 3 * MIB] {
        let mut stage = Stage::new(true);
        for _ in 0..4 {
            let blocks = stage.fill(96, bytes);
            stage.turn();
            stage.free(blocks);
            assert!(stage.dirty() > 80 * MIB, "{bytes}: it is not given back with the free");
        }
        assert!(stage.turn() > 80 * MIB, "{bytes}: it was in motion");
        assert!(stage.turn() <= FLOOR, "{bytes}: {} bytes stand still", stage.dirty());
    }
}

#[test]
fn nothing_waits_where_nobody_attends_or_carries_orders_out() {
    for (attended, mode) in [(false, Mode::Tune), (true, Mode::Observe), (true, Mode::Off)] {
        let mut stage = Stage::new(attended);
        stage.heap.set_mode(mode);
        let blocks = stage.fill(96, 256);
        stage.turn();
        stage.free(blocks);
        assert!(stage.dirty() <= FLOOR, "{attended}, {mode:?}: {} bytes", stage.dirty());
    }
}

#[test]
fn no_more_waits_than_was_there_at_the_last_turn() {
    let mut stage = Stage::new(true);
    let mut blocks = stage.fill(32, 3 * MIB);
    stage.turn();
    blocks.extend(stage.fill(64, 3 * MIB));
    stage.free(blocks);
    assert!((24 * MIB..=40 * MIB).contains(&stage.dirty()), "{} bytes", stage.dirty());
}

#[test]
fn who_no_longer_attends_leaves_nothing_behind() {
    let mut stage = Stage::new(true);
    let blocks = stage.fill(96, 256);
    stage.turn();
    stage.free(blocks);
    stage.heap.set_attended(false);
    assert!(stage.dirty() <= FLOOR, "{} bytes wait for nobody", stage.dirty());
}

#[test]
fn a_mode_that_carries_no_orders_out_leaves_nothing_behind() {
    for mode in [Mode::Observe, Mode::Off] {
        let mut stage = Stage::new(true);
        let blocks = stage.fill(96, 256);
        stage.turn();
        stage.free(blocks);
        assert!(stage.dirty() > 80 * MIB, "{mode:?}: it waits for a turn");
        stage.heap.set_mode(mode);
        assert!(stage.dirty() <= FLOOR, "{mode:?}: {} bytes wait for nobody", stage.dirty());
    }
}

#[test]
fn nobody_attends_the_heap_of_a_forked_child() {
    let mut stage = Stage::new(true);
    let blocks = stage.fill(96, 256);
    stage.turn();
    stage.heap.fork_prepare();
    // SAFETY: right after it, on the only thread that uses the heap.
    stage.seat.sit(|| unsafe { stage.heap.fork_child() });
    stage.free(blocks);
    assert!(stage.dirty() <= FLOOR, "{} bytes wait for nobody", stage.dirty());
}

#[test]
fn threads_let_go_of_what_they_cache_as_if_it_had_gone() {
    let left = [false, true].map(|attended| {
        let mut stage = Stage::new(attended);
        // The second time, the heap does not grow for what is cached.
        for _ in 0..2 {
            let blocks = (1..=16).flat_map(|step| stage.fill(6, 64 * step)).collect();
            stage.turn();
            stage.free(blocks);
        }
        stage.cached()
    });
    assert!(left[1] <= left[0], "{left:?} blocks stay in caches");
}
