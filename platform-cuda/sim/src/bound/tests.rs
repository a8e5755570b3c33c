//! The bound against all schedules there are, where these can be counted.

use super::*;
use crate::workload::Step;
use ace_alloc_cuda::random::Random;
use std::collections::VecDeque;

fn trace(sizes: &[u64], steps: &[Vec<u32>]) -> Trace {
    let steps = steps.iter().map(|requests| Step { requests: requests.clone(), ..Step::default() });
    let (sizes, steps) = (sizes.to_vec(), steps.collect());
    Trace { name: "bound", sizes, steps, writes: false, born: false }
}

fn bytes(memory_bytes: u64, sizes: &[u64], steps: &[Vec<u32>]) -> u64 {
    let machine = Machine { memory_bytes, ..Machine::link_bound(0) };
    Bound::of(&trace(sizes, steps), &machine).bytes
}

#[test]
fn what_fits_is_loaded_once_and_what_does_not_is_loaded_again() {
    let twice = [vec![0, 1, 2], vec![0, 1, 2]];
    assert_eq!(bytes(30, &[10; 3], &twice), 30);
    assert_eq!(bytes(20, &[10; 3], &twice), 40);
    assert_eq!(bytes(0, &[10; 3], &twice), 60);
    assert_eq!(bytes(10, &[10; 3], &[]), 0);
}

#[test]
fn what_is_born_on_the_device_is_copied_from_its_second_use_on() {
    let twice = [vec![0, 1, 2], vec![0, 1, 2]];
    let born = Trace { born: true, ..trace(&[10; 3], &twice) };
    let bytes =
        |memory_bytes| Bound::of(&born, &Machine { memory_bytes, ..Machine::link_bound(0) }).bytes;
    assert_eq!([bytes(30), bytes(20), bytes(0)], [0, 10, 30]);
}

#[test]
fn reordering_within_a_step_is_allowed_for() {
    // In the order 0 1, 1 0 both hits would overlap at one request; at the boundary 10 bytes are kept.
    assert_eq!(bytes(10, &[10; 3], &[vec![0, 1], vec![1, 0]]), 30);
}

#[test]
fn what_stays_through_a_step_leaves_room_for_what_is_used_in_it() {
    assert_eq!(bytes(15, &[10; 2], &[vec![0], vec![1], vec![0]]), 20 + 5);
}

/// Least number of loads of states of one byte each, over all orders of loads, evictions and uses.
fn least_by_search(memory: u32, steps: &[Vec<u32>]) -> u64 {
    let wanted = |step: usize| steps[step].iter().fold(0u32, |set, agent| set | 1 << agent);
    let mut known = std::collections::BTreeSet::new();
    let mut queue = VecDeque::from([(0u64, 0usize, 0u32, 0u32)]);
    while let Some((loads, step, served, there)) = queue.pop_front() {
        if step == steps.len() {
            return loads;
        }
        if !known.insert((step, served, there)) {
            continue;
        }
        let (wanted, mut free) = (wanted(step), Vec::new());
        if served == wanted {
            free.push((loads, step + 1, 0, there));
        }
        for agent in 0..4 {
            let bit = 1 << agent;
            if there & bit != 0 {
                free.push((loads, step, served, there & !bit));
                if wanted & bit != 0 {
                    free.push((loads, step, served | bit, there));
                }
            } else if there.count_ones() < memory {
                queue.push_back((loads + 1, step, served, there | bit));
            }
        }
        // What costs nothing comes first: the queue stays sorted by loads.
        free.into_iter().for_each(|state| queue.push_front(state));
    }
    unreachable!("one state fits, so all can be served");
}

#[test]
fn no_schedule_of_a_small_trace_loads_less_and_most_bounds_are_met() {
    let mut met = 0;
    for seed in 0..400 {
        let mut random = Random::new(seed);
        let memory = 1 + random.below(3) as u32;
        let steps: Vec<Vec<u32>> = (0..2 + random.below(4))
            .map(|_| (0..4).filter(|_| random.below(2) == 0).collect())
            .collect();
        let least = least_by_search(memory, &steps);
        let bound = bytes(u64::from(memory), &[1; 4], &steps);
        assert!(bound <= least, "seed {seed}: {bound} > {least} with {memory}: {steps:?}");
        met += u32::from(bound == least);
    }
    assert!(met >= 320, "only {met} of 400");
}

#[test]
fn time_is_bounded_by_the_link_the_processor_and_their_turns() {
    let machine = |compute_ns| Machine {
        memory_bytes: 20,
        inward_bytes_per_second: 1_000_000_000,
        compute_ns,
        ..Machine::link_bound(0)
    };
    let ns = |compute_ns, steps: &[Vec<u32>]| {
        Bound::of(&trace(&[10; 4], steps), &machine(compute_ns)).ns
    };
    // 40 bytes in 40 ns, and the last one is computed.
    assert_eq!(ns(1, &[vec![0, 1, 2, 3]]), 41);
    assert_eq!(ns(100, &[vec![0, 1], vec![2, 3]]), 400);
    // 20 bytes and a request; 60 steps of a request without copies; 20 bytes more than fit, and a request.
    let mut phases = vec![vec![0]; 62];
    (phases[0], phases[61]) = (vec![0, 1], vec![0, 1, 2, 3]);
    assert_eq!(ns(1, &phases), 21 + 60 + 20 + 1);
}

#[test]
fn what_is_born_and_does_not_fit_has_to_be_copied_to_the_host() {
    let born = Trace { born: true, ..trace(&[10; 4], &[vec![0, 1], vec![], vec![2, 3]]) };
    let ns = |memory_bytes| {
        let machine = Machine {
            memory_bytes,
            outward_bytes_per_second: 1_000_000_000,
            compute_ns: 1,
            ..Machine::link_bound(0)
        };
        Bound::of(&born, &machine).ns
    };
    assert_eq!(ns(40), 4, "computed, and all of it stays");
    assert_eq!(ns(25), 15);
    assert_eq!(ns(10), 30);
}
