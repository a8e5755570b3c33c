//! Runs a model under loom, counts its interleavings, and demands that a seeded bug be found.

use loom::model::Builder;
use loom::sync::atomic::{AtomicU32, Ordering};
use std::cell::RefCell;
use std::io::{self, Write};
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// Preemptions up to which a mutant is searched, and that no model's bound is below.
const LEAST: usize = 3;

/// Steps of one interleaving, at most (chosen: loom's own default). No model comes near it.
const MOST_STEPS: usize = 1000;

/// Whether this is a deep run.
pub fn deep() -> bool {
    static DEEP: OnceLock<bool> = OnceLock::new();
    *DEEP.get_or_init(|| std::env::var_os("ACE_LOOM_DEEP").is_some_and(|value| value == "1"))
}

/// A counter that threads step before they enter a protocol by a load, so that loom tries every order of
/// the steps.
///
/// Loom finds the orders worth trying by the last access to each atomic. A thread's own load hides an
/// earlier load by another thread: of `load` here and `load, compare_exchange` there it tries one order
/// only. Read-modify-writes hide nothing. Relaxed ones make no order that could hide a bug, either.
pub struct Steps(AtomicU32);

impl Steps {
    pub fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    pub fn step(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Runs all interleavings of a model with so many preemptions at most, every day and in a deep run; its
/// assertions must hold in each. `LOOM_MAX_PREEMPTIONS` overrides the bound.
pub fn holds(number: &str, [daily, far]: [usize; 2], model: fn()) {
    assert!(daily >= LEAST && far >= LEAST, "{number} is to be exhaustive at {LEAST} preemptions");
    let preemptions = if deep() { far } else { daily };
    let preemptions = Builder::new().preemption_bound.unwrap_or(preemptions);
    let count = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    check(preemptions, &count, model);
    let (count, seconds) = (grouped(count.load(Relaxed)), begun.elapsed().as_secs_f32());
    let text = format!("{count} interleavings, {preemptions} preemptions, {seconds:.1} s");
    say(&format!("loom: {number} {text}"));
}

/// Runs a model on a changed protocol; some interleaving must break an assertion, race or hang. Few
/// preemptions first: most bugs need one or two, and the fewer there are the shorter is the search.
pub fn is_caught(mutant: &str, number: &str, model: fn()) {
    let count = Arc::new(AtomicU64::new(0));
    for preemptions in 0..=LEAST {
        let outcome = quietly(|| check(preemptions, &count, model));
        let Err(reason) = outcome else { continue };
        // Running out of steps would catch every mutant that loops, and also a model that is too long.
        assert!(!reason.contains("exceeded maximum"), "{mutant} in {number}: {reason}");
        let count = grouped(count.load(Relaxed));
        return say(&format!("loom: caught {mutant} in {number} after {count}: {reason}"));
    }
    panic!("{number} passes on the seeded bug {mutant}: nothing found in {count:?} interleavings");
}

fn check(preemptions: usize, count: &Arc<AtomicU64>, model: fn()) {
    let mut builder = Builder::new();
    builder.max_branches = MOST_STEPS;
    // A run that is cut off would pass for an exhaustive one.
    builder.max_duration = None;
    builder.max_permutations = None;
    builder.preemption_bound = Some(preemptions);
    let count = Arc::clone(count);
    builder.check(move || {
        count.fetch_add(1, Relaxed);
        model();
    });
}

thread_local! {
    /// First line of the panic that is expected on this thread.
    static EXPECTED: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs `body` and returns the first line of its panic, which is not printed.
fn quietly<R>(body: impl FnOnce() -> R) -> Result<R, String> {
    static HOOK: OnceLock<()> = OnceLock::new();
    HOOK.get_or_init(|| {
        let loud = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let expected = EXPECTED.with_borrow_mut(|expected| {
                if let (Some(said), Some(text)) = (expected.as_mut(), info.payload_as_str())
                    && said.is_empty()
                {
                    *said = first_line(text);
                }
                expected.is_some()
            });
            if !expected {
                loud(info);
            }
        }));
    });
    EXPECTED.set(Some(String::new()));
    let outcome = panic::catch_unwind(AssertUnwindSafe(body));
    let said = EXPECTED.take().unwrap_or_default();
    outcome.map_err(|_| said)
}

fn first_line(text: &str) -> String {
    text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default().into()
}

/// On a line of its own, and on standard error itself, because the test runner keeps what a passing test prints.
fn say(line: &str) {
    let _ = io::stderr().write_all(format!("\n{line}\n").as_bytes());
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| std::str::from_utf8(group).expect("digits"))
        .collect();
    groups.join(",")
}
