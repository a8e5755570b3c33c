//! Experiments: each policy on each case with each seed, and what came of it as means over the seeds.
//! Floor: tool.
//!
//! The runs are spread over threads; the figures do not depend on how many there are.

mod contender;
mod row;

pub use contender::Contender;
pub use row::{Row, percentile};

use crate::{
    device::Machine,
    run::{Outcome, run},
    workload::Trace,
};
use std::{
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

/// How much memory a device has for states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Of the bytes of all states of a trace.
    Percent(u64),
    /// Absolute.
    Bytes(u64),
}

impl Memory {
    /// For the states of a trace.
    #[must_use]
    pub fn bytes(self, trace: &Trace) -> u64 {
        match self {
            Self::Percent(percent) => trace.percent_bytes(percent),
            Self::Bytes(bytes) => bytes,
        }
    }
}

/// The trace of a seed.
pub type Traces<'a> = Box<dyn Fn(u64) -> Trace + Sync + 'a>;
/// The machine on which a trace runs.
pub type Machines<'a> = Box<dyn Fn(&Trace, u64) -> Machine + Sync + 'a>;

/// One case of an experiment.
pub struct Case<'a> {
    /// What happens, by seed.
    pub trace: Traces<'a>,
    /// Where, by trace and seed.
    pub machine: Machines<'a>,
}

/// Why a run would make no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Nonsense {
    /// Some state would never fit.
    #[error(
        "{} of memory are too little: the largest state of seed {seed} has {}",
        in_gb(*memory_bytes),
        in_gb(*largest_bytes)
    )]
    TooLittleMemory {
        /// Of the device.
        memory_bytes: u64,
        /// Of a state.
        largest_bytes: u64,
        /// Of the trace.
        seed: u64,
    },
    /// Nothing would happen.
    #[error("the workload of seed {seed} has no requests: it takes more agents or more steps")]
    NoRequests {
        /// Of the trace.
        seed: u64,
    },
}

fn in_gb(bytes: u64) -> String {
    format!("{:.3} GB", bytes as f64 / 1e9)
}

/// One run.
///
/// # Errors
/// [`Nonsense`].
pub fn once(case: &Case, contender: Contender, seed: u64) -> Result<Outcome, Nonsense> {
    let trace = (case.trace)(seed);
    contend(contender, &trace, (case.machine)(&trace, seed), seed)
}

/// Runs every contender on every case with every seed, on so many threads; `done` is called after each
/// run. Returns for each case the rows of the contenders.
///
/// # Errors
/// [`Nonsense`]: the first, in the order of cases and seeds.
pub fn compare(
    cases: &[Case],
    contenders: &[Contender],
    seeds: &[u64],
    threads: usize,
    done: &(dyn Fn() + Sync),
) -> Result<Vec<Vec<Row>>, Nonsense> {
    let outcomes = outcomes(cases, contenders, seeds, threads, done)?;
    let mut by_case = outcomes.chunks(contenders.len() * seeds.len());
    let rows = |runs: &[Outcome]| {
        let of = |at: usize| runs.iter().skip(at).step_by(contenders.len());
        let rows = contenders.iter().enumerate().map(|(at, one)| Row::mean(*one, of(at)));
        rows.collect()
    };
    Ok(cases.iter().map(|_| rows(by_case.next().unwrap_or_default())).collect())
}

/// By case, seed and contender.
fn outcomes(
    cases: &[Case],
    contenders: &[Contender],
    seeds: &[u64],
    threads: usize,
    done: &(dyn Fn() + Sync),
) -> Result<Vec<Outcome>, Nonsense> {
    let traces = cases.len() * seeds.len();
    let made: Vec<Mutex<Weak<Trace>>> = (0..traces).map(|_| Mutex::default()).collect();
    let count = traces * contenders.len();
    let (next, failed_at) = (AtomicUsize::new(0), AtomicUsize::new(usize::MAX));
    let work = || {
        let mut results = Vec::new();
        // Kept from one run to the next: the runs on one trace follow one another.
        let mut held: Option<(usize, Arc<Trace>)> = None;
        loop {
            let at = next.fetch_add(1, Relaxed);
            if at >= count || at > failed_at.load(Relaxed) {
                return results;
            }
            let which = at / contenders.len();
            let (case, seed) = (&cases[which / seeds.len()], seeds[which % seeds.len()]);
            let trace = match held.take() {
                Some((same, trace)) if same == which => trace,
                _ => shared(&made[which], || (case.trace)(seed)),
            };
            let machine = (case.machine)(&trace, seed);
            let result = contend(contenders[at % contenders.len()], &trace, machine, seed);
            held = Some((which, trace));
            if result.is_err() {
                failed_at.fetch_min(at, Relaxed);
            }
            results.push((at, result));
            done();
        }
    };
    let mut results: Vec<(usize, Result<Outcome, Nonsense>)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        let results = workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        results.flatten().collect()
    });
    results.sort_by_key(|(at, _)| *at);
    results.into_iter().map(|(_, result)| result).collect()
}

/// A trace that another thread may have, or a new one.
fn shared(place: &Mutex<Weak<Trace>>, make: impl FnOnce() -> Trace) -> Arc<Trace> {
    // What is in it is whole at all times.
    let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
    place.upgrade().unwrap_or_else(|| {
        let trace = Arc::new(make());
        *place = Arc::downgrade(&trace);
        trace
    })
}

