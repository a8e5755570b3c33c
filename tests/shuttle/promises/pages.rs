//! Memory that goes back while others look at it, that is refused, and that runs out.

use ace_alloc::{Dial, Geometry, MisuseKind};
use ace_alloc_shuttle::house::{House, Parcel, below, one_of};
use ace_alloc_tests::pages::Fault;
use shuttle::sync::{Barrier, Mutex};
use shuttle::thread::scope;

/// Into the middle of any block, and never at the start of another, whatever lies there by then.
const INSIDE: usize = 24;

fn release_under_strays<G: Geometry>() {
    let house = House::<G>::tolerant();
    house.heap().dials().set(Dial::WarmMax, one_of(&[0, 1]));
    let last: Mutex<Option<Parcel>> = Mutex::new(None);
    let strays = Mutex::new(Vec::new());
    scope(|scope| {
        let (house, last, strays) = (&house, &last, &strays);
        house.thread(scope, move || {
            for _ in 0..3 {
                // A superslab's worth.
                let parcels = [(); 8].map(|()| house.must_take(4000));
                *last.lock().expect("no poison") = Some(parcels[below(8)]);
                for parcel in parcels {
                    house.give(parcel);
                }
                house.trim();
            }
        });
        house.thread(scope, move || {
            for _ in 0..4 {
                house.look();
            }
        });
        house.thread(scope, move || {
            for _ in 0..6 {
                let stray = *last.lock().expect("no poison");
                if let Some(stray) = stray {
                    house.free_raw(stray, INSIDE);
                    strays.lock().expect("no poison").push(stray.address() + INSIDE);
                }
                shuttle::thread::yield_now();
            }
        });
    });
    let reported = house.close_with_misuses();
    for misuse in &reported {
        let fair = [MisuseKind::Interior, MisuseKind::NeverAllocated];
        assert!(fair.contains(&misuse.kind), "the wrong reason: {misuse:x?}");
    }
    // Some at once, some when a parcel came home.
    let mut addresses: Vec<_> = reported.iter().map(|misuse| misuse.address).collect();
    let mut strays = strays.into_inner().expect("no poison");
    addresses.sort_unstable();
    strays.sort_unstable();
    assert_eq!(addresses, strays, "one report for each stray free");
}

promise!(a_superslab_is_released_soundly_under_stray_frees_and_statistics, release_under_strays);

fn look_at_changing_slabs<G: Geometry>() {
    let house = House::<G>::new();
    house.heap().dials().set(Dial::WarmMax, 0);
    scope(|scope| {
        let house = &house;
        for _ in 0..2 {
            house.thread(scope, move || {
                for _ in 0..3 {
                    // Slabs of four units, the last of which ends where committed memory does.
                    let parcels = [(); 6].map(|()| house.must_take(4000));
                    for parcel in parcels {
                        house.give(parcel);
                    }
                    house.trim();
                }
            });
        }
        house.thread(scope, move || {
            for _ in 0..6 {
                house.look();
            }
        });
    });
    house.close();
}

promise!(statistics_read_no_slab_from_its_middle_while_it_changes_hands, look_at_changing_slabs);

/// What a thread does that can live with a refusal.
fn make_do<G: Geometry>(house: &House<G>, shelf: &Mutex<Vec<Parcel>>, rounds: usize) {
    for _ in 0..rounds {
        if let Some(parcel) = house.take(one_of(&[64, 2000, 4000, 9000, 70_000])) {
            shelf.lock().expect("no poison").push(parcel);
        }
        if below(2) == 0 {
            let other = shelf.lock().expect("no poison").pop();
            if let Some(other) = other {
                house.give(other);
            }
        }
    }
}

fn refused_pages<G: Geometry>() {
    let house = House::<G>::new();
    let shelf = Mutex::new(Vec::new());
    let first = below(60) as u64;
    house.pages.set_fault(match below(3) {
        0 => Fault::Call(first),
        1 => Fault::Calls(first, first + 1 + below(20) as u64),
        _ => Fault::From(first),
    });
    scope(|scope| {
        for _ in 0..3 {
            house.thread(scope, || make_do(&house, &shelf, 7));
        }
    });
    for parcel in shelf.into_inner().expect("no poison") {
        house.give(parcel);
    }
    house.close();
}

promise!(a_refused_page_is_a_null_and_nothing_else, refused_pages);

fn full_heap<G: Geometry>() {
    let house = House::<G>::new();
    // All but the room of two or three superslabs.
    let ballast: Vec<_> = (0..11).map(|_| house.must_take(60_000)).collect();
    scope(|scope| {
        for _ in 0..3 {
            house.thread(scope, || {
                let bytes = one_of(&[2000, 4000]);
                let mut taken = Vec::new();
                while let Some(parcel) = house.take(bytes) {
                    taken.push(parcel);
                }
                for parcel in taken {
                    house.give(parcel);
                }
            });
        }
    });
    for parcel in ballast {
        house.give(parcel);
    }
    house.close();
}

promise!(a_heap_that_was_full_for_all_threads_serves_again, full_heap);

fn free_without_a_chunk<G: Geometry>() {
    let house = House::<G>::new();
    let ballast: Vec<_> = (0..11).map(|_| house.must_take(60_000)).collect();
    let taken = Mutex::new(Vec::new());
    let (full, half) = (Barrier::new(3), Barrier::new(3));
    scope(|scope| {
        let (house, taken, full, half) = (&house, &taken, &full, &half);
        house.thread(scope, move || {
            while let Some(parcel) = house.take(4000) {
                taken.lock().expect("no poison").push(parcel);
            }
            full.wait();
            half.wait();
            let strays = house.look().events.strays;
            assert!(strays > 0, "not a page is left for a chunk");
            // Takes some of them in, or leaves them to whoever has its slabs next.
            if let Some(parcel) = house.take(4000) {
                house.give(parcel);
            }
        });
        for _ in 0..2 {
            house.thread(scope, move || {
                full.wait();
                for number in 0.. {
                    if number == 2 {
                        half.wait();
                    }
                    let parcel = taken.lock().expect("no poison").pop();
                    let Some(parcel) = parcel else { return };
                    house.give(parcel);
                }
            });
        }
    });
    for parcel in ballast {
        house.give(parcel);
    }
    house.close();
}

promise!(blocks_freed_without_a_page_for_a_parcel_come_home, free_without_a_chunk);
