//! Threads that begin and end while others hold their blocks.

use ace_alloc::Geometry;
use ace_alloc_shuttle::house::{House, Parcel, below, one_of};
use ace_alloc_shuttle::platform::refuse_heap;
use shuttle::sync::mpsc::{Receiver, Sender, channel};
use shuttle::sync::{Barrier, Mutex};
use shuttle::thread::scope;

/// A channel of which many threads can hold the receiving end.
fn mail() -> (Sender<Parcel>, Mutex<Receiver<Parcel>>) {
    let (sender, receiver) = channel();
    (sender, Mutex::new(receiver))
}

fn next(receiver: &Mutex<Receiver<Parcel>>) -> Option<Parcel> {
    receiver.lock().expect("no poison").recv().ok()
}

fn exit_while_others_free<G: Geometry>() {
    let house = House::<G>::new();
    let (sender, receiver) = mail();
    scope(|scope| {
        let (house, receiver) = (&house, &receiver);
        house.thread(scope, move || {
            let bytes = one_of(&[64, 1000, 4000]);
            for _ in 0..9 {
                sender.send(house.must_take(bytes)).expect("somebody frees");
            }
        });
        for _ in 0..2 {
            house.thread(scope, move || {
                let own = house.must_take(64);
                while let Some(parcel) = next(receiver) {
                    house.give(parcel);
                }
                house.give(own);
            });
        }
    });
    house.close();
}

promise!(an_exit_while_others_free_into_the_heap_strands_nothing, exit_while_others_free);

fn adoption<G: Geometry>() {
    let house = House::<G>::new();
    let (sender, receiver) = mail();
    let bytes = one_of(&[1000, 2000, 4000]);
    scope(|scope| {
        let (house, receiver) = (&house, &receiver);
        house.thread(scope, move || {
            let parcels: Vec<_> = (0..8).map(|_| house.must_take(bytes)).collect();
            for (number, parcel) in parcels.into_iter().enumerate() {
                if number % 3 == 0 {
                    house.give(parcel);
                } else {
                    sender.send(parcel).expect("somebody frees");
                }
            }
        });
        for _ in 0..3 {
            house.thread(scope, move || {
                // Among them those of the slabs that the first thread leaves behind.
                let own = [(); 3].map(|()| house.must_take(bytes));
                if let Some(parcel) = next(receiver) {
                    house.give(parcel);
                }
                for parcel in own {
                    house.give(parcel);
                }
            });
        }
    });
    while let Some(parcel) = next(&receiver) {
        house.give(parcel);
    }
    house.close();
}

promise!(slabs_of_a_thread_that_ended_serve_the_next, adoption);

fn churn<G: Geometry>() {
    let house = House::<G>::new();
    let (sender, receiver) = mail();
    scope(|scope| {
        let (house, receiver) = (&house, &receiver);
        for _ in 0..2 {
            let sender = sender.clone();
            scope.spawn(move || {
                // One after the other, so that the record of one goes to the next; what they leave
                // is still on its way then.
                for _ in 0..3 {
                    let sender = sender.clone();
                    let short = house.thread(scope, move || {
                        let bytes = one_of(&[64, 2000]);
                        for _ in 0..3 {
                            sender.send(house.must_take(bytes)).expect("somebody frees");
                        }
                    });
                    short.join().expect("a short life without panic");
                }
            });
        }
        drop(sender);
        house.thread(scope, move || {
            let own = house.must_take(64);
            while let Some(parcel) = next(receiver) {
                house.give(parcel);
            }
            house.give(own);
        });
    });
    house.close();
}

promise!(mail_for_a_record_that_changed_hands_finds_its_way, churn);

fn only_free<G: Geometry>(blocks: usize, threads_then: u32) {
    let house = House::<G>::new();
    let (sender, receiver) = mail();
    let done = Barrier::new(3);
    scope(|scope| {
        let (house, receiver, done) = (&house, &receiver, &done);
        house.thread(scope, move || {
            for _ in 0..blocks {
                sender.send(house.must_take(64)).expect("somebody frees");
            }
            drop(sender);
            done.wait();
            let threads = house.look().threads;
            assert!(threads <= threads_then, "{threads} threads have a heap");
            // Takes in what they sent.
            house.trim();
        });
        for _ in 0..2 {
            house.thread(scope, move || {
                while let Some(parcel) = next(receiver) {
                    house.give(parcel);
                }
                done.wait();
            });
        }
    });
    house.close();
}

fn free_a_few<G: Geometry>() {
    only_free::<G>(10, 1);
}

promise!(a_thread_that_only_frees_costs_no_heap_record, free_a_few);

fn free_many<G: Geometry>() {
    // More than 64 by one thread earn it a heap: in the middle of a free.
    only_free::<G>(100, 3);
}

promise!(a_thread_that_frees_much_gets_a_heap_without_losing_a_block, free_many);

fn without_heap<G: Geometry>() {
    let house = House::<G>::new();
    let (sender, receiver) = mail();
    scope(|scope| {
        let (house, receiver) = (&house, &receiver);
        for number in 0..4 {
            let sender = sender.clone();
            house.thread(scope, move || {
                if number < 2 {
                    refuse_heap();
                }
                let bytes = one_of(&[64, 4000]);
                for _ in 0..4 {
                    sender.send(house.must_take(bytes)).expect("the receiver is there");
                    house.give(next(receiver).expect("as many as were sent"));
                }
            });
        }
    });
    house.close();
}

promise!(threads_that_can_have_no_heap_are_served_beside_those_that_have, without_heap);

fn late_calls<G: Geometry>() {
    let house = House::<G>::new();
    let (sender, receiver) = mail();
    scope(|scope| {
        let (house, receiver) = (&house, &receiver);
        for _ in 0..3 {
            let sender = sender.clone();
            house.thread(scope, move || {
                let bytes = one_of(&[64, 1000, 4000]);
                let kept = [(); 3].map(|()| house.must_take(bytes));
                for _ in 0..2 {
                    sender.send(house.must_take(bytes)).expect("the receiver is there");
                }
                // The destructors of other libraries may run after ours.
                house.leave();
                for parcel in kept {
                    house.give(parcel);
                }
                house.give(next(receiver).expect("as many as were sent"));
                let late = house.must_take(bytes);
                house.give(next(receiver).expect("as many as were sent"));
                if below(2) == 0 {
                    house.look();
                }
                house.give(late);
            });
        }
    });
    house.close();
}

promise!(what_a_thread_does_after_its_exit_hook_is_served, late_calls);
