//! The collections of `alloc` on all CPUs at the same time, their contents held against arithmetic.

use super::pattern::Random;
use crate::work;
use alloc::{
    boxed::Box,
    collections::{BTreeMap, VecDeque},
    format,
    string::String,
    sync::Arc,
    vec::Vec,
};

const ROUNDS: u64 = 40;
const ENTRIES: u64 = 300;

/// See the module's documentation.
pub fn check() {
    work::on_all(|number| {
        work::meet();
        for round in 0..ROUNDS {
            let mut random = Random::new(round * 2 + number as u64);
            maps(&mut random);
            lists(&mut random);
            shared();
        }
    });
}

fn name(key: u64) -> String {
    format!("{key}: {:>width$}", key * key, width = (key % 60) as usize)
}

/// A map that is filled, thinned out and read in order.
fn maps(random: &mut Random) {
    let mut map: BTreeMap<u64, String> = (0..ENTRIES).map(|key| (key, name(key))).collect();
    let doomed: Vec<u64> =
        (0..ENTRIES / 2).map(|_| random.below(ENTRIES as usize) as u64).collect();
    for key in &doomed {
        map.remove(key);
    }
    assert!(map.keys().is_sorted());
    assert!(map.iter().all(|(key, text)| *text == name(*key)));
    assert!((0..ENTRIES).all(|key| map.contains_key(&key) != doomed.contains(&key)));
}

/// Vectors that grow at one end while they shrink at the other.
fn lists(random: &mut Random) {
    let mut queue = VecDeque::new();
    let (mut pushed, mut popped) = (0_u64, 0);
    while popped < ENTRIES {
        if pushed < ENTRIES && random.below(3) > 0 {
            queue.push_back((pushed..pushed + random.below(50) as u64).collect::<Vec<_>>());
            pushed += 1;
        } else if let Some(list) = queue.pop_front() {
            assert!(list.iter().copied().eq(popped..popped + list.len() as u64));
            popped += 1;
        }
    }
    let bytes: Vec<u8> = (0..40_000).map(|at| at as u8).collect();
    assert!(bytes.iter().enumerate().all(|(at, byte)| *byte == at as u8));
}

/// One value with many owners.
fn shared() {
    let text: Arc<str> = Arc::from(name(ENTRIES).as_str());
    let owners: Vec<Box<Arc<str>>> = (0..ENTRIES).map(|_| Box::new(Arc::clone(&text))).collect();
    assert_eq!(Arc::strong_count(&text) as u64, ENTRIES + 1);
    assert!(owners.iter().all(|owner| ***owner == *name(ENTRIES)));
    drop(owners);
    assert_eq!(Arc::strong_count(&text), 1);
}
