//! M4, M5, M6: tiers, pins and release of a superslab.

use crate::explore::{Steps, deep, holds};
use crate::house::{Gate, Plain};
use crate::kernels::{Kernels, Production, Tier};
use ace_alloc::sync::RelaxedU32;
use loom::sync::Mutex;
use loom::thread;
use std::mem::ManuallyDrop;
use std::sync::Arc;

/// What the pages of a superslab hold.
const GONE: u32 = 0;

/// A superslab, its pages and what is written about its only slab.
struct Ground<K: Kernels> {
    tier: K::Tier,
    lock: Mutex<()>,
    /// Written when the pages are given back or used otherwise.
    pages: Plain<u32>,
    /// `Arena::route` of the slab: 0 is nobody's.
    route: RelaxedU32,
    /// The seal of the slab's prefix in its tail.
    seal: RelaxedU32,
    steps: Steps,
}

impl<K: Kernels> Ground<K> {
    /// A Live superslab with a slab of owner 1.
    fn new() -> Arc<Self> {
        let tier = K::Tier::free();
        tier.serve();
        Arc::new(Self {
            tier,
            lock: Gate::new(),
            pages: Plain::new(1),
            route: RelaxedU32::new(1),
            seal: RelaxedU32::new(1),
            steps: Steps::new(),
        })
    }

    fn locked<R>(&self, body: impl FnOnce() -> R) -> R {
        self.lock.through(body)
    }

    /// A reader without the lock: looks at the pages while it holds a pin.
    fn pinned<R>(&self, body: impl FnOnce(u32) -> R) -> Option<R> {
        // Not dropped when an assertion fails: a step of loom's in the midst of a panic would abort.
        self.steps.step();
        let guard = ManuallyDrop::new(self.tier.pin()?);
        let seen = self.pages.read(|pages| *pages);
        assert_ne!(seen, GONE, "pinned pages went away");
        let done = body(seen);
        drop(ManuallyDrop::into_inner(guard));
        Some(done)
    }

    /// `Supers::give` of the last slab: the pages go if nobody has the superslab pinned.
    fn give(&self) -> bool {
        self.steps.step();
        let released = self.tier.try_release();
        if released {
            self.pages.write(|pages| *pages = GONE);
        }
        released
    }
}

/// M4. A superslab becomes Draining and then empty while others free blocks in it, that is, look into it
/// pinned, and while a third wants it to serve again. It is released once, never under a pin, and pins
/// survive the moves of its tier.
#[test]
fn a_superslab_is_released_once_and_never_under_a_pin() {
    holds("M4", [4, 7], drain_and_free::<Production>);
}

pub fn drain_and_free<K: Kernels>() {
    let ground = Ground::<K>::new();
    let reader = {
        let ground = Arc::clone(&ground);
        thread::spawn(move || ground.pinned(|_| ()))
    };
    let reviver = {
        let ground = Arc::clone(&ground);
        // `Supers::revive`: only Draining ones are in its list.
        thread::spawn(move || {
            ground.locked(|| {
                let revived = !ground.tier.is_free();
                if revived {
                    ground.tier.serve();
                }
                revived
            })
        })
    };
    ground.locked(|| ground.tier.drain());
    let mut releases = usize::from(ground.locked(|| ground.give()));
    let read = reader.join().expect("no assertion failed").is_some();
    let revived = reviver.join().expect("no assertion failed");
    assert!(read || releases == 1, "a pin was refused on a superslab that lives");
    if releases == 0 {
        releases += usize::from(ground.locked(|| ground.give()));
    } else {
        // Revived before it was emptied, or not at all.
        assert!(ground.tier.is_free(), "revived: {revived}");
    }
    assert_eq!(releases, 1, "a pin was left behind, or counted twice");
    assert!(ground.tier.pin().is_none(), "a free superslab can't be pinned");
}

/// M5. A reader of the registry, with an address whose slab goes away and comes back under it: while it
/// holds a pin the pages stay; and the check of the prefix in the slab's tail raises no false alarm.
#[test]
fn a_reader_of_the_registry_sees_one_life_of_an_address() {
    holds("M5", [5, 4], reuse::<Production>);
}

pub fn reuse<K: Kernels>() {
    let ground = Ground::<K>::new();
    let readers: Vec<_> = (0..if deep() { 2 } else { 1 })
        .map(|_| {
            let ground = Arc::clone(&ground);
            thread::spawn(move || assert!(tail_is_sound(&ground), "a false alarm"))
        })
        .collect();
    // The slab becomes empty and its superslab with it.
    let released = ground.locked(|| {
        ground.seal.set(0);
        ground.route.set(0);
        ground.give()
    });
    // Its units become a superslab again, with a slab of the same owner and class.
    ground.locked(|| {
        if released {
            ground.pages.write(|pages| *pages = 2);
            ground.tier.serve();
        }
        ground.seal.set(1);
        ground.route.set(1);
    });
    for reader in readers {
        reader.join().expect("no assertion failed");
    }
    assert!(!ground.tier.is_free());
}

/// `gate::tail_is_sound`.
fn tail_is_sound<K: Kernels>(ground: &Ground<K>) -> bool {
    let sound = ground.pinned(|_| {
        let entry = ground.route.get();
        if entry == 0 || ground.seal.get() == 1 {
            return true;
        }
        ground.locked(|| ground.route.get() != entry || ground.seal.get() == 1)
    });
    sound.unwrap_or(true)
}

/// M6. The reads of the last one to unpin come before the pages are used otherwise.
#[test]
fn reads_under_a_pin_come_before_the_reuse() {
    holds("M6", [4, 6], retire::<Production>);
}

pub fn retire<K: Kernels>() {
    let ground = Ground::<K>::new();
    let readers = [(); 2].map(|()| {
        let ground = Arc::clone(&ground);
        thread::spawn(move || ground.pinned(|pages| assert_eq!(pages, 1)))
    });
    // As often as slabs of it are given back.
    let tries = if deep() { 3 } else { 2 };
    let released = (0..tries).any(|_| ground.give());
    for reader in readers {
        let read = reader.join().expect("no assertion failed").is_some();
        assert!(read || released, "a pin was refused on a superslab that lives");
    }
    assert!(released || ground.give(), "nobody has it pinned any more");
}
