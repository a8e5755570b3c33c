//! Real threads on one heap: producers and consumers, all to all, threads that come and go. Every
//! block is filled when it is handed out and intact when it is freed; in the end nothing is left.

use ace_alloc::geometry::{Geometry, Host, HostTail, Small};
use ace_alloc_tests::platforms::{Shape, TestHeap, take_misuses};
use ace_alloc_tests::random::{self, Random};
use ace_alloc_tests::shadow::{Block, Shadow};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
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

/// Ends a thread's life with the heap and checks that nothing was reported.
fn leave<G: Shape>(heap: &TestHeap<G>) {
    heap.thread_exit();
    assert_eq!(take_misuses(), [], "{}: falsely reported", G::NAME);
}

fn assert_empty<G: Shape>(heap: &TestHeap<G>) {
    // A thread of its own, so that the test's thread never holds a heap.
    thread::scope(|scope| {
        scope.spawn(|| {
            heap.trim(0);
            leave(heap);
        });
    });
    heap.audited_empty();
}

fn producers_and_consumers<G: Shape>(pairs: usize, parcels: usize) {
    let seed = random::seed();
    let heap = TestHeap::<G>::new(G::LIMIT);
    thread::scope(|scope| {
        for pair in 0..pairs as u64 {
            let (sender, receiver): (SyncSender<Parcel>, Receiver<Parcel>) = sync_channel(200);
            let heap = &heap;
            scope.spawn(move || {
                let mut random = Random::new(seed ^ pair);
                for _ in 0..parcels {
                    let bytes = random.size(16 << 10);
                    let sent = parcel(heap, bytes).expect("memory is plenty");
                    sender.send(sent).expect("the consumer takes all");
                }
                leave(heap);
            });
            scope.spawn(move || {
                for received in receiver {
                    unwrap(heap, received);
                }
                leave(heap);
            });
        }
    });
    assert_empty(&heap);
}

#[test]
fn blocks_freed_by_consumers_come_home_to_their_producers() {
    producers_and_consumers::<Host>(1, 200_000);
    producers_and_consumers::<Host>(4, 40_000);
    producers_and_consumers::<HostTail>(2, 40_000);
    producers_and_consumers::<Small>(2, 40_000);
}

/// Every thread keeps blocks of its own and swaps others through a shared shelf.
fn all_to_all<G: Shape>(threads: usize, steps: usize) {
    let seed = random::seed();
    let heap = TestHeap::<G>::new(G::LIMIT);
    let shelf: Vec<Mutex<Option<Parcel>>> = (0..256).map(|_| Mutex::new(None)).collect();
    thread::scope(|scope| {
        for number in 0..threads as u64 {
            let (heap, shelf) = (&heap, &shelf);
            scope.spawn(move || {
                let mut random = Random::new(seed.wrapping_add(number));
                for _ in 0..steps {
                    let fresh = parcel(heap, random.size(8 << 10)).expect("memory is plenty");
                    let slot = &shelf[random.below(shelf.len())];
                    let old = slot.lock().expect("no thread panicked").replace(fresh);
                    if let Some(old) = old {
                        unwrap(heap, old);
                    }
                }
                leave(heap);
            });
        }
    });
    thread::scope(|scope| {
        scope.spawn(|| {
            for slot in shelf {
                if let Some(last) = slot.into_inner().expect("no thread panicked") {
                    unwrap(&heap, last);
                }
            }
            leave(&heap);
        });
    });
    assert_empty(&heap);
}

#[test]
fn blocks_swapped_between_all_threads_stay_intact() {
    all_to_all::<Host>(8, 30_000);
    all_to_all::<Host>(3, 60_000);
    all_to_all::<HostTail>(4, 20_000);
    all_to_all::<Small>(4, 20_000);
}

/// Short-lived threads leave blocks behind for others, while two long-lived ones go on; with more
/// threads in a small heap than it has heaps for.
fn churn<G: Shape>(generations: usize, at_a_time: usize) {
    let seed = random::seed();
    let heap = Arc::new(TestHeap::<G>::new(G::LIMIT));
    let left: Arc<Mutex<Vec<Parcel>>> = Arc::default();
    let done = Arc::new(AtomicBool::new(false));
    let elders: Vec<_> = (0..2)
        .map(|number| {
            let (heap, left, done) = (heap.clone(), left.clone(), done.clone());
            thread::spawn(move || {
                let mut random = Random::new(seed + 1000 + number);
                while !done.load(Ordering::Relaxed) {
                    let found = left.lock().expect("no thread panicked").pop();
                    if let Some(found) = found {
                        unwrap(&heap, found);
                    }
                    let own = parcel(&heap, random.size(4 << 10)).expect("memory is plenty");
                    unwrap(&heap, own);
                }
                leave(&heap);
            })
        })
        .collect();
    for generation in 0..generations {
        let young: Vec<_> = (0..at_a_time)
            .map(|number| {
                let (heap, left) = (heap.clone(), left.clone());
                thread::spawn(move || {
                    let mut random = Random::new(seed + (generation * 64 + number) as u64);
                    let mut mine: Vec<_> =
                        (0..100).filter_map(|_| parcel(&heap, random.size(4 << 10))).collect();
                    assert_eq!(mine.len(), 100, "memory is plenty");
                    left.lock().expect("no thread panicked").extend(mine.drain(..50));
                    mine.into_iter().for_each(|parcel| unwrap(&heap, parcel));
                    leave(&heap);
                })
            })
            .collect();
        young.into_iter().for_each(|thread| thread.join().expect("the thread's checks hold"));
    }
    done.store(true, Ordering::Relaxed);
    elders.into_iter().for_each(|thread| thread.join().expect("the thread's checks hold"));
    let last = std::mem::take(&mut *left.lock().expect("no thread panicked"));
    thread::scope(|scope| {
        scope.spawn(|| {
            last.into_iter().for_each(|parcel| unwrap(&heap, parcel));
            leave(&heap);
        });
    });
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
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut random = Random::new(5);
                let mine: Vec<_> =
                    (0..500).filter_map(|_| parcel(&heap, random.size(8 << 10))).collect();
                mine.into_iter().for_each(|parcel| unwrap(&heap, parcel));
                leave(&heap);
            });
        });
        held.push(heap.pages.ledger().committed);
    }
    assert_eq!(held[20], held[399], "bytes committed after 21 and after 400 threads");
    assert_empty(&heap);
}
