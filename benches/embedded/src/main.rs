//! Owns the worker process of `ace-bench embedded`: one heap, one task, told as one line of JSON.

mod arena;
mod count;
mod heap;
mod heaps;
mod latency;
mod mix;
mod replay;
mod speed;
mod threads;
mod ticks;
mod trace;
mod usable;
mod verify;

use heap::{Arena, Heap};
use heaps::Visitor;
use mix::Mix;
use replay::Replay;
use serde_json::{Value, json};
use std::process::ExitCode;
use trace::Trace;

fn main() -> ExitCode {
    let words = Vec::from_iter(std::env::args().skip(1));
    match perform(&Vec::from_iter(words.iter().map(String::as_str))) {
        Ok(value) => {
            println!("{value}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("{why}");
            ExitCode::from(2)
        }
    }
}

fn perform(words: &[&str]) -> Result<Value, String> {
    match words {
        ["list"] => Ok(list()),
        [task, name, rest @ ..] => {
            let unknown = || format!("no heap is called {name}");
            heaps::visit(name, Task { task, name, words: rest }).ok_or_else(unknown)?
        }
        _ => Err("usage: WORKER list | WORKER TASK HEAP …".to_owned()),
    }
}

/// All heaps.
fn list() -> Value {
    let entry = |heap: &heaps::Entry| json!({ "name": heap.name, "version": heap.version, "lock": heap.lock });
    heaps::ALL.iter().map(entry).collect()
}

/// Where the arguments of a trace say how large the arena is.
const ARENA: usize = 2;

/// A task and its arguments.
struct Task<'a> {
    task: &'a str,
    name: &'a str,
    words: &'a [&'a str],
}

impl Task<'_> {
    fn number(&self, at: usize) -> Result<usize, String> {
        let word = self.words.get(at).ok_or(format!("argument {} is missing", at + 1))?;
        word.parse().map_err(|_| format!("not a number: {word}"))
    }

    fn word(&self, at: usize) -> &str {
        self.words.get(at).copied().unwrap_or("")
    }

    /// TRACE MIX ARENA PERMILLE STEPS SEED; the seed is so much further.
    fn trace(&self, further: u64) -> Result<Trace, String> {
        let (arena, fill, steps) = (self.number(ARENA)?, self.number(3)?, self.number(4)?);
        let seed = self.number(5)? as u64 + further;
        Trace::named(self.word(0), self.word(1), arena, fill, steps, seed)
    }
}

impl Visitor for Task<'_> {
    type Output = Result<Value, String>;

    fn visit<H: Heap>(self) -> Self::Output {
        match self.task {
            "speed" => {
                let (_, trace) = self.begin::<H>()?;
                Ok(speed::run::<H>(&trace))
            }
            "verify" => {
                let (arena, trace) = self.begin::<H>()?;
                Ok(json!({ "steps": verify::run::<H>(arena, &trace)? }))
            }
            "instructions" => {
                let own = ["marked", self.name];
                latency::instructions(&Vec::from_iter(own.iter().chain(self.words).copied()))
            }
            "marked" => {
                let (_, trace) = self.begin::<H>()?;
                Replay::<H>::new(&trace).go(&trace.steps, &mut count::Marker::new()?);
                Ok(Value::Null)
            }
            "time" => latency::time::<H>(arena::arena(self.number(ARENA)?), &self.trace(0)?),
            "fragments" => self.fragments::<H>(),
            "apart" => self.apart::<H>(),
            "handed-over" => self.handed_over::<H>(),
            "usable" => self.usable::<H>(),
            other => Err(format!("no task is called {other}")),
        }
    }
}

impl Task<'_> {
    /// TRACE MIX ARENA PERMILLE STEPS SEED: the heap in its arena, and the trace.
    fn begin<H: Heap>(&self) -> Result<(Arena, Trace), String> {
        let trace = self.trace(0)?;
        Ok((start::<H>(self.number(ARENA)?)?, trace))
    }

    /// TRACE MIX ARENA PERMILLE STEPS SEED THREADS: each thread fills as much as one alone would.
    fn apart<H: Heap>(&self) -> Result<Value, String> {
        let threads = self.number(6)?;
        if !H::SHARED || threads > heaps::CORES {
            return Err("not for so many threads".to_owned());
        }
        let traces = (0..threads as u64).map(|seed| self.trace(seed));
        let traces = traces.collect::<Result<Vec<_>, _>>()?;
        start::<H>(self.number(ARENA)?)?;
        Ok(threads::apart::<H>(&traces))
    }

    /// TRACE MIX ARENA PERMILLE BLOCKS SEED, of which trace and permille say nothing here.
    fn handed_over<H: Heap>(&self) -> Result<Value, String> {
        if !H::SHARED {
            return Err("not for two threads".to_owned());
        }
        start::<H>(self.number(ARENA)?)?;
        let (blocks, seed) = (self.number(4)? as u64, self.number(5)? as u64);
        Ok(threads::handed_over::<H>(Mix::parse(self.word(1))?, blocks, seed))
    }

    /// MIX ARENA ROUNDS SEEDS
    fn usable<H: Heap>(&self) -> Result<Value, String> {
        let mix = Mix::parse(self.word(0))?;
        let (bytes, rounds) = (self.number(1)?, self.number(2)?);
        let (mut fresh, mut churned) = (Vec::new(), Vec::new());
        for seed in 0..self.number(3)? {
            let left = arena::in_child(3, |left| {
                if start::<H>(bytes).is_ok() {
                    let usable = usable::run::<H>(mix, bytes, rounds, seed as u64);
                    left.copy_from_slice(&[1, usable.fresh as u64, usable.churned as u64]);
                }
            })?;
            if left[0] == 0 {
                return Err("it can't work in this arena".to_owned());
            }
            fresh.push(left[1] as f64 * 1e3 / bytes as f64);
            churned.push(left[2] as f64 * 1e3 / bytes as f64);
        }
        Ok(json!({ "fresh": fresh, "churned": churned }))
    }

    /// TRACE MIX ARENA PERMILLE STEPS SEED SEEDS: each seed in a fresh heap.
    fn fragments<H: Heap>(&self) -> Result<Value, String> {
        let (mix, bytes) = (Mix::parse(self.word(1))?, self.number(ARENA)?);
        let (mut largest, mut again) = (Vec::new(), Vec::new());
        let (mut asked, mut failed) = (0, 0);
        for further in 0..self.number(6)? as u64 {
            let trace = self.trace(further)?;
            let left = arena::in_child(6, |left| {
                if let Ok(arena) = start::<H>(bytes) {
                    let then = usable::after::<H>(arena, &trace, mix, further);
                    let sizes = [then.free, then.largest, then.again].map(|bytes| bytes as u64);
                    left[..3].copy_from_slice(&sizes);
                    left[3..].copy_from_slice(&[then.asked, then.failed, 1]);
                }
            })?;
            let &[free, one, many, some, refused, 1] = &left[..] else {
                return Err("it can't work in this arena".to_owned());
            };
            largest.push(one as f64 * 1e3 / free as f64);
            again.push(many as f64 * 1e3 / free as f64);
            (asked, failed) = (asked + some, failed + refused);
        }
        Ok(json!({ "largest": largest, "again": again, "asked": asked, "failed": failed }))
    }
}

/// The process's heap, in an arena of its own.
fn start<H: Heap>(bytes: usize) -> Result<Arena, String> {
    let arena = arena::arena(bytes);
    // SAFETY: the arena is new and the heap's alone; a process, or child, starts one heap.
    unsafe { H::start(arena) }?;
    Ok(arena)
}
