//! M7, M8: what threads tell ACE, and what it turns.

use crate::explore::{Steps, deep, holds};
use crate::house::Plain;
use crate::kernels::{Hatch, Kernels, Pair, Production};
use loom::thread;
use std::sync::Arc;

/// Events that the model's ring holds.
const ROOM: usize = 1;

/// M7. Threads tell ACE while it listens: no event is torn, each arrives once or is counted as dropped, and
/// nobody waits for anybody.
#[test]
fn each_event_arrives_once_or_is_counted() {
    holds("M7", [4, 5], event_ring::<Production>);
}

/// An event that is written in two steps.
type Event = [usize; 2];

struct Ring<K: Kernels> {
    hatch: K::Hatch,
    events: Plain<Vec<Event>>,
    steps: Steps,
}

impl<K: Kernels> Ring<K> {
    fn push(&self, event: usize) {
        self.steps.step();
        self.hatch.offer(|| {
            self.events.write(|events| {
                let room = events.len() < ROOM;
                if room {
                    events.push([event; 2]);
                }
                room
            })
        });
    }

    fn pop(&self) -> Option<Event> {
        self.steps.step();
        self.hatch.poll(|| self.events.write(Vec::pop))
    }
}

pub fn event_ring<K: Kernels>() {
    let each = if deep() { 2 } else { 1 };
    let events = Plain::new(Vec::new());
    let ring = Arc::new(Ring::<K> { hatch: K::Hatch::new(), events, steps: Steps::new() });
    let threads = [0, 1].map(|thread| {
        let ring = Arc::clone(&ring);
        thread::spawn(move || {
            (thread * each..(thread + 1) * each).for_each(|event| ring.push(event))
        })
    });
    let mut seen = vec![0; 2 * each];
    let mut note = |[event, copy]: Event| {
        assert_eq!(event, copy, "a torn event");
        seen[event] += 1;
    };
    ring.pop().into_iter().for_each(&mut note);
    let mut dropped = ring.hatch.take_dropped() as usize;
    for thread in threads {
        thread.join().expect("no assertion failed");
    }
    while let Some(event) = ring.pop() {
        note(event);
    }
    dropped += ring.hatch.take_dropped() as usize;
    assert!(seen.iter().all(|&times| times <= 1), "an event arrived twice: {seen:?}");
    assert_eq!(seen.iter().sum::<usize>() + dropped, 2 * each, "arrived or counted");
}

/// M8. ACE turns dials that belong together while threads read them: whoever reads sees the whole old or the
/// whole new setting, in bounds.
#[test]
fn dials_that_belong_together_are_read_together() {
    holds("M8", [4, 6], dials::<Production>);
}

pub fn dials<K: Kernels>() {
    const SETTINGS: [(u32, u32); 3] = [(1, 4), (64, 256), (0, 0)];
    let [first, rest @ ..] = SETTINGS;
    let pair = Arc::new(K::Pair::new(first.0, first.1));
    let readers = [(); 2].map(|()| {
        let pair = Arc::clone(&pair);
        thread::spawn(move || {
            for _ in 0..2 {
                let seen = pair.get();
                assert!(SETTINGS.contains(&seen), "half of a setting: {seen:?}");
            }
        })
    });
    for (class, thread) in rest {
        pair.set(class, thread);
    }
    for reader in readers {
        reader.join().expect("no assertion failed");
    }
}
