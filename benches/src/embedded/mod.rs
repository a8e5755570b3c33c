//! Owns the comparison with allocators for kernels and microcontrollers: one arena, one trace, all heaps.
//!
//! | file | owns |
//! |---|---|
//! | `plan` | the groups and their loads |
//! | `worker` | the program that has the heaps (`benches/embedded`) |
//! | `lines` | what it said, as figures |
//! | `text`, `plot` | tables and pictures |

mod lines;
mod plan;
mod plot;
mod text;
mod worker;

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::cli::EmbeddedArgs;
use crate::machine::{self, Machine};
use crate::report;
use crate::workshop::Workshop;
use lines::{Line, Lines, figures};
pub use plan::Group;
use plan::Load;
use worker::{Heap, Worker};

/// All that was measured.
struct Comparison {
    machine: Machine,
    heaps: Vec<Heap>,
    loads: Vec<Load>,
    lines: Lines,
    /// Heaps that can't work under a load, with their reasons.
    unfit: Vec<String>,
    /// Promises that were not kept.
    complaints: Vec<String>,
}

/// Measures and reports; `Ok(false)` when a heap broke a promise.
pub fn perform(args: &EmbeddedArgs) -> Result<bool, String> {
    if let Some(folder) = &args.svg {
        // Said now rather than after half an hour.
        fs::create_dir_all(folder).map_err(|e| format!("cannot make {}: {e}", folder.display()))?;
    }
    let program = Workshop::open(!args.workers.no_build)?.embedded()?;
    let worker = Worker { program, limit: args.workers.limit };
    let heaps = chosen(worker.heaps()?, args.peers.as_deref())?;
    let loads = plan::loads(&args.groups, args.quick);
    let comparison = measure(&worker, heaps, loads, args);
    report::say(&text::whole(&comparison));
    if let Some(path) = &args.csv {
        report::write(path, &csv(&comparison.lines)?)?;
    }
    if let Some(path) = &args.json {
        report::write_json(path, &document(&comparison))?;
    }
    if let Some(folder) = &args.svg {
        for (name, drawing) in plot::all(&comparison).map_err(|e| format!("cannot draw: {e}"))? {
            report::write(&folder.join(name), &drawing)?;
        }
    }
    Ok(comparison.complaints.is_empty())
}

/// The heaps that were asked for, or all.
fn chosen(all: Vec<Heap>, asked: Option<&[String]>) -> Result<Vec<Heap>, String> {
    let Some(asked) = asked else { return Ok(all) };
    let find = |name: &String| {
        let found = all.iter().find(|heap| heap.name == name.trim()).cloned();
        found.ok_or(format!("no heap is called {name}"))
    };
    asked.iter().map(find).collect()
}

/// Does this heap take part in this group?
fn fits(heap: &Heap, group: Group) -> bool {
    match group {
        Group::Speed => true,
        Group::Latency => heap.is_floor() || !heap.is_bare(),
        Group::Threads | Group::Usable | Group::Fragments => !heap.is_bare(),
    }
}

/// Every load with every heap that fits: one pass that checks, then the rounds, each of which begins with
/// another heap.
fn measure(worker: &Worker, heaps: Vec<Heap>, loads: Vec<Load>, args: &EmbeddedArgs) -> Comparison {
    let (mut lines, mut unfit, mut complaints) = (Lines::default(), Vec::new(), Vec::new());
    let bar = ProgressBar::new(loads.len() as u64);
    let template = "embedded {bar:32} {pos}/{len} loads  {msg}";
    bar.set_style(ProgressStyle::with_template(template).expect("the template is valid"));
    for load in &loads {
        bar.set_message(load.name.clone());
        let mut fit = Vec::from_iter(heaps.iter().filter(|heap| fits(heap, load.group)));
        if load.group == Group::Speed {
            fit.retain(|heap| match worker.verify(heap, load) {
                // The floor is no allocator; it hands out what is taken.
                Err(why) if !heap.is_floor() => {
                    unfit.push(format!("{}: {}: {why}", heap.name, load.name));
                    false
                }
                _ => true,
            });
        }
        let rounds = if load.timed { args.rounds as usize } else { 1 };
        let mut said = Vec::from_iter(fit.iter().map(|_| Ok(Vec::<Value>::new())));
        for round in 0..rounds {
            for turn in 0..fit.len() {
                let at = (round + turn) % fit.len();
                if let Ok(values) = &mut said[at] {
                    machine::wait_until_idle(Duration::from_secs(u64::from(args.workers.quiet)));
                    match worker.ask(fit[at], load) {
                        Ok(value) => values.push(value),
                        Err(why) => said[at] = Err(why),
                    }
                }
            }
        }
        for (heap, said) in fit.iter().zip(said) {
            match said {
                Ok(values) => lines.0.extend(lines_of(load, heap, &values)),
                Err(why) => unfit.push(format!("{}: {}: {why}", heap.name, load.name)),
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    // Only the verification speaks of blocks.
    complaints.extend(unfit.iter().filter(|why| why.contains(": a block ")).cloned());
    Comparison { machine: Machine::read(), heaps, loads, lines, unfit, complaints }
}

/// The figures of one heap under one load, each over all rounds.
fn lines_of(load: &Load, heap: &Heap, values: &[Value]) -> Vec<Line> {
    let mut rounds = BTreeMap::<String, Vec<f64>>::new();
    let mut order = Vec::new();
    for (figure, number) in values.iter().flat_map(|value| figures(load, value)) {
        let list = rounds.entry(figure.clone()).or_default();
        if list.is_empty() {
            order.push(figure);
        }
        list.push(number);
    }
    let line = |figure: String| {
        rounds.remove(&figure).map(|list| Line::new(load, &heap.name, &figure, list))
    };
    order.into_iter().filter_map(line).collect()
}

/// A line for each figure.
fn csv(lines: &Lines) -> Result<String, String> {
    let trouble = |e: &dyn std::fmt::Display| format!("cannot make the CSV: {e}");
    let mut writer = csv::Writer::from_writer(Vec::new());
    for line in &lines.0 {
        writer.serialize(line).map_err(|e| trouble(&e))?;
    }
    let bytes = writer.into_inner().map_err(|e| trouble(&e))?;
    String::from_utf8(bytes).map_err(|e| trouble(&e))
}

fn document(comparison: &Comparison) -> Value {
    let heap =
        |heap: &Heap| json!({ "name": heap.name, "version": heap.version, "lock": heap.lock });
    json!({
        "bench": "embedded",
        "machine": comparison.machine,
        "heaps": Vec::from_iter(comparison.heaps.iter().map(heap)),
        "rows": comparison.lines.0,
        "left_out": comparison.unfit,
        "complaints": comparison.complaints,
    })
}
