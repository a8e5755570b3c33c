//! M3: who adopts a slab of the pool.

use crate::explore::{deep, holds};
use crate::house::{House, POOL, Parked, owner};
use crate::kernels::{FIRST_ITEM, Inbox, Kernels, Production};
use loom::thread;
use std::sync::Arc;

/// M3. One thread frees a block of a slab of the pool, which hands it the slab; another one wants a slab
/// and adopts. One of them gets it, and uses it without lock from then on; the block is freed once.
#[test]
fn of_two_adopters_of_a_slab_one_wins() {
    holds("M3", [6, 5], two_adopters::<Production>);
}

pub fn two_adopters<K: Kernels>() {
    let house = Arc::new(House::<K, Parked<K::Lock>>::new());
    let freeing = if deep() { 2 } else { 1 };
    (0..=freeing).for_each(|heap| house.inboxes[heap].open());
    let threads: Vec<_> = (0..freeing)
        .map(|heap| {
            let house = Arc::clone(&house);
            thread::spawn(move || {
                house.free(heap, FIRST_ITEM + heap, Some(heap));
                use_if_owner(&house, heap);
            })
        })
        .collect();
    if house.adopt(freeing) {
        assert_eq!(house.owner(), owner(freeing), "nobody takes it from its owner");
    }
    use_if_owner(&house, freeing);
    for thread in threads {
        thread.join().expect("no assertion failed");
    }
    assert_ne!(house.owner(), POOL);
    assert_eq!(house.locked(|pool| pool.adopted), 1);
    (0..=freeing).for_each(|heap| house.drain(heap));
    assert!(house.tally().freed[..freeing].iter().all(|&times| times == 1), "each is freed once");
    assert_eq!(house.tally().reported[..freeing], [0, 0][..freeing]);
}

/// HOT: the owner's pop and push, without lock.
fn use_if_owner<K: Kernels>(house: &House<K, Parked<K::Lock>>, heap: usize) {
    if house.owner() == owner(heap) {
        house.retire(3);
        house.take(3);
    }
}
