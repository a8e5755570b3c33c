//! Owns the sweep: every point of a grid over the dials, the fixed profiles and ACE, and what they show.
//!
//! | file | owns |
//! |---|---|
//! | `grid` | the points and the benches |
//! | `record` | the CSV: what was measured, here or by a sweep that was stopped |
//! | `plane` | a point's place by throughput and memory, and the Pareto front |
//! | `plot`, `labels` | the picture |

mod grid;
mod labels;
mod plane;
mod plot;
mod record;

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::allocators::Allocator;
use crate::cli::SweepArgs;
use crate::machine::{self, Machine};
use crate::rounds::{self, Bench};
use crate::settings::{self, Program};
use crate::workshop::{Contestant, Workshop};
use crate::{report, table};
use grid::Point;
use plane::{Kind, Plane};
use record::{Identity, Line, Record};

/// The contestant whose dials are swept: the library as deployed.
const SWEPT: &str = "ace";

/// Measures what the CSV lacks, then reports.
pub fn perform(args: &SweepArgs) -> Result<bool, String> {
    if let Some(path) = &args.svg {
        // Said now rather than after half an hour.
        report::writable(path)?;
    }
    let points = grid::points(args.quick);
    let benches = grid::benches(args.scope);
    let machine = Machine::read();
    let grid = grid::identity(&points);
    let lines = match args.draw_only {
        true => record::read_for(&args.csv, &grid)?,
        false => measure(args, &points, &benches, &machine, grid)?,
    };
    let plane = Plane::new(&points, &benches, &lines);
    if plane.spots.is_empty() {
        return Err(format!("{} has no point with all benches", args.csv.display()));
    }
    report::say(&text(&plane, &machine));
    if let Some(path) = &args.svg {
        let scene = plot::Scene { plane: &plane, benches: &benches, machine: &machine };
        let drawing = scene.draw().map_err(|e| format!("cannot draw: {e}"))?;
        report::write(path, &drawing)?;
    }
    Ok(true)
}

/// All samples: those of the CSV, and those that it lacked.
fn measure(
    args: &SweepArgs,
    points: &[Point],
    benches: &[Bench],
    machine: &Machine,
    grid: String,
) -> Result<Vec<Line>, String> {
    settings::refuse_inherited()?;
    let mut contestant =
        Workshop::open(!args.workers.no_build)?.prepare(Allocator::named(SWEPT)?)?;
    let library = contestant.library.clone().unwrap_or_else(|| contestant.worker.clone());
    let library = Program::read(&library)?;
    let known = Vec::from_iter(points.iter().filter(|point| {
        let unknown = library.unknown(&point.settings);
        if let Some(option) = unknown {
            eprintln!("left out: {}: this build of the library does not know {option}", point.name);
        }
        unknown.is_none()
    }));
    let worker = Program::read(&contestant.worker)?.fingerprint();
    let identity = Identity {
        program: format!("{:016x}", library.fingerprint() ^ worker.rotate_left(1)),
        machine: format!("{} x {}", machine.cpus, machine.cpu),
        grid,
    };
    let mut record = Record::open(&args.csv, identity)?;
    let todo = Vec::from_iter(
        order(known.len(), args.rounds)
            .flat_map(|(round, at)| benches.iter().map(move |bench| (round, at, bench)))
            .filter(|&(round, at, bench)| !record.has(known[at], bench, round)),
    );
    let bar = progress(todo.len(), known.len() * benches.len() * args.rounds as usize);
    for (round, at, bench) in todo {
        bar.set_message(known[at].name.clone());
        machine::wait_until_idle(Duration::from_secs(u64::from(args.workers.quiet)));
        let sample =
            sample(&mut contestant, known[at], bench, args.workers.limit).map_err(|why| {
                let (point, csv) = (&known[at].name, args.csv.display());
                format!("{point}, {}: {why}\nthe same command goes on from {csv}", bench.name)
            })?;
        record.add(known[at], bench, round, &sample)?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(record.lines)
}

/// Round by round every point once, neighbours of the grid far apart in time, so that a slow minute of
/// the machine does not fall on one corner of the grid.
fn order(points: usize, rounds: u32) -> impl Iterator<Item = (u32, usize)> {
    const STRIDE: usize = 61;
    let stride = if points.is_multiple_of(STRIDE) { 1 } else { STRIDE };
    (0..rounds).flat_map(move |round| {
        (0..points).map(move |turn| (round, (turn * stride + round as usize) % points))
    })
}

fn progress(todo: usize, all: usize) -> ProgressBar {
    let bar = ProgressBar::new(all as u64).with_position((all - todo) as u64);
    // The rate of this run alone: what the CSV had took no time.
    bar.reset_eta();
    let template = "sweep {bar:32} {pos}/{len} samples, {eta} left  {msg}";
    bar.with_style(ProgressStyle::with_template(template).expect("the template is valid"))
}

/// One process.
fn sample(
    contestant: &mut Contestant,
    point: &Point,
    bench: &Bench,
    limit: u32,
) -> Result<rounds::Sample, String> {
    contestant.settings.clone_from(&point.settings);
    rounds::sample(bench, contestant, None, limit)
}

/// The front and the named points as tables.
fn text(plane: &Plane, machine: &Machine) -> String {
    let cells = |spot: &plane::Spot| {
        [spot.name.clone(), format!("{:.1}", spot.mops), format!("{:.2}", spot.mib)]
    };
    let mut front = vec![
        ["front of the fixed settings", "M ops/s", "mean RSS MiB"].map(str::to_owned).to_vec(),
    ];
    front.extend(plane.front.iter().map(|&at| cells(&plane.spots[at]).to_vec()));
    let heads = ["", "M ops/s", "mean RSS MiB", "speed over fixed", "memory over fixed"];
    let mut named = vec![heads.map(str::to_owned).to_vec()];
    for spot in plane.spots.iter().filter(|spot| spot.kind != Kind::Grid) {
        let mut line = cells(spot).to_vec();
        let ratio =
            |ratio: Option<f64>| ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
        line.push(ratio(plane.speed_over_fixed(spot)));
        line.push(ratio(plane.memory_over_fixed(spot)));
        named.push(line);
    }
    let mut text = format!("{}\n\n{}", machine.describe(), table::align(&front));
    if named.len() > 1 {
        text.push_str(&format!(
            "\n{}\nspeed over fixed: against the fastest fixed setting that needs no more memory; memory \
             over fixed: against\nthe leanest that is no slower; -: there is none\n",
            table::align(&named)
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_has_its_turn_once_a_round() {
        for points in [1, 24, 28, 61, 122, 184] {
            let mut turns = Vec::from_iter(order(points, 3));
            assert_eq!(turns.len(), 3 * points);
            turns.sort_unstable();
            turns.dedup();
            assert_eq!(turns.len(), 3 * points, "{points} points");
        }
        assert_eq!(order(0, 3).count(), 0);
    }
}
