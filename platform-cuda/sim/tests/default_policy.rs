//! The default policy is about as good as the best that needs no hints, whatever the hints; and with hints
//! that are right, about as good as the best there is. Ratios of virtual times, the same in every run.
//!
//! `ACE_TEST_SEED` varies the workloads.

use ace_alloc_cuda::policy::{Chance, Lru, OwnGap, Policy, default_policy};
use ace_alloc_cuda_sim::{
    Arm, Machine, Outcome, Trace, run,
    workload::{Class, Hints, Size},
};
use ace_alloc_tests::random;

const SEEDS: usize = 3;

fn outcome(trace: &Trace, percent: u64, policy: Box<dyn Policy>) -> Outcome {
    let machine = Machine::link_bound(trace.percent_bytes(percent));
    run(trace, machine, Arm { policy, overlaps: true })
}

/// Mean of some seeds.
fn mean(seeds: &[u64], value: impl Fn(u64) -> f64) -> f64 {
    seeds.iter().map(|seed| value(*seed)).sum::<f64>() / seeds.len() as f64
}

fn seeds() -> Vec<u64> {
    (random::seed()..).take(SEEDS).collect()
}

/// Of those that look at no hints, the time of the best.
fn best_without_hints(class: Class, percent: u64, seeds: &[u64]) -> f64 {
    let policies: [fn(u64) -> Box<dyn Policy>; 3] =
        [|_| Box::new(Lru), |seed| Box::new(Chance::new(seed)), |_| Box::new(OwnGap)];
    let times = policies.map(|policy| {
        mean(seeds, |seed| {
            let trace = class.trace(Size::USUAL, seed).without_hints();
            outcome(&trace, percent, policy(seed)).time_ratio()
        })
    });
    times.into_iter().fold(f64::INFINITY, f64::min)
}

fn time(class: Class, hints: Hints, percent: u64, seeds: &[u64]) -> f64 {
    mean(seeds, |seed| {
        let trace = class.trace(Size::USUAL, seed).with_hints(hints, seed);
        outcome(&trace, percent, default_policy()).time_ratio()
    })
}

#[test]
fn whatever_the_hints_it_is_about_as_good_as_the_best_that_needs_none() {
    let seeds = seeds();
    for class in Class::ALL {
        for percent in [10, 25, 50] {
            let best = best_without_hints(class, percent, &seeds);
            for hints in Hints::ALL {
                let time = time(class, hints, percent, &seeds);
                let case = format!("{}, {}, {percent} %", class.name(), hints.name());
                assert!(time <= best * 1.05, "{case}: {time} against {best}");
            }
        }
    }
}

#[test]
fn with_right_hints_it_is_near_the_bound_and_with_rough_ones_not_far() {
    let seeds = seeds();
    for class in Class::ALL {
        let exact = time(class, Hints::Exact, 25, &seeds);
        assert!(exact <= 1.10, "{}: {exact}", class.name());
        let noisy = time(class, Hints::Noisy, 25, &seeds);
        assert!(noisy <= 1.25, "{}: {noisy}", class.name());
    }
}

#[test]
fn with_right_hints_it_copies_little_more_than_must_be_and_nothing_in_vain() {
    for seed in seeds() {
        let trace = Class::Independent.trace(Size::USUAL, seed).with_hints(Hints::Exact, seed);
        let outcome = outcome(&trace, 25, default_policy());
        assert!(outcome.bytes_ratio() <= 1.15, "{outcome:?}");
        assert!(outcome.totals.prefetch_bytes > 0, "{outcome:?}");
        assert!(outcome.totals.wasted_bytes * 100 <= outcome.totals.prefetch_bytes, "{outcome:?}");
    }
}
