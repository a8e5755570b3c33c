//! `AceAlloc` as the global allocator of a program that passes boxes between threads: made in one,
//! changed in a second, dropped in a third, and every one is dropped once with what was put in.

use ace_alloc_linux::AceAlloc;
use ace_alloc_tests::random;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

#[global_allocator]
static ALLOCATOR: AceAlloc = AceAlloc::new();

static MADE: AtomicU64 = AtomicU64::new(0);
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// A box's content that knows what it must hold when it is dropped.
struct Parcel {
    number: u64,
    text: String,
    #[expect(clippy::vec_box, reason = "the boxes are what is tested")]
    rest: Vec<Box<u64>>,
}

impl Parcel {
    fn new(number: u64) -> Box<Self> {
        MADE.fetch_add(1, Ordering::Relaxed);
        let rest = (0..number % 7).map(|part| Box::new(number + part)).collect();
        Box::new(Self { number, text: format!("parcel {number}"), rest })
    }
}

impl Drop for Parcel {
    fn drop(&mut self) {
        DROPPED.fetch_add(1, Ordering::Relaxed);
        assert_eq!(self.text, format!("parcel {} stamped", self.number));
        assert_eq!(self.rest.len() as u64, self.number % 7);
        assert!(self.rest.iter().enumerate().all(|(part, own)| **own == self.number + part as u64));
    }
}

fn stamp(parcels: Receiver<Box<Parcel>>, onward: impl Fn(Box<Parcel>)) {
    for mut parcel in parcels {
        parcel.text.push_str(" stamped");
        onward(parcel);
    }
}

#[test]
fn boxes_made_in_one_thread_are_dropped_in_another_with_their_content() {
    const EACH: u64 = 60_000;
    let seed = random::seed() % 1000;
    thread::scope(|scope| {
        for line in 0..3 {
            let (to_stamper, at_stamper) = sync_channel(64);
            let (to_dropper, at_dropper) = sync_channel::<Box<Parcel>>(64);
            scope.spawn(move || {
                for number in 0..EACH {
                    to_stamper.send(Parcel::new(seed + line * EACH + number)).expect("taken");
                }
            });
            scope.spawn(move || {
                stamp(at_stamper, |parcel| to_dropper.send(parcel).expect("taken"));
            });
            scope.spawn(move || at_dropper.into_iter().for_each(drop));
        }
    });
    let counts = (MADE.load(Ordering::Relaxed), DROPPED.load(Ordering::Relaxed));
    assert_eq!(counts, (3 * EACH, 3 * EACH), "parcels made and dropped");
}
