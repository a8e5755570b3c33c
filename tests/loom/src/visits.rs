//! M12: a visitor works in the stead of a heap's thread.

use crate::explore::{Steps, deep, holds};
use crate::house::{Chunks, Gate, Plain};
use crate::kernels::{FIRST_ITEM, Inbox, Kernels, Live, Production, Turnstile};
use ace_alloc::sync::RelaxedU32;
use loom::sync::Mutex;
use loom::thread;
use std::sync::Arc;

/// M12. The owner of a heap works in and out of it, and between that HOT writes live bits, while a visitor
/// brings mail home: never are both inside, each sees what the other wrote, the block that came by mail
/// comes home once, and no live bit is lost.
#[test]
fn an_owner_and_a_visitor_are_never_inside_at_once_and_lose_nothing() {
    holds("M12", [5, 6], visit::<Production>);
}

/// The block that another thread freed, and the one that HOT has; their live bits share a word.
const MAILED: u32 = 1;
const OWN: u32 = 2;

/// What the turnstile guards.
#[derive(Clone, Copy, Default)]
struct Inside {
    /// Frees of `MAILED` that reached the slab's bitmap.
    home: u32,
    /// Of those, the ones that the owner has not taken note of.
    delivered: u32,
    /// Stays of both parties.
    stays: u32,
}

struct Heap<K: Kernels> {
    turnstile: K::Turnstile,
    lock: Mutex<()>,
    inbox: K::Inbox,
    chunks: Chunks,
    live: RelaxedU32,
    inside: Plain<Inside>,
    steps: Steps,
}

impl<K: Kernels> Heap<K> {
    /// `Local::enter` until the end of the stay.
    fn stay(&self) {
        self.steps.step();
        if !self.turnstile.try_enter() {
            self.lock.through(|| {
                assert!(self.turnstile.try_enter(), "a visitor holds the lock while it is inside");
            });
        }
        self.inside.write(|inside| {
            // `Slab::settle`.
            for _ in 0..inside.delivered {
                assert!(K::Live::retire(&self.live, MAILED), "delivered with its live bit set");
            }
            inside.delivered = 0;
            inside.stays += 1;
        });
        self.turnstile.leave();
    }

    /// HOT: the owner frees a block and gets it again, at any time.
    fn hot(&self) {
        assert!(K::Live::retire(&self.live, OWN), "the block was live");
        K::Live::grant(&self.live, OWN);
    }

    /// `visit::visit_locked`. Returns whether it got in.
    fn visit(&self) -> bool {
        self.lock.through(|| {
            self.steps.step();
            if !self.turnstile.try_enter() {
                return false;
            }
            self.inside.write(|inside| {
                self.chunks.each(self.inbox.drain(), |_, _| {
                    assert!(self.live.get() & MAILED != 0, "`Slab::deliver` finds it live");
                    inside.home += 1;
                    inside.delivered += 1;
                });
                inside.stays += 1;
            });
            self.turnstile.leave();
            true
        })
    }
}

pub fn visit<K: Kernels>() {
    let turns = if deep() { 3 } else { 2 };
    let heap = Arc::new(Heap::<K> {
        turnstile: K::Turnstile::free(),
        lock: Gate::new(),
        inbox: K::Inbox::closed(),
        chunks: Chunks::new(1),
        live: RelaxedU32::new(0),
        inside: Plain::new(Inside::default()),
        steps: Steps::new(),
    });
    heap.inbox.open();
    K::Live::grant(&heap.live, MAILED);
    K::Live::grant(&heap.live, OWN);
    heap.chunks.fill(FIRST_ITEM, 0);
    assert!(heap.inbox.send(FIRST_ITEM, &heap.chunks), "the inbox is open");
    let visitor = {
        let heap = Arc::clone(&heap);
        thread::spawn(move || (0..turns).filter(|_| heap.visit()).count() as u32)
    };
    for _ in 0..turns {
        heap.hot();
        heap.stay();
    }
    heap.hot();
    let visits = visitor.join().expect("no assertion failed");
    // Who was kept out comes again.
    assert!(heap.visit(), "nobody is inside");
    heap.stay();
    let inside = heap.inside.read(|inside| *inside);
    assert_eq!(inside.stays, turns + visits + 2, "each stay counts");
    assert_eq!((inside.home, inside.delivered), (1, 0), "home once, and noted");
    assert_eq!(heap.live.get(), OWN, "the live bits are what the program has");
}
