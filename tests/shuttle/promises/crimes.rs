//! The same block freed by two threads: one of them is reported, whoever comes first.

use ace_alloc::{Geometry, MisuseKind};
use ace_alloc_shuttle::house::{House, below};
use shuttle::thread::scope;
use std::sync::Arc;

/// Two threads free the block of `bytes` bytes; a third made it, and may be one of the two.
fn freed_twice<G: Geometry>(bytes: usize) {
    let house = Arc::new(House::<G>::tolerant());
    let mut address = 0;
    scope(|scope| {
        let house = &house;
        let (sender, receiver) = shuttle::sync::mpsc::channel();
        house.thread(scope, move || {
            // Neighbours, so that the slab lives on or dies as the schedule has it.
            let neighbours: Vec<_> = (0..below(3)).map(|_| house.must_take(bytes)).collect();
            let block = house.surrender(house.must_take(bytes));
            let owner_too = below(2) == 0;
            sender.send((block, owner_too)).expect("the other waits");
            if owner_too {
                house.free_raw(block, 0);
            }
            for parcel in neighbours {
                house.give(parcel);
            }
        });
        let (block, owner_too) = receiver.recv().expect("a block");
        address = block.address();
        for _ in usize::from(owner_too)..2 {
            let with_heap = below(2) == 0;
            house.thread(scope, move || {
                // Of another size, so that the block can't come back before the second free.
                let own = with_heap.then(|| house.must_take(512));
                house.free_raw(block, 0);
                if let Some(own) = own {
                    house.give(own);
                }
            });
        }
    });
    let house = Arc::into_inner(house).expect("all threads are gone");
    let reported = house.close_with_misuses();
    assert_eq!(reported.len(), 1, "one report: {reported:x?}");
    assert_eq!(reported[0].address, address, "{reported:x?}");
    let fair = [MisuseKind::DoubleFree, MisuseKind::NeverAllocated, MisuseKind::Foreign];
    assert!(fair.contains(&reported[0].kind), "the wrong reason: {reported:x?}");
    assert!(reported[0].kind != MisuseKind::Foreign || bytes >= G::HUGE_MIN, "{reported:x?}");
}

fn small_twice<G: Geometry>() {
    freed_twice::<G>([64, 1000, 4000][below(3)]);
}

promise!(a_block_that_two_threads_free_is_reported_once, small_twice);

fn large_twice<G: Geometry>() {
    freed_twice::<G>([9000, 100_000][below(2)]);
}

promise!(a_large_block_that_two_threads_free_is_reported_once, large_twice);
