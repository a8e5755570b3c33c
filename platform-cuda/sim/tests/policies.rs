//! What the policies promise, in a simulated world: ratios of virtual times, the same in every run.
//!
//! `ACE_TEST_SEED` varies the workloads.

use ace_alloc_cuda::{
    distance::NextUse,
    policy::{Hedge, Lru, Policy},
};
use ace_alloc_cuda_sim::{
    Machine, Outcome, Trace,
    run::{Arm, arms, run},
    sustain::Trial,
    workload::{Size, all, diffusion, independent, interaction, inverted, noisy, sparse, zipf},
};
use ace_alloc_tests::random;
use std::collections::BTreeMap;

type Machines = fn(u64) -> Machine;

/// All policies on one workload; the oracle knows the truth.
fn outcomes(trace: &Trace, machine: Machines, seed: u64) -> BTreeMap<&'static str, Outcome> {
    let truth = trace.with_truth();
    let outcome = |(name, arm)| {
        let trace = if name == "oracle" { &truth } else { trace };
        (name, run(trace, machine(trace.percent_bytes(25)), arm))
    };
    arms(seed).into_iter().map(outcome).collect()
}

fn times(trace: &Trace, machine: Machines) -> BTreeMap<&'static str, f64> {
    let outcomes = outcomes(trace, machine, 1);
    outcomes.into_iter().map(|(name, outcome)| (name, outcome.time_ratio())).collect()
}

#[test]
fn nobody_beats_the_bound() {
    let seed = random::seed();
    let small = Size { agents: 100, steps: 30 };
    for trace in (seed..seed + 4).flat_map(|seed| all(small, seed)) {
        // A link of a hundredth, and a processor of a hundredth of the time.
        let slow =
            |bytes| Machine { inward_bytes_per_second: 250_000_000, ..Machine::link_bound(bytes) };
        let quick = |bytes| Machine { compute_ns: 40_000, ..Machine::link_bound(bytes) };
        for machine in [Machine::link_bound as Machines, Machine::compute_bound, slow, quick] {
            for (name, outcome) in outcomes(&trace, machine, seed) {
                let copied = outcome.totals.demand_bytes + outcome.totals.prefetch_bytes;
                assert!(outcome.ns >= outcome.bound.ns, "{name} on {}: {outcome:?}", trace.name);
                assert!(copied >= outcome.bound.bytes, "{name} on {}: {outcome:?}", trace.name);
                let memory_bytes = machine(trace.percent_bytes(25)).memory_bytes;
                assert!(
                    outcome.peak_bytes <= memory_bytes,
                    "{name} on {}: {outcome:?}",
                    trace.name
                );
                let requests: usize = trace.steps.iter().map(|step| step.requests.len()).sum();
                assert_eq!(outcome.latencies_ns.len(), requests, "{name} on {}", trace.name);
            }
        }
    }
}

#[test]
fn nobody_beats_the_oracle_by_more_than_a_fiftieth() {
    for trace in all(Size::USUAL, random::seed()) {
        let times = times(&trace, Machine::link_bound);
        for (name, time) in &times {
            assert!(times["oracle"] <= time * 1.02, "{name} on {}: {times:?}", trace.name);
        }
    }
}

#[test]
fn right_predictions_are_worth_a_third_when_the_link_is_the_bottleneck() {
    let seed = random::seed();
    let times_of = |trace| times(&trace, Machine::link_bound);
    let plan = times_of(independent(Size::USUAL, seed));
    assert!(plan["distance"] * 1.4 <= plan["lru"], "{plan:?}");
    assert!(plan["distance"] <= plan["oracle"] * 1.02, "{plan:?}");
    let rough = times_of(noisy(Size::USUAL, seed));
    assert!(rough["distance"] * 1.3 <= rough["lru"], "{rough:?}");
    for trace in [interaction(Size::USUAL, seed), diffusion(Size::USUAL, seed)] {
        let guessed = times_of(trace);
        assert!(guessed["distance"] * 1.15 <= guessed["lru"], "{guessed:?}");
    }
}

#[test]
fn the_better_the_predictions_the_nearer_is_the_bound() {
    let seed = random::seed();
    for (trace, most) in [
        (independent(Size::USUAL, seed), 1.10),
        (Trace { writes: true, ..independent(Size::USUAL, seed) }, 1.10),
        (noisy(Size::USUAL, seed), 1.25),
    ] {
        let times = times(&trace, Machine::link_bound);
        let hedge = times["hedge"];
        assert!(hedge <= most, "{}: {times:?}", trace.name);
        assert!(most > 1.10 || hedge * 1.5 <= times["lru"], "{}: {times:?}", trace.name);
        assert!(most > 1.10 || hedge * 2.5 <= times["swap"], "{}: {times:?}", trace.name);
    }
}

