//! Real threads on one heap: producers and consumers, all to all, threads that come and go. Every
//! block is filled when it is handed out and intact when it is freed; in the end nothing is left.

use ace_alloc::geometry::{Geometry, Host, HostTail, Small};
use ace_alloc_tests::platforms::{Shape, TestHeap, take_misuses};
use ace_alloc_tests::random::{self, Random};
use ace_alloc_tests::shadow::{Block, Shadow};
use crossbeam_channel::bounded;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// A block with its shadow, on the way from one thread to another.
struct Parcel {
    shadow: Shadow,
}

/// Allocates one block, fills it and wraps it up.
fn parcel<G: Shape>(heap: &TestHeap<G>, bytes: usize) -> Option<Parcel> {
    let ptr = heap.malloc(bytes);
    if ptr.is_null() {
        return None;
    }
    let mut shadow = Shadow::default();
    // SAFETY: a fresh block of at least this many bytes.
    unsafe { shadow.adopt(ptr, bytes, 16, None) };
    Some(Parcel { shadow })
}

/// Checks the block and frees it.
fn unwrap<G: Shape>(heap: &TestHeap<G>, mut parcel: Parcel) {
    let Block { ptr, .. } = parcel.shadow.surrender(0);
    // SAFETY: a live block, freed once.
    unsafe { heap.free(ptr) };
}

type Work<'a> = Box<dyn FnOnce() + Send + 'a>;

/// Runs each in a thread of its own and waits until all are gone. Joined one by one: how the end of a
/// scope waits is std's affair, and ThreadSanitizer does not see it.
fn together(works: Vec<Work<'_>>) {
    thread::scope(|scope| {
        let threads: Vec<_> = works.into_iter().map(|work| scope.spawn(work)).collect();
        threads.into_iter().for_each(|thread| thread.join().expect("the thread's checks hold"));
    });
}

/// Ends a thread's life with the heap and checks that nothing was reported.
fn leave<G: Shape>(heap: &TestHeap<G>) {
    heap.thread_exit();
    assert_eq!(take_misuses(), [], "{}: falsely reported", G::NAME);
}

fn assert_empty<G: Shape>(heap: &TestHeap<G>) {
    // A thread of its own, so that the test's thread never holds a heap.
    together(vec![Box::new(|| {
        heap.trim(0);
        leave(heap);
    })]);
    heap.audited_empty();
}

fn producers_and_consumers<G: Shape>(pairs: usize, parcels: usize) {
    let seed = random::seed();
    let heap = TestHeap::<G>::new(G::LIMIT);
    let mut works: Vec<Work> = Vec::new();
    for pair in 0..pairs as u64 {
        let (sender, receiver) = bounded::<Parcel>(200);
        let heap = &heap;
        works.push(Box::new(move || {
            let mut random = Random::new(seed ^ pair);
            for _ in 0..parcels {
                let bytes = random.size(16 << 10);
                let sent = parcel(heap, bytes).expect("memory is plenty");
                sender.send(sent).expect("the consumer takes all");
            }
            leave(heap);
        }));
        works.push(Box::new(move || {
            for received in receiver {
                unwrap(heap, received);
            }
            leave(heap);
        }));
    }
    together(works);
    assert_empty(&heap);
}

#[test]
fn blocks_freed_by_consumers_come_home_to_their_producers() {
    producers_and_consumers::<Host>(1, 200_000);
    producers_and_consumers::<Host>(4, 40_000);
    producers_and_consumers::<HostTail>(2, 40_000);
    producers_and_consumers::<Small>(2, 40_000);
}

/// What is left in the end is freed by a thread that comes last.
fn free_last<G: Shape>(heap: &TestHeap<G>, last: Vec<Parcel>) {
    together(vec![Box::new(|| {
        last.into_iter().for_each(|parcel| unwrap(heap, parcel));
        leave(heap);
    })]);
}

