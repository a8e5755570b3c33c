//! The default policy is about as good as the best that needs no hints, whatever the hints; and with hints
//! that are right, about as good as the best there is. Ratios of virtual times, the same in every run.
//!
//! `ACE_TEST_SEED` varies the workloads.

use ace_alloc_cuda::policy::{Chance, Distance, Lru, OwnGap, Policy, default_policy};
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
                // An adversary changes sides as soon as he is known; and where half fits, the differences
                // between policies are as small as what learning costs.
                let is_hard = hints == Hints::Adversarial || percent == 50;
                let most = if is_hard { 1.12 } else { 1.05 };
                let case = format!("{}, {}, {percent} %", class.name(), hints.name());
                assert!(time <= best * most, "{case}: {time} against {best}");
            }
        }
    }
}

#[test]
fn with_right_hints_it_loses_nothing_to_who_trusts_them_and_with_rough_ones_little() {
    let seeds = seeds();
    for class in Class::ALL {
        for (hints, most) in [(Hints::Exact, 1.02), (Hints::Noisy, 1.05)] {
            let time = time(class, hints, 25, &seeds);
            let trusting = mean(&seeds, |seed| {
                let trace = class.trace(Size::USUAL, seed).with_hints(hints, seed);
                outcome(&trace, 25, Box::new(Distance)).time_ratio()
            });
            let case = format!("{}, {}", class.name(), hints.name());
            assert!(time <= trusting * most, "{case}: {time} against {trusting}");
        }
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
