//! `Order` against a sorted vector, and the number of moves of an update.

use super::*;
use alloc::collections::BTreeMap;

const ENTRIES: u32 = 64;
const CLASSES: u8 = 3;

/// What the model says is on top: the key; entries with equal keys are interchangeable to it.
fn top_key(model: &BTreeMap<u32, (u8, u64)>, class: u8, toward: Toward) -> Option<u64> {
    let mut keys: Vec<u64> =
        model.values().filter(|(own, _)| *own == class).map(|(_, key)| *key).collect();
    keys.sort_unstable();
    match toward {
        Toward::Nearest => keys.first().copied(),
        Toward::Farthest => keys.last().copied(),
    }
}

/// Overdue entries stand in one list: which of them is on top is not promised, only that it is overdue.
fn agree(found: Option<u64>, expected: Option<u64>, step: u64) -> bool {
    let overdue = |key: u64| key < step << FRACTION_BITS;
    match (found, expected) {
        (Some(found), Some(expected)) => found == expected || overdue(found) && overdue(expected),
        (found, expected) => found == expected,
    }
}

fn random_key(random: &mut Random, step: u64) -> u64 {
    let near = step.saturating_sub(4) + random.below(40);
    match random.below(5) {
        0..2 => near << FRACTION_BITS,
        2 => (near << FRACTION_BITS) + random.below(256),
        3 => (step + random.below(3000)) << FRACTION_BITS,
        _ => u64::MAX - random.below(3),
    }
}

fn run(seed: u64, toward: Toward) {
    let mut random = Random::new(seed);
    let mut order = Order::new(toward, usize::from(CLASSES));
    let mut model = BTreeMap::new();
    let mut step = 0;
    for _ in 0..2000 {
        let entry = u32::try_from(random.below(u64::from(ENTRIES))).expect("small");
        match random.below(8) {
            0 => {
                step += if random.below(20) == 0 { random.below(1500) } else { random.below(3) };
                order.advance(step);
            }
            1 | 2 => {
                order.remove(entry);
                model.remove(&entry);
            }
            _ => {
                let class = u8::try_from(random.below(u64::from(CLASSES))).expect("small");
                let key = random_key(&mut random, step);
                order.place(entry, class, key);
                model.insert(entry, (class, key));
            }
        }
        for class in 0..CLASSES {
            let found = order.top(class).map(|(key, entry)| {
                assert_eq!(model.get(&entry), Some(&(class, key)), "seed {seed}");
                key
            });
            let expected = top_key(&model, class, toward);
            assert!(agree(found, expected, step), "seed {seed}: {found:?}, not {expected:?}");
            let members = model.values().filter(|(own, _)| *own == class).count();
            assert_eq!(order.len(class), members, "seed {seed}");
            let drawn = order.any(class, &mut random);
            let draws = toward == Toward::Farthest;
            assert_eq!(drawn.is_some(), draws && members > 0, "seed {seed}");
            assert!(drawn.is_none_or(|entry| model[&entry].0 == class), "seed {seed}");
        }
    }
}

#[test]
fn order_is_what_a_sorted_vector_says() {
    for seed in 0..40 {
        run(seed, Toward::Nearest);
        run(seed, Toward::Farthest);
    }
}

#[test]
fn entries_of_one_step_leave_in_the_order_of_their_arrival() {
    let mut order = Order::new(Toward::Farthest, 1);
    for entry in [5, 3, 9] {
        order.place(entry, 0, 7 << FRACTION_BITS);
    }
    let left: Vec<u32> = core::iter::from_fn(|| {
        let (_, entry) = order.top(0)?;
        order.remove(entry);
        Some(entry)
    })
    .collect();
    assert_eq!(left, [5, 3, 9]);
}

/// The most moves of one update and of one removal of the top, among 100,000 entries.
fn most_moves(key: impl Fn(&mut Random) -> u64) -> u64 {
    const COUNT: u32 = 100_000;
    let mut random = Random::new(1);
    let mut order = Order::new(Toward::Farthest, 1);
    for entry in 0..COUNT {
        order.place(entry, 0, key(&mut random));
    }
    let mut most = 0;
    for round in 0..20_000 {
        let before = order.moves();
        let entry = if round % 2 == 0 {
            u32::try_from(random.below(u64::from(COUNT))).expect("small")
        } else {
            order.top(0).expect("not empty").1
        };
        order.place(entry, 0, key(&mut random));
        most = most.max(order.moves() - before);
    }
    most
}

#[test]
fn an_update_among_a_hundred_thousand_takes_constant_or_logarithmic_moves() {
    let near = most_moves(|random| random.below(wheel::SLOTS) << FRACTION_BITS);
    assert_eq!(near, 2, "out of one list and into another");
    let far = most_moves(|random| random.draw() | 1);
    // Depth of 100,000 entries with four children a node: 9. Removal and insertion: two paths.
    assert!((3..=2 * 9 + 3).contains(&far), "{far} moves");
}

#[test]
fn time_going_on_moves_nothing_but_what_falls_due() {
    let mut order = Order::new(Toward::Farthest, 1);
    for entry in 0..1000 {
        order.place(entry, 0, u64::from(entry) << FRACTION_BITS);
    }
    let before = order.moves();
    for step in 0..=10 {
        order.advance(step);
    }
    assert_eq!(order.moves() - before, 10, "the entries of steps 0 to 9 became overdue, once each");
}
