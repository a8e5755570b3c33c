//! Collections of the `alloc` crate on the global allocator.
//! Floor: the global allocator.

use crate::SEED;
use crate::random::Random;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

const ROUNDS: usize = 4000;

/// Byte `at` of what lies under `key`.
fn content(key: usize, at: usize) -> u8 {
    (key.wrapping_mul(31) ^ at) as u8
}

fn extend(bytes: &mut Vec<u8>, key: usize, length: usize) {
    let from = bytes.len();
    bytes.extend((from..length).map(|at| content(key, at)));
}

fn verify(bytes: &[u8], key: usize) {
    for (at, byte) in bytes.iter().enumerate() {
        assert_eq!(*byte, content(key, at), "byte {at} of {} under {key}", bytes.len());
    }
}

pub fn keep_what_is_put_into_them(heap: usize) {
    bytes_under_keys(heap);
    text(heap);
    shared_and_boxed();
}

/// A map of byte strings that come, grow, shrink and go.
fn bytes_under_keys(heap: usize) {
    // Few enough that the map's nodes fit, whose entries are four words each.
    let keys = heap / (32 * size_of::<usize>());
    let mut random = Random::new(SEED);
    let mut map: BTreeMap<usize, Vec<u8>> = BTreeMap::new();
    // Bytes in the vectors: this part of the heap leaves room for what they reserve, for a vector's move, and
    // for the map.
    let most = heap / size_of::<usize>();
    let mut live = 0;
    for _ in 0..ROUNDS {
        let key = random.below(keys);
        let length = 1 + random.below(120);
        match map.get_mut(&key) {
            None if live + length <= most => {
                let mut bytes = Vec::new();
                extend(&mut bytes, key, length);
                map.insert(key, bytes);
                live += length;
            }
            Some(bytes) if bytes.len() < length && live + length <= most => {
                live += length - bytes.len();
                extend(bytes, key, length);
            }
            Some(bytes) if random.below(2) == 0 => {
                live -= bytes.len() - bytes.len().min(length);
                bytes.truncate(length);
                bytes.shrink_to_fit();
            }
            Some(_) => {
                let bytes = map.remove(&key).unwrap_or_default();
                verify(&bytes, key);
                live -= bytes.len();
            }
            None => {}
        }
    }
    assert_eq!(live, map.values().map(Vec::len).sum::<usize>());
    map.iter().for_each(|(key, bytes)| verify(bytes, *key));
}

/// A queue of strings, and a long one that is written piece by piece.
fn text(heap: usize) {
    let mut queue = VecDeque::new();
    let mut joined = String::new();
    for number in 0..heap / 128 {
        queue.push_back(format!("<{number}>"));
        if queue.len() > 8 {
            let first: String = queue.pop_front().unwrap_or_default();
            assert_eq!(first, format!("<{}>", number - 8));
        }
    }
    for piece in &queue {
        write!(joined, "{piece}").expect("a string takes everything");
    }
    let last = heap / 128 - 1;
    assert!(joined.ends_with(&format!("<{last}>")));
    assert_eq!(joined.len(), queue.iter().map(String::len).sum::<usize>());
}

/// What is shared and what is boxed goes exactly once.
fn shared_and_boxed() {
    let shared = Rc::new([7_u32; 5]);
    let closures: Vec<Box<dyn Fn() -> u32>> = (0..8)
        .map(|number| {
            let shared = Rc::clone(&shared);
            Box::new(move || shared[0] + number) as Box<dyn Fn() -> u32>
        })
        .collect();
    assert_eq!(Rc::strong_count(&shared), 9);
    assert_eq!(closures.iter().map(|call| call()).sum::<u32>(), 8 * 7 + 28);
    drop(closures);
    assert_eq!(Rc::strong_count(&shared), 1);
}
