//! M9 and the lock itself.

use crate::explore::{deep, holds};
use crate::house::Plain;
use crate::kernels::{Kernels, Lock, Production};
use loom::thread;
use std::sync::Arc;

/// What a lock protects: two halves that its holders keep equal.
struct Guarded<L> {
    lock: L,
    halves: Plain<(u32, u32)>,
}

impl<L: Lock> Guarded<L> {
    fn new() -> Self {
        Self { lock: L::with_word(0), halves: Plain::new((0, 0)) }
    }

    fn add_one(&self) {
        self.lock.lock();
        self.halves.write(|halves| {
            halves.0 += 1;
            halves.1 += 1;
        });
        self.lock.unlock();
    }
}

/// The lock. Three threads take it: there is one holder at a time, each sees what the last one wrote, and
/// nobody sleeps for ever (loom reports a model in which every thread waits).
#[test]
fn a_lock_has_one_holder_and_no_lost_wake_up() {
    holds("lock", [4, 6], one_holder::<Production>);
}

pub fn one_holder<K: Kernels>() {
    let turns = if deep() { 2 } else { 1 };
    let guarded = Arc::new(Guarded::<K::Lock>::new());
    let others = [(); 2].map(|()| {
        let guarded = Arc::clone(&guarded);
        thread::spawn(move || guarded.add_one())
    });
    (0..turns).for_each(|_| guarded.add_one());
    for other in others {
        other.join().expect("no assertion failed");
    }
    assert_eq!(guarded.halves.read(|halves| *halves), (turns + 2, turns + 2));
    assert_eq!(guarded.lock.word(), 0, "unlocked in the end");
}

/// M9. A thread forks while others hold and want the lock. Prepare takes the lock, so the data that the
/// child gets is whole; the child's copy of the word can be unlocked and locked by its only thread; and in
/// the parent all waiters wake.
#[test]
fn a_fork_copies_a_lock_that_both_processes_can_use() {
    holds("M9", [3, 6], fork::<Production>);
}

pub fn fork<K: Kernels>() {
    let guarded = Arc::new(Guarded::<K::Lock>::new());
    let others = [(); 2].map(|()| {
        let guarded = Arc::clone(&guarded);
        thread::spawn(move || guarded.add_one())
    });
    // `Heap::fork_prepare`.
    guarded.lock.lock();
    // The fork: memory is copied as it stands, whoever waits in the parent.
    let child = Guarded {
        lock: K::Lock::with_word(guarded.lock.word()),
        halves: Plain::new(guarded.halves.read(|halves| *halves)),
    };
    // `Heap::fork_child`, and then life goes on.
    child.lock.unlock();
    child.add_one();
    let (one, other) = child.halves.read(|halves| *halves);
    assert!(one == other && (1..=3).contains(&one), "the child's data is whole");
    assert_eq!(child.lock.word(), 0, "the child's lock is free");
    // `Heap::fork_parent`.
    guarded.lock.unlock();
    for other in others {
        other.join().expect("no assertion failed");
    }
    assert_eq!(guarded.halves.read(|halves| *halves), (2, 2));
}
