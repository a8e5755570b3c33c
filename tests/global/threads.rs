//! `AceAlloc` as the global allocator of a program with many threads: collections that grow and
//! shrink, threads that come and go, and what the program computes is right.

use ace_alloc_linux::AceAlloc;
use ace_alloc_tests::random::{self, Random};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::thread;

#[global_allocator]
static ALLOCATOR: AceAlloc = AceAlloc::new();

/// Works on collections of all shapes and returns a number that depends on all of them.
fn work(seed: u64, steps: usize) -> u64 {
    let mut random = Random::new(seed);
    let mut words: HashMap<u64, String> = HashMap::new();
    let mut tree: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    let mut queue: VecDeque<Box<[u64]>> = VecDeque::new();
    let mut sum = 0_u64;
    for _ in 0..steps {
        let key = random.draw() % 512;
        match random.below(6) {
            0 | 1 => words.entry(key).or_default().push_str("word "),
            2 => {
                tree.entry(key)
                    .or_default()
                    .extend((0..random.below(300)).map(|n| n.to_le_bytes()[0]));
            }
            3 => queue.push_back(vec![key; random.below(2000)].into()),
            4 => {
                sum += words.remove(&key).map_or(0, |text| text.len() as u64);
                sum +=
                    tree.remove(&key).map_or(0, |bytes| bytes.iter().map(|&b| u64::from(b)).sum());
            }
            _ => sum += queue.pop_front().map_or(0, |numbers| numbers.iter().sum()),
        }
    }
    sum
}

#[test]
fn many_threads_compute_what_one_thread_computes() {
    let seed = random::seed();
    let alone: Vec<u64> = (0..8).map(|number| work(seed + number, 30_000)).collect();
    let threads: Vec<_> =
        (0..8).map(|number| thread::spawn(move || work(seed + number, 30_000))).collect();
    let together: Vec<u64> =
        threads.into_iter().map(|thread| thread.join().expect("the thread works")).collect();
    assert_eq!(alone, together);
}

#[test]
fn thousands_of_short_threads_do_not_exhaust_the_heap() {
    let seed = random::seed();
    let alone = work(seed, 200);
    for _ in 0..400 {
        let threads: Vec<_> = (0..8).map(|_| thread::spawn(move || work(seed, 200))).collect();
        for thread in threads {
            assert_eq!(thread.join().expect("the thread works"), alone);
        }
    }
}

#[test]
fn zeroed_and_grown_memory_is_as_promised() {
    for shift in 0..26 {
        let zeroed = vec![0_u8; 1 << shift];
        assert!(zeroed.iter().all(|&byte| byte == 0), "{} zeroed bytes", zeroed.len());
        drop(vec![0xFF_u8; 1 << shift]);
    }
    let mut grown: Vec<u64> = Vec::new();
    for number in 0..2_000_000 {
        grown.push(number);
    }
    assert!(grown.iter().copied().eq(0..2_000_000));
    grown.truncate(1000);
    grown.shrink_to_fit();
    assert!(grown.iter().copied().eq(0..1000));
}