/// Every thread keeps blocks of its own and swaps others through a shared shelf.
fn all_to_all<G: Shape>(threads: usize, steps: usize) {
    let seed = random::seed();
    let heap = TestHeap::<G>::new(G::LIMIT);
    let shelf: Vec<Mutex<Option<Parcel>>> = (0..256).map(|_| Mutex::new(None)).collect();
    let swapper = |number: u64| {
        let (heap, shelf) = (&heap, &shelf);
        move || {
            let mut random = Random::new(seed.wrapping_add(number));
            for _ in 0..steps {
                let fresh = parcel(heap, random.size(8 << 10)).expect("memory is plenty");
                let slot = &shelf[random.below(shelf.len())];
                let old = slot.lock().replace(fresh);
                if let Some(old) = old {
                    unwrap(heap, old);
                }
            }
            leave(heap);
        }
    };
    together((0..threads as u64).map(|number| Box::new(swapper(number)) as Work).collect());
    let last = shelf.into_iter().filter_map(Mutex::into_inner);
    free_last(&heap, last.collect());
    assert_empty(&heap);
}

#[test]
fn blocks_swapped_between_all_threads_stay_intact() {
    all_to_all::<Host>(8, 30_000);
    all_to_all::<Host>(3, 60_000);
    all_to_all::<HostTail>(4, 20_000);
    all_to_all::<Small>(4, 20_000);
}

/// Sets a flag however the scope ends: a check that fails must not leave others waiting.
struct SetAtEnd<'a>(&'a AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Short-lived threads leave blocks behind for others, while two long-lived ones go on; with more
/// threads in a small heap than it has heaps for.
fn churn<G: Shape>(generations: usize, at_a_time: usize) {
    let seed = random::seed();
    let heap = TestHeap::<G>::new(G::LIMIT);
    let left: Mutex<Vec<Parcel>> = Mutex::default();
    let done = AtomicBool::new(false);
    let elder = |number: u64| {
        let mut random = Random::new(seed + 1000 + number);
        while !done.load(Ordering::Relaxed) {
            let found = left.lock().pop();
            if let Some(found) = found {
                unwrap(&heap, found);
            }
            let own = parcel(&heap, random.size(4 << 10)).expect("memory is plenty");
            unwrap(&heap, own);
        }
        leave(&heap);
    };
    let young = |number: usize| {
        let mut random = Random::new(seed + number as u64);
        let mut mine: Vec<_> =
            (0..100).filter_map(|_| parcel(&heap, random.size(4 << 10))).collect();
        assert_eq!(mine.len(), 100, "memory is plenty");
        left.lock().extend(mine.drain(..50));
        mine.into_iter().for_each(|parcel| unwrap(&heap, parcel));
        leave(&heap);
    };
    let young = &young;
    let generations = || {
        let _end = SetAtEnd(&done);
        for generation in 0..generations {
            let number = |one| generation * 64 + one;
            let works = (0..at_a_time).map(|one| Box::new(move || young(number(one))) as Work);
            together(works.collect());
        }
    };
    together(vec![Box::new(|| elder(0)), Box::new(|| elder(1)), Box::new(generations)]);
    free_last(&heap, left.into_inner());
    assert_empty(&heap);
}

#[test]
fn blocks_of_threads_that_are_gone_can_be_freed_and_their_memory_is_adopted() {
    churn::<Host>(150, 6);
    churn::<HostTail>(60, 6);
    const { assert!(Small::MAX_HEAPS < 12, "the next line has more threads than heaps") };
    churn::<Small>(40, 10);
}

/// The pages that a heap holds do not grow with the number of threads that have lived.
#[test]
fn dead_threads_leave_no_memory_behind() {
    let heap = TestHeap::<Host>::new(Host::LIMIT);
    let mut held = Vec::new();
    for _ in 0..400 {
        together(vec![Box::new(|| {
            let mut random = Random::new(5);
            let mine: Vec<_> =
                (0..500).filter_map(|_| parcel(&heap, random.size(8 << 10))).collect();
            mine.into_iter().for_each(|parcel| unwrap(&heap, parcel));
            leave(&heap);
        })]);
        held.push(heap.pages.ledger().committed);
    }
    assert_eq!(held[20], held[399], "bytes committed after 21 and after 400 threads");
    assert_empty(&heap);
}
