//! Threads that live and hand blocks to each other.

use ace_alloc::{Dial, Geometry, Route, SizeClass};
use ace_alloc_shuttle::house::{House, Parcel, below, one_of};
use ace_alloc_shuttle::platform::Bug;
use shuttle::sync::Mutex;
use shuttle::sync::mpsc::channel;
use shuttle::thread::scope;

/// Sizes of which slabs hold 64, 16, 8 and 4 blocks.
const SIZES: [usize; 4] = [64, 1000, 2000, 4000];

fn producers_and_consumers<G: Geometry>() {
    let house = House::<G>::new();
    let (sender, receiver) = channel::<Parcel>();
    let receiver = Mutex::new(receiver);
    scope(|scope| {
        for _ in 0..2 {
            let (house, sender) = (&house, sender.clone());
            house.thread(scope, move || {
                let bytes = one_of(&SIZES);
                for _ in 0..10 {
                    let parcel = house.must_take(bytes);
                    sender.send(parcel).expect("a consumer waits");
                    house.touch(parcel);
                }
            });
        }
        for _ in 0..2 {
            let (house, receiver) = (&house, &receiver);
            house.thread(scope, move || {
                // With a heap of its own, so that it sends home by its own outbox.
                let own = house.must_take(64);
                for _ in 0..10 {
                    let parcel = receiver.lock().expect("no poison").recv();
                    house.give(parcel.expect("a producer sends"));
                }
                house.give(own);
            });
        }
        drop(sender);
    });
    house.close();
}

promise!(blocks_that_consumers_free_come_home_to_their_producers, producers_and_consumers);

/// Places where threads leave blocks for each other.
struct Slots {
    places: Vec<Mutex<Option<Parcel>>>,
}

impl Slots {
    fn new(count: usize) -> Self {
        Self { places: (0..count).map(|_| Mutex::new(None)).collect() }
    }

    /// Puts a block into some place and takes what was there.
    fn swap(&self, parcel: Option<Parcel>) -> Option<Parcel> {
        let place = &self.places[below(self.places.len())];
        if Bug::Slot.planted() {
            let before = *place.lock().expect("no poison");
            *place.lock().expect("no poison") = parcel;
            return before;
        }
        std::mem::replace(&mut *place.lock().expect("no poison"), parcel)
    }

    fn into_rest(self) -> impl Iterator<Item = Parcel> {
        self.places.into_iter().filter_map(|place| place.into_inner().expect("no poison"))
    }
}

/// One thread's part: allocates, resizes, swaps, frees what it got.
fn swap_blocks<G: Geometry>(house: &House<G>, slots: &Slots, rounds: usize, sizes: &[usize]) {
    for _ in 0..rounds {
        let mut parcel = house.must_take(one_of(sizes));
        if below(8) == 0 {
            parcel = house.resize(parcel, one_of(sizes));
        }
        if let Some(other) = slots.swap(Some(parcel)) {
            house.give(other);
        }
        if below(4) == 0
            && let Some(other) = slots.swap(None)
        {
            house.give(other);
        }
    }
}

/// Threads that swap blocks, while one more does `beside`.
fn swap_beside<G: Geometry>(
    threads: usize,
    rounds: usize,
    sizes: &[usize],
    beside: impl FnOnce(&House<G>) + Send,
) {
    let house = House::<G>::new();
    let slots = Slots::new(6);
    scope(|scope| {
        let (house, slots) = (&house, &slots);
        for _ in 0..threads {
            house.thread(scope, move || swap_blocks(house, slots, rounds, sizes));
        }
        house.thread(scope, move || beside(house));
    });
    for parcel in slots.into_rest() {
        house.give(parcel);
    }
    house.close();
}

fn swap_among_all<G: Geometry>() {
    // One thread more than there are heap records.
    swap_beside::<G>(4, 8, &SIZES, |_| {});
}

promise!(a_block_that_is_swapped_among_all_threads_has_one_owner, swap_among_all);

fn trim_and_look<G: Geometry>() {
    swap_beside::<G>(2, 8, &SIZES, |house| {
        for _ in 0..4 {
            if below(2) == 0 {
                house.trim();
            } else {
                house.look();
            }
        }
    });
}

promise!(trims_and_statistics_beside_busy_threads_harm_nothing, trim_and_look);

fn turn_dials<G: Geometry>() {
    swap_beside::<G>(3, 6, &[64, 4000], |house| {
        let dials = house.heap().dials();
        for _ in 0..6 {
            let class = SizeClass::tiny(64);
            match below(5) {
                0 => dials.set_route(class, one_of(&[Route::TinyFirst, Route::PoolOnly])),
                1 => dials.set(Dial::WarmMax, one_of(&[0, 16])),
                2 => dials.set(Dial::OutboxBytes, one_of(&[16, 16 << 10])),
                3 => dials.set(Dial::DepotClassKib, one_of(&[0, 1024])),
                _ => dials.set(Dial::RefillMax, one_of(&[1, 64])),
            }
        }
    });
}

promise!(dials_may_be_turned_while_threads_are_busy, turn_dials);

fn large_and_huge<G: Geometry>() {
    swap_beside::<G>(3, 5, &[4000, 9000, 40_000, 100_000], |house| {
        house.look();
        // On memory that others have just given back, or not quite.
        for bytes in [9000, 40_000] {
            house.give(house.take_zeroed(bytes).expect("memory is plenty"));
        }
        house.trim();
    });
}

promise!(large_and_huge_blocks_may_be_freed_and_resized_by_any_thread, large_and_huge);
