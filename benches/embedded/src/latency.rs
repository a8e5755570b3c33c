//! Owns what single calls cost, in instructions and in time.

use crate::arena;
use crate::count;
use crate::heap::{Arena, Heap};
use crate::replay::{Call, Replay, Watcher};
use crate::ticks;
use crate::trace::Trace;
use serde_json::{Value, json};

/// Passes over the same trace. What the machine does besides rarely hits the same call each time.
const PASSES: usize = 9;
/// One in so many calls is as bad or worse: 1, then half as many with each step.
const RARITIES: u32 = 20;

/// Costs of the calls of one kind, in the order in which they were made.
#[derive(Default)]
struct Costs {
    alloc: Vec<u64>,
    free: Vec<u64>,
}

impl Costs {
    fn note(&mut self, call: Call, cost: u64) {
        match call {
            Call::Alloc => self.alloc.push(cost),
            Call::Free => self.free.push(cost),
            // The traces of this task don't resize.
            Call::Realloc => {}
        }
    }
}

/// Median, the worst in a thousand, the worst; and the whole distribution for a picture.
fn summary(mut costs: Vec<f64>) -> Value {
    if costs.is_empty() {
        return Value::Null;
    }
    costs.sort_by(f64::total_cmp);
    let rarest = |one_in: f64| costs[quantile(costs.len(), one_in)];
    let curve = Vec::from_iter((0..RARITIES).map(|halvings| rarest(f64::from(1 << halvings))));
    json!({
        "calls": costs.len(), "p50": rarest(2.0), "p999": rarest(1000.0),
        "max": costs[costs.len() - 1], "curve": curve,
    })
}

/// Which of so many sorted costs one in `one_in` reaches.
fn quantile(len: usize, one_in: f64) -> usize {
    let below = (len as f64 * (1.0 - 1.0 / one_in)).ceil() as usize;
    below.min(len - 1)
}

/// Instructions of the trace's calls, from the first one into the fresh heap: this task's words again,
/// with `marked` as the task.
pub fn instructions(words: &[&str]) -> Result<Value, String> {
    let mut costs = Costs::default();
    for (call, instructions) in count::run(words)? {
        costs.note(call, instructions);
    }
    let Costs { alloc, free } = costs;
    let summary = |costs: Vec<u64>| summary(Vec::from_iter(costs.iter().map(|&cost| cost as f64)));
    Ok(json!({ "alloc": summary(alloc), "free": summary(free) }))
}

/// Time of each call.
struct Timer {
    costs: Costs,
    overhead: u64,
}

impl Watcher for Timer {
    #[inline(always)]
    fn call<R>(&mut self, call: Call, work: impl FnOnce() -> R) -> R {
        let start = ticks::now();
        let result = work();
        let ticks = ticks::now() - start;
        self.costs.note(call, ticks.saturating_sub(self.overhead));
        result
    }
}

/// Nanoseconds of the same calls: of each call the shortest of several passes, every pass in a fresh
/// heap, so that a slow call is one that the heap made slow.
pub fn time<H: Heap>(arena: Arena, trace: &Trace) -> Result<Value, String> {
    let (mut allocs, mut frees) = (Vec::new(), Vec::new());
    for _ in 0..PASSES {
        let calls = trace.steps.len();
        let left = arena::in_child(2 * calls + 2, |left| {
            // SAFETY: the child is this process's own copy, the heap a fresh one, and the last child,
            // which had the same arena, is gone.
            if unsafe { H::start(arena) }.is_err() {
                return;
            }
            let overhead = (0..1000).map(|_| {
                let start = ticks::now();
                ticks::now() - start
            });
            let overhead = overhead.min().unwrap_or(0);
            let costs = Costs { alloc: Vec::with_capacity(calls), free: Vec::with_capacity(calls) };
            let (mut timer, mut replay) = (Timer { costs, overhead }, Replay::<H>::new(trace));
            arena::settle();
            replay.go(&trace.steps, &mut timer);
            let Costs { alloc, free } = timer.costs;
            (left[0], left[1]) = (alloc.len() as u64, free.len() as u64);
            left[2..][..alloc.len()].copy_from_slice(&alloc);
            left[2 + calls..][..free.len()].copy_from_slice(&free);
        })?;
        let (made, freed) = (left[0] as usize, left[1] as usize);
        shorten(&mut allocs, &left[2..][..made]);
        shorten(&mut frees, &left[2 + calls..][..freed]);
    }
    let ns = ticks::nanoseconds();
    let summary = |costs: Vec<u64>| summary(costs.iter().map(|&t| t as f64 * ns).collect());
    Ok(json!({ "alloc": summary(allocs), "free": summary(frees) }))
}

/// Keeps the smaller of the two at each place.
fn shorten(least: &mut Vec<u64>, pass: &[u64]) {
    if least.is_empty() {
        *least = pass.to_vec();
    }
    for (least, &other) in least.iter_mut().zip(pass) {
        *least = (*least).min(other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_has_the_median_the_rare_and_the_worst() {
        let summary = summary((1..=10_000).map(f64::from).collect());
        assert_eq!(summary["p50"], 5001.0);
        assert_eq!(summary["p999"], 9991.0);
        assert_eq!(summary["max"], 10_000.0);
        assert_eq!(summary["curve"][0], 1.0, "every call costs at least this");
        assert_eq!(summary["curve"][RARITIES as usize - 1], 10_000.0);
        assert!(super::summary(Vec::new()).is_null());
        assert_eq!(super::summary(vec![7.0])["p999"], 7.0);
    }

    #[test]
    fn of_each_call_the_shortest_pass_counts() {
        let mut least = Vec::new();
        shorten(&mut least, &[5, 9, 2]);
        shorten(&mut least, &[6, 3, 2]);
        assert_eq!(least, [5, 3, 2]);
    }
}
