//! A controller that stalls or dies in the middle of a turn: it holds nobody up, and nothing is lost.

use ace_alloc::Dials;
use ace_alloc::ace::{Orders, Policy, Seen};
use ace_alloc::geometry::Host;
use ace_alloc_tests::platforms::{Seat, TestHeap, take_misuses};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::{ptr, thread};

/// A heap that somebody has used: one that has not begun takes no turns.
fn begun() -> TestHeap<Host> {
    let heap = TestHeap::<Host>::new(4 << 30);
    // SAFETY: a live block, freed once.
    Seat::new().sit(|| unsafe { (heap.free(heap.malloc(64)), heap.thread_exit()) });
    heap
}

/// Tells that it is inside a turn, and stays there until it is let go, or for ever.
struct Stalled {
    inside: Sender<()>,
    go: Receiver<()>,
}

impl Policy for Stalled {
    fn decide(&mut self, _: &Seen, _: &Dials, _: &mut Orders) {
        self.inside.send(()).expect("the test waits for it");
        if self.go.recv().is_err() {
            // Killed: nobody ever lets it go.
            panic!("a policy that panics");
        }
    }
}

/// What a turn saw of threads that came and went, and of events that found no place.
#[derive(Default)]
struct Told {
    threads: u32,
    dropped: u32,
    refills: u64,
}

impl Policy for Told {
    fn decide(&mut self, seen: &Seen, _: &Dials, _: &mut Orders) {
        self.threads += seen.began + seen.ended;
        self.dropped += seen.dropped;
        self.refills += seen.events.refills;
    }
}

const THREADS: usize = 60;
const BLOCKS: usize = 2000;

/// Threads that allocate, free what others allocated, and end.
fn busy(heap: &TestHeap<Host>) {
    let mut inherited: Vec<usize> = Vec::new();
    for _ in 0..THREADS {
        inherited = thread::scope(|scope| {
            let work = scope.spawn(|| {
                let fresh: Vec<_> =
                    (0..BLOCKS).map(|_| heap.malloc(64).expose_provenance()).collect();
                for block in inherited {
                    // SAFETY: a live block, freed once.
                    unsafe { heap.free(ptr::with_exposed_provenance_mut(block)) };
                }
                assert_eq!(heap.turn(1 << 40), 0, "somebody else is at it");
                heap.thread_exit();
                assert_eq!(take_misuses(), []);
                fresh
            });
            work.join().expect("the thread ended well")
        });
        assert!(heap.audited().live_blocks() >= BLOCKS as u64);
    }
    Seat::new().sit(|| {
        for block in inherited {
            // SAFETY: a live block, freed once.
            unsafe { heap.free(ptr::with_exposed_provenance_mut(block)) };
        }
        heap.thread_exit();
    });
}

#[test]
fn a_controller_that_stalls_holds_nobody_up_and_loses_no_count() {
    let heap = begun();
    let seen_before = heap.stats().events.refills;
    let (entered, inside) = bounded(1);
    let (let_go, go) = bounded(1);
    let mut stalled = Stalled { inside: entered, go };
    thread::scope(|scope| {
        let turn = scope.spawn(|| heap.turn_with(1, &mut stalled));
        inside.recv().expect("the controller is inside");
        busy(&heap);
        let_go.send(()).expect("it waits");
        turn.join().expect("it ends well");
    });
    heap.audited_empty();
    let (mut told, counted) = (Told::default(), heap.stats().events.refills - seen_before);
    heap.turn_with(2, &mut told);
    // Those of `busy`, and the seat at its end. The first seat's events were seen before.
    assert_eq!((told.threads + told.dropped) as usize, 2 * (THREADS + 1));
    assert!(told.dropped > 0, "the ring is bounded: what finds it full is dropped and counted");
    assert_eq!(told.refills, counted, "counts are not lost");
}

#[test]
fn a_controller_that_never_comes_back_takes_nothing_with_it() {
    let heap = begun();
    let (entered, inside) = bounded(1);
    let (let_go, go) = bounded(1);
    drop(let_go);
    let mut killed = Stalled { inside: entered, go };
    let turn = catch_unwind(AssertUnwindSafe(|| heap.turn_with(1, &mut killed)));
    assert!(turn.is_err() && inside.recv().is_ok(), "it died inside its turn");
    busy(&heap);
    heap.audited_empty();
    assert_eq!(heap.turn(2), 0, "its turn goes on for ever");
}
