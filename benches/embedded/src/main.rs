//! Owns the worker process of `ace-bench embedded`: one heap, one task, told as one line of JSON.

mod arena;
mod heap;
mod heaps;
mod mix;
mod replay;
mod speed;
mod trace;
mod usable;
mod verify;

use heap::Heap;
use heaps::Visitor;
use mix::Mix;
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
            heaps::visit(name, Task { task, words: rest }).ok_or_else(unknown)?
        }
        _ => Err("usage: WORKER list | WORKER TASK HEAP …".to_owned()),
    }
}

/// All heaps.
fn list() -> Value {
    let entry = |heap: &heaps::Entry| json!({ "name": heap.name, "version": heap.version, "lock": heap.lock });
    heaps::ALL.iter().map(entry).collect()
}

/// A task and its arguments.
struct Task<'a> {
    task: &'a str,
    words: &'a [&'a str],
}

impl Task<'_> {
    fn number(&self, at: usize) -> Result<usize, String> {
        let word = self.words.get(at).ok_or(format!("argument {} is missing", at + 1))?;
        word.parse().map_err(|_| format!("not a number: {word}"))
    }

    fn trace(&self) -> Result<Trace, String> {
        let word = |at: usize| self.words.get(at).copied().unwrap_or("");
        let (arena, fill, steps) = (self.number(2)?, self.number(3)?, self.number(4)?);
        Trace::named(word(0), word(1), arena, fill, steps, self.number(5)? as u64)
    }
}

impl Visitor for Task<'_> {
    type Output = Result<Value, String>;

    fn visit<H: Heap>(self) -> Self::Output {
        match self.task {
            "speed" => {
                let trace = self.trace()?;
                let arena = arena::arena(self.number(2)?);
                // SAFETY: the arena is new and the heap's alone.
                unsafe { H::start(arena) }?;
                Ok(speed::run::<H>(&trace))
            }
            "verify" => {
                let trace = self.trace()?;
                let arena = arena::arena(self.number(2)?);
                // SAFETY: the arena is new and the heap's alone.
                unsafe { H::start(arena) }?;
                verify::run::<H>(arena, &trace)?;
                Ok(json!({ "steps": trace.steps.len() }))
            }
            "usable" => self.usable::<H>(),
            other => Err(format!("no task is called {other}")),
        }
    }
}

impl Task<'_> {
    /// MIX ARENA ROUNDS SEEDS
    fn usable<H: Heap>(&self) -> Result<Value, String> {
        let mix = Mix::parse(self.words.first().copied().unwrap_or(""))?;
        let (bytes, rounds) = (self.number(1)?, self.number(2)?);
        let (mut fresh, mut churned) = (Vec::new(), Vec::new());
        for seed in 0..self.number(3)? {
            let left = arena::in_child(3, |left| {
                let arena = arena::arena(bytes);
                // SAFETY: the arena is new and the heap's alone.
                if unsafe { H::start(arena) }.is_err() {
                    return;
                }
                let usable = usable::run::<H>(mix, rounds, seed as u64);
                left.copy_from_slice(&[1, usable.fresh as u64, usable.churned as u64]);
            })?;
            if left[0] == 0 {
                return Err("it can't work in this arena".to_owned());
            }
            fresh.push(left[1] as f64 * 1e3 / bytes as f64);
            churned.push(left[2] as f64 * 1e3 / bytes as f64);
        }
        Ok(json!({ "fresh": fresh, "churned": churned }))
    }
}
