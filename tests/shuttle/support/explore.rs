//! Runs a promise under many schedules: half of them random, half by PCT (few switches at chosen
//! moments, which is what most bugs need).

use ace_alloc_tests::random;
use shuttle::scheduler::{PctScheduler, RandomScheduler, ReplayScheduler, Scheduler};
use shuttle::{Config, MaxSteps, Runner};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Schedules of a promise in one geometry without `ACE_SHUTTLE_SCHEDULES`.
const USUAL: usize = 1000;
/// Priority changes of a PCT schedule, plus one.
const DEPTH: usize = 4;
/// A schedule takes some thousand steps; one that takes so many runs in circles.
const MOST_STEPS: usize = 300_000;

fn schedules() -> usize {
    let text = std::env::var("ACE_SHUTTLE_SCHEDULES").ok();
    text.map_or(USUAL, |text| text.parse().expect("ACE_SHUTTLE_SCHEDULES is a number"))
}

fn config() -> Config {
    let mut config = Config::new();
    config.stack_size = 256 << 10;
    config.max_steps = MaxSteps::FailAfter(MOST_STEPS);
    config.silence_warnings = true;
    config
}

#[derive(Debug, Default)]
struct Counts {
    schedules: AtomicU64,
    steps: AtomicU64,
}

fn run(scheduler: impl Scheduler + 'static, scenario: fn(), counts: &Arc<Counts>) {
    let counts = Arc::clone(counts);
    Runner::new(scheduler, config()).run(move || {
        counts.schedules.fetch_add(1, Ordering::Relaxed);
        scenario();
        counts.steps.fetch_add(shuttle::current::context_switches() as u64, Ordering::Relaxed);
    });
}

/// Runs `scenario` and says how many schedules that took. `promise` is the name of the test.
///
/// # Panics
/// If it fails; the schedule is printed then.
pub fn explore(promise: &str, scenario: fn()) {
    let counts = Arc::new(Counts::default());
    let seed = random::seed();
    let each = schedules().div_ceil(2);
    let result = catch_unwind(AssertUnwindSafe(|| {
        if let Ok(schedule) = std::env::var("ACE_SHUTTLE_REPLAY") {
            return run(ReplayScheduler::new_from_encoded(schedule.trim()), scenario, &counts);
        }
        run(RandomScheduler::new_from_seed(seed, each), scenario, &counts);
        run(PctScheduler::new_from_seed(seed, DEPTH, each), scenario, &counts);
    }));
    let schedules = counts.schedules.load(Ordering::Relaxed);
    let steps = counts.steps.load(Ordering::Relaxed) / schedules.max(1);
    let verdict = if result.is_ok() { "fine" } else { "FAILED in the last" };
    println!("shuttle: {promise} … {schedules} schedules of {steps} steps: {verdict}");
    if let Err(panic) = result {
        resume_unwind(panic);
    }
}
