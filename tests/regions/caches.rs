//! What the caches of a region keep, and when they don't.

use ace_alloc::region::{Mini, Scale, Wide};
use ace_alloc_tests::on_every_scale;
use ace_alloc_tests::random::{Random, seed};
use ace_alloc_tests::regions::{Step, Yard};

fn turns<S: Scale>() {
    let mut yard = Yard::<S>::new(32 << 10, 0);
    let first_day = yard.shape();
    let mut random = Random::new(seed());
    for _ in 0..3000 {
        yard.play(Step::random(&mut random, 512));
    }
    while yard.blocks() > 0 {
        yard.free(0);
    }
    let orders = (0..1000).filter(|turn| yard.heap.turn(1_000_000 + turn * 10).is_some()).count();
    assert!(orders <= 3, "{orders} orders to an idle heap");
    if S::CACHED > 0 {
        assert_eq!(yard.shape(), first_day, "idle caches are emptied");
    }
    yard.audit();
}

#[test]
fn turns_empty_the_caches_of_an_idle_heap_and_then_rest() {
    on_every_scale!(turns);
}

fn shares<S: Scale>() {
    let mut yard = Yard::<S>::new(32 << 10, 0);
    while yard.take(48, 1) {}
    while yard.blocks() > 0 {
        yard.free(0);
        let stats = yard.heap.stats();
        let whole = if S::BOUNDED { stats.claimed - stats.control } else { stats.free };
        assert!(stats.cached <= whole >> S::CACHE_SHIFT, "{stats:?}");
    }
    assert_eq!(yard.heap.stats().cached > 0, S::CACHED > 0);
    yard.audit();
}

#[test]
fn caches_hold_no_more_than_their_part() {
    on_every_scale!(shares);
}

/// Full caches are shut until half of what they may hold is gone.
fn tide<S: Scale>() {
    let mut yard = Yard::<S>::new(100 << 10, 0);
    while yard.take(48, 1) {}
    let cached = |yard: &Yard<S>| yard.heap.stats().cached;
    let keeps = |yard: &mut Yard<S>| {
        let before = cached(yard);
        yard.free(0);
        cached(yard) > before
    };
    while yard.blocks() > 1000 {
        yard.free(0);
    }
    assert!((0..200).any(|_| keeps(&mut yard)), "never open");
    assert!((0..500).any(|_| !keeps(&mut yard)), "never full");
    let full = cached(&yard);
    assert!(full > 1000, "{full}");
    for _ in 0..10 {
        let before = cached(&yard);
        assert!(yard.take(48, 1) && !keeps(&mut yard), "shut");
        assert_eq!(cached(&yard), before - 48);
    }
    while cached(&yard) > full / 2 - 500 {
        assert!(yard.take(48, 1));
    }
    // The first free that is turned away finds them half empty.
    yard.free(0);
    assert!(keeps(&mut yard), "open again");
    yard.audit();
}

#[test]
fn full_caches_are_shut_until_half_of_them_is_gone() {
    tide::<Wide>();
    tide::<Mini>();
}