fn contend(
    contender: Contender,
    trace: &Trace,
    machine: Machine,
    seed: u64,
) -> Result<Outcome, Nonsense> {
    if trace.steps.iter().all(|step| step.requests.is_empty()) {
        return Err(Nonsense::NoRequests { seed });
    }
    let (memory_bytes, largest) = (machine.memory_bytes, trace.sizes.iter().copied().max());
    if let Some(largest_bytes) = largest.filter(|largest| *largest > memory_bytes) {
        return Err(Nonsense::TooLittleMemory { memory_bytes, largest_bytes, seed });
    }
    let arm = contender.arm(seed);
    Ok(if contender == Contender::Oracle {
        run(&trace.with_truth(), machine, arm)
    } else {
        run(trace, machine, arm)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        traces::{Sessions, Settings, mooncake, replay},
        workload::{Class, Hints, Size},
    };

    const SMALL: Size = Size { agents: 60, steps: 20 };

    fn case<'a>(size: Size, memory: Memory) -> Case<'a> {
        Case {
            trace: Box::new(move |seed| {
                Class::Independent.trace(size, seed).with_hints(Hints::Noisy, seed)
            }),
            machine: Box::new(move |trace, _| Machine::link_bound(memory.bytes(trace))),
        }
    }

    #[test]
    fn the_figures_do_not_depend_on_the_number_of_threads() {
        let cases = [case(SMALL, Memory::Percent(50)), case(SMALL, Memory::Bytes(5 << 30))];
        let rows = |threads| compare(&cases, &Contender::USUAL, &[1, 2, 3], threads, &|| ());
        let one = rows(1).expect("fine");
        assert_eq!(one.len(), 2);
        for threads in [2, 3, 16] {
            assert_eq!(rows(threads).expect("fine"), one, "{threads} threads");
        }
    }

    #[test]
    fn each_row_is_the_mean_of_its_own_policys_runs() {
        let cases = [case(SMALL, Memory::Percent(50))];
        let rows = |contenders: &[Contender], seeds: &[u64]| {
            compare(&cases, contenders, seeds, 2, &|| ()).expect("fine").remove(0)
        };
        let both = rows(&[Contender::Lru, Contender::Oracle], &[1, 2]);
        for (at, contender) in [Contender::Lru, Contender::Oracle].into_iter().enumerate() {
            let times = [1, 2].map(|seed| rows(&[contender], &[seed])[0].time_over_bound);
            let mean = f64::midpoint(times[0], times[1]);
            assert!((both[at].time_over_bound - mean).abs() < 1e-12, "{both:?} {times:?}");
            assert_eq!(both[at].policy, contender.name());
        }
        assert!(both[1].time_over_bound < both[0].time_over_bound, "the oracle is better");
    }

    #[test]
    fn the_oracle_knows_the_truth_whatever_the_others_are_told() {
        let rows = |hints| {
            let hinted = Case {
                trace: Box::new(move |seed| {
                    Class::Independent.trace(SMALL, seed).with_hints(hints, seed)
                }),
                ..case(SMALL, Memory::Percent(50))
            };
            let contenders = [Contender::Scalesim, Contender::Oracle];
            compare(&[hinted], &contenders, &[1], 1, &|| ()).expect("fine").remove(0)
        };
        let (told, lied_to) = (rows(Hints::Exact), rows(Hints::Inverted));
        assert_ne!(told[0], lied_to[0]);
        assert_eq!(told[1], lied_to[1]);
    }

    #[test]
    fn nobody_beats_the_bound_of_a_real_traces_requests() {
        let text = include_str!("traces/samples/mooncake.jsonl");
        let requests: Vec<_> =
            mooncake(text.as_bytes()).collect::<Result<_, _>>().expect("a good sample");
        let settings = Settings { bucket_ms: 500, kv_bytes_per_token: 128 << 10 };
        let made = replay("made", &requests, Sessions::Blocks, settings).expect("fine");
        let case = |memory_bytes| Case {
            trace: Box::new(|_| made.trace.clone()),
            machine: Box::new(move |_, _| Machine::link_bound(memory_bytes)),
        };
        let cases = [case(800 << 20), case(2 << 30)];
        for rows in compare(&cases, &Contender::ALL, &[1], 2, &|| ()).expect("fine") {
            for row in rows {
                assert!(row.time_over_bound >= 1.0 && row.bytes_over_min >= 1.0, "{row:?}");
            }
        }
        let all = compare(&[case(16 << 30)], &Contender::ALL, &[1], 2, &|| ()).expect("fine");
        let copied = all[0].iter().filter(|row| row.bytes_over_min > 1.0).count();
        assert_eq!(copied, 0, "what is born on the device and stays there is never copied to it");
    }

    #[test]
    fn every_run_is_announced() {
        let runs = AtomicUsize::new(0);
        let cases = [case(SMALL, Memory::Percent(50)), case(SMALL, Memory::Percent(60))];
        let done = || {
            runs.fetch_add(1, Relaxed);
        };
        compare(&cases, &[Contender::Ace, Contender::Lru], &[1, 2, 3], 2, &done).expect("fine");
        assert_eq!(runs.load(Relaxed), 12);
    }

    #[test]
    fn what_can_never_run_is_an_error_and_names_the_seed() {
        let compare = |case| compare(&[case], &[Contender::Ace], &[7, 8], 2, &|| ());
        let error = compare(case(SMALL, Memory::Bytes(1 << 20))).expect_err("too little");
        let largest_bytes = 512 << 20;
        let expected = Nonsense::TooLittleMemory { memory_bytes: 1 << 20, largest_bytes, seed: 7 };
        assert_eq!(error, expected);
        let nobody = Size { agents: 0, steps: 5 };
        let error = compare(case(nobody, Memory::Bytes(1 << 30))).expect_err("nothing happens");
        assert_eq!(error, Nonsense::NoRequests { seed: 7 });
    }
}
