//! Threads that are visited while they work, sleep, wake up and end.

use ace_alloc::{Dial, Geometry, MisuseKind};
use ace_alloc_shuttle::house::{House, Parcel, below, one_of};
use shuttle::sync::Mutex;
use shuttle::sync::mpsc::{Receiver, Sender, channel};
use shuttle::thread::scope;
use std::sync::Arc;

/// Takes blocks of one size, keeps some of them for a while, and sends the others on.
fn work_and_send<G: Geometry>(house: &House<G>, sender: &Sender<Parcel>, rounds: usize) {
    let bytes = one_of(&[64, 1000, 4000]);
    let mut own = Vec::new();
    for _ in 0..rounds {
        own.push(house.must_take(bytes));
        let parcel = house.must_take(bytes);
        sender.send(parcel).expect("somebody frees");
        if below(3) == 0 {
            // Into magazine and depot.
            own.drain(..).for_each(|parcel| house.give(parcel));
        }
    }
    own.into_iter().for_each(|parcel| house.give(parcel));
}

fn free_all<G: Geometry>(house: &House<G>, receiver: &Mutex<Receiver<Parcel>>) {
    // With a heap of its own, so that it sends home by its own outbox.
    let own = house.must_take(64);
    loop {
        let next = receiver.lock().expect("no poison").recv();
        let Ok(parcel) = next else { break };
        house.give(parcel);
    }
    house.give(own);
}

fn visits_beside_work<G: Geometry>() {
    let house = House::<G>::new();
    // Each block a parcel, and room in the depot: both sides have their hands full.
    house.heap().dials().set(Dial::OutboxBytes, 16);
    house.heap().dials().set(Dial::DepotClassKib, 1024);
    let (sender, receiver) = channel();
    let receiver = Mutex::new(receiver);
    scope(|scope| {
        let (house, receiver) = (&house, &receiver);
        house.thread(scope, move || {
            for _ in 0..4 {
                work_and_send(house, &sender, 3);
                house.trim();
            }
        });
        house.thread(scope, move || free_all(house, receiver));
        house.thread(scope, move || {
            for _ in 0..6 {
                if below(4) == 0 {
                    house.look();
                }
                house.trim();
            }
        });
    });
    house.close();
}

promise!(an_owner_at_work_and_a_visitor_do_not_meet, visits_beside_work);

fn visits_at_the_end<G: Geometry>() {
    let house = House::<G>::new();
    let (sender, receiver) = channel();
    let receiver = Mutex::new(receiver);
    scope(|scope| {
        let (house, receiver) = (&house, &receiver);
        // One after the other: the record of one goes to the next, and with it mail on its way.
        scope.spawn(move || {
            for _ in 0..3 {
                let sender = sender.clone();
                let short = house.thread(scope, move || work_and_send(house, &sender, 2));
                short.join().expect("a short life without panic");
            }
        });
        house.thread(scope, move || free_all(house, receiver));
        scope.spawn(move || (0..5).for_each(|_| house.trim()));
    });
    house.close();
}

promise!(a_heap_that_changes_its_thread_is_visited_whole_or_not_at_all, visits_at_the_end);

fn growth_beside_a_sleeper<G: Geometry>() {
    let house = House::<G>::new();
    house.heap().dials().set(Dial::Visits, one_of(&[1, 3, 16]));
    let (sender, receiver) = channel();
    let receiver = Mutex::new(receiver);
    let (wake, sleep) = channel::<()>();
    let bytes = one_of(&[64, 1000, 4000]);
    scope(|scope| {
        let (house, receiver) = (&house, &receiver);
        house.thread(scope, move || {
            for _ in 0..12 {
                sender.send(house.must_take(bytes)).expect("somebody frees");
            }
            drop(sender);
            sleep.recv().expect("somebody wakes us");
            let own = [(); 3].map(|()| house.must_take(bytes));
            own.into_iter().for_each(|parcel| house.give(parcel));
        });
        house.thread(scope, move || {
            free_all(house, receiver);
            let moment = below(8);
            let mut own = Vec::new();
            for number in 0..8 {
                if number == moment {
                    wake.send(()).expect("it sleeps");
                }
                // Of other sizes too: whichever slab comes back serves.
                own.push(house.must_take(one_of(&[bytes, 2000])));
            }
            own.into_iter().for_each(|parcel| house.give(parcel));
        });
    });
    house.close();
}

promise!(a_sleeper_that_wakes_while_its_mail_is_delivered_loses_nothing, growth_beside_a_sleeper);

fn forks_beside_visits<G: Geometry>() {
    let house = House::<G>::new();
    let (sender, receiver) = channel();
    let receiver = Mutex::new(receiver);
    scope(|scope| {
        let (house, receiver) = (&house, &receiver);
        house.thread(scope, move || work_and_send(house, &sender, 6));
        house.thread(scope, move || free_all(house, receiver));
        scope.spawn(move || (0..3).for_each(|_| house.trim()));
        scope.spawn(move || {
            for _ in 0..3 {
                house.heap().fork_prepare();
                shuttle::thread::yield_now();
                // SAFETY: this thread has just prepared it.
                unsafe { house.heap().fork_parent() };
            }
        });
    });
    house.close();
}

promise!(a_fork_and_a_visit_wait_for_each_other, forks_beside_visits);

/// A block that its owner and another thread free, beside a visitor. A neighbour keeps the slab where it is.
fn freed_by_two<G: Geometry>() {
    let house = Arc::new(House::<G>::tolerant());
    let bytes = one_of(&[64, 1000]);
    let (mut address, mut kept) = (0, None);
    scope(|scope| {
        let house = &house;
        let (sender, receiver) = channel();
        house.thread(scope, move || {
            let neighbour = house.must_take(bytes);
            let block = house.surrender(house.must_take(bytes));
            sender.send((block, neighbour)).expect("the other waits");
            house.free_raw(block, 0);
            if below(2) == 0 {
                shuttle::thread::yield_now();
                house.trim();
            }
        });
        let (block, neighbour) = receiver.recv().expect("two blocks");
        kept = Some(neighbour);
        address = block.address();
        house.thread(scope, move || {
            let own = house.must_take(512);
            house.free_raw(block, 0);
            house.trim();
            house.give(own);
        });
        scope.spawn(move || (0..2).for_each(|_| house.trim()));
    });
    house.give(kept.expect("the neighbour"));
    let house = Arc::into_inner(house).expect("all threads are gone");
    let reported = house.close_with_misuses();
    assert_eq!(reported.len(), 1, "one report: {reported:x?}");
    assert_eq!(reported[0].address, address, "{reported:x?}");
    let fair = [MisuseKind::DoubleFree, MisuseKind::NeverAllocated];
    assert!(fair.contains(&reported[0].kind), "the wrong reason: {reported:x?}");
}

promise!(a_block_that_owner_and_another_free_is_reported_once_beside_visits, freed_by_two);