#[test]
fn three_times_the_agents_of_lru_are_sustained_where_few_act_at_a_time() {
    let seed = random::seed();
    let trace = |agents| sparse(Size { agents, steps: 100 }, seed);
    // A request takes 8 ms, about as long as a copy; nine tenths of the throughput without copies.
    let machine = Machine { compute_ns: 8_000_000, ..Machine::link_bound(26_000_000_000) };
    let sustained = |policy: fn() -> Box<dyn Policy>| {
        let arm = || Arm { policy: policy(), overlaps: true };
        Trial { trace: &trace, arm: &arm, machine, least: 0.9 }.agents(800)
    };
    let (hedge, lru) = (sustained(|| Box::new(Hedge)), sustained(|| Box::new(Lru)));
    assert!(lru > 100, "what fits into the memory is sustained: {lru}");
    assert!(hedge >= 3 * lru, "{hedge} against {lru}");
}

#[test]
fn wrong_predictions_cost_a_hedge_nothing() {
    for seed in (random::seed()..).take(3) {
        let times = times(&inverted(Size::USUAL, seed), Machine::link_bound);
        let best = times["lru"].min(times["random"]).min(times["own gap"]);
        assert!(times["distance"] > best * 1.2, "they do harm who trusts them: {times:?}");
        assert!(times["hedge"] <= best * 1.05, "{times:?}");
        assert!(times["guard"] <= times["lru"] * 1.05, "{times:?}");
        assert!(times["guard"] < times["distance"], "{times:?}");
    }
}

#[test]
fn predictions_that_turn_hostile_are_dropped_and_missing_ones_not_missed() {
    let seed = random::seed();
    let mut turned = independent(Size::USUAL, seed);
    for (step, plan) in (0u64..).zip(&mut turned.steps).skip(20) {
        for hint in plan.before.iter_mut().chain(&mut plan.after) {
            // What comes soon is predicted late, after 20 steps in which all was right.
            let gap = hint.next_use.step().map_or(0, |at| at - step);
            hint.next_use = NextUse::at(step + 25u64.saturating_sub(gap).max(1));
        }
    }
    for trace in [turned, independent(Size::USUAL, seed).without_hints()] {
        let times = times(&trace, Machine::link_bound);
        let best = times["lru"].min(times["random"]).min(times["own gap"]);
        assert!(times["hedge"] <= best * 1.05, "{times:?}");
    }
}

#[test]
fn without_predictions_a_hedge_follows_the_past() {
    let times = times(&zipf(Size::USUAL, random::seed()), Machine::link_bound);
    assert!(times["own gap"] * 1.05 < times["lru"], "{times:?}");
    assert!(times["hedge"] <= times["own gap"] * 1.05, "{times:?}");
    assert!((times["distance"] / times["lru"] - 1.0).abs() < 0.01, "the same order: {times:?}");
}

#[test]
fn when_the_processor_is_the_bottleneck_overlap_is_all() {
    for trace in all(Size { agents: 200, steps: 60 }, random::seed()) {
        let times = times(&trace, Machine::compute_bound);
        for (name, time) in &times {
            let fine = if *name == "swap" { *time > 1.25 } else { *time < 1.02 };
            assert!(fine, "{name} on {}: {times:?}", trace.name);
        }
    }
}

#[test]
fn with_right_predictions_almost_nothing_is_fetched_in_vain() {
    let trace = independent(Size::USUAL, random::seed());
    for machine in [Machine::link_bound as Machines, Machine::compute_bound] {
        let outcome = &outcomes(&trace, machine, 1)["distance"];
        let totals = outcome.totals;
        assert!(totals.wasted_bytes * 100 <= totals.prefetch_bytes, "{totals:?}");
        assert!(outcome.bytes_ratio() <= 1.15, "{}", outcome.bytes_ratio());
    }
}

#[test]
fn written_states_are_written_back_and_only_what_was_written() {
    let trace = independent(Size::USUAL, random::seed());
    let writes = Trace { writes: true, ..trace.clone() };
    let (clean, dirty) =
        (outcomes(&trace, Machine::link_bound, 1), outcomes(&writes, Machine::link_bound, 1));
    for (name, outcome) in dirty {
        assert_eq!(clean[name].totals.written_bytes, 0);
        let totals = outcome.totals;
        let copied = totals.demand_bytes + totals.prefetch_bytes;
        assert!(
            totals.written_bytes > 0 && totals.written_bytes <= copied / 8,
            "{name}: {totals:?}"
        );
    }
}

#[test]
fn a_run_can_be_repeated() {
    let seed = random::seed();
    for trace in all(Size { agents: 100, steps: 20 }, seed) {
        let fingerprint = || -> Vec<_> {
            let outcomes = outcomes(&trace, Machine::link_bound, seed);
            outcomes.values().map(|outcome| (outcome.ns, outcome.totals)).collect()
        };
        assert_eq!(fingerprint(), fingerprint(), "{}", trace.name);
    }
}
