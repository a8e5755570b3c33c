//! Owns the comparison with allocators for kernels and microcontrollers: one arena, one trace, all heaps.
//!
//! | file | owns |
//! |---|---|
//! | `plan` | the groups and their loads |
//! | `worker` | the program that has the heaps (`benches/embedded`) |
//! | `measure` | who is asked what, and when |
//! | `lines` | what it said, as figures |
//! | `text`, `plot` | tables and pictures |

mod lines;
mod measure;
mod plan;
mod plot;
mod text;
mod worker;

use std::fs;

use serde_json::{Value, json};

use crate::cli::EmbeddedArgs;
use crate::machine::Machine;
use crate::report;
use crate::workshop::Workshop;
use lines::Lines;
use measure::Course;
pub use plan::Group;
use plan::Load;
use worker::{Heap, Worker};

/// All that was measured.
struct Comparison {
    machine: Machine,
    heaps: Vec<Heap>,
    loads: Vec<Load>,
    lines: Lines,
    unfit: Vec<Unfit>,
}

/// A heap that has no figures under a load.
struct Unfit {
    group: Group,
    heap: String,
    load: String,
    why: String,
}

impl Unfit {
    fn new((load, heap): (&Load, &Heap), why: String) -> Self {
        Self { group: load.group, heap: heap.name.clone(), load: load.name.clone(), why }
    }

    /// Was a promise broken? Only the check speaks of blocks.
    fn is_wrong(&self) -> bool {
        self.why.contains("a block ")
    }
}

/// Measures and reports, group by group; `Ok(false)` when a heap broke a promise.
pub fn perform(args: &EmbeddedArgs) -> Result<bool, String> {
    if let Some(folder) = &args.svg {
        // Said now rather than after a quarter of an hour.
        fs::create_dir_all(folder).map_err(|e| format!("cannot make {}: {e}", folder.display()))?;
    }
    let program = Workshop::open(!args.workers.no_build)?.embedded()?;
    let worker = Worker { program, limit: args.workers.limit };
    let mut comparison = Comparison {
        machine: Machine::read(),
        heaps: chosen(worker.heaps()?, args.peers.as_deref())?,
        loads: plan::loads(&args.groups, args.quick),
        lines: Lines::default(),
        unfit: Vec::new(),
    };
    report::say(&text::head(&comparison.machine));
    let course = Course::new(&worker, args, &comparison);
    for group in Group::ALL {
        if !comparison.loads.iter().any(|load| load.group == group) {
            continue;
        }
        course.run(group, &mut comparison);
        course.pause(|| report::say(&text::group(&comparison, group)));
    }
    course.end();
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
    Ok(!comparison.unfit.iter().any(Unfit::is_wrong))
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

/// A line for each figure, but for the curves, which are for pictures.
fn csv(lines: &Lines) -> Result<String, String> {
    let trouble = |e: &dyn std::fmt::Display| format!("cannot make the CSV: {e}");
    let mut writer = csv::Writer::from_writer(Vec::new());
    for line in lines.0.iter().filter(|line| !lines::is_of_a_curve(&line.figure)) {
        writer.serialize(line).map_err(|e| trouble(&e))?;
    }
    let bytes = writer.into_inner().map_err(|e| trouble(&e))?;
    String::from_utf8(bytes).map_err(|e| trouble(&e))
}

fn document(comparison: &Comparison) -> Value {
    let heap =
        |heap: &Heap| json!({ "name": heap.name, "version": heap.version, "lock": heap.lock });
    let unfit = |one: &Unfit| json!({ "heap": one.heap, "load": one.load, "why": one.why });
    let (wrong, left_out) =
        comparison.unfit.iter().partition::<Vec<&Unfit>, _>(|one| one.is_wrong());
    json!({
        "bench": "embedded",
        "machine": comparison.machine,
        "heaps": Vec::from_iter(comparison.heaps.iter().map(heap)),
        "rows": comparison.lines.0,
        "left_out": Vec::from_iter(left_out.into_iter().map(unfit)),
        "complaints": Vec::from_iter(wrong.into_iter().map(unfit)),
    })
}
