//! Owns the tables: a row for each heap, a column for each load, and what stands against the best peer.

use std::collections::BTreeMap;

use super::Comparison;
use super::lines::{Lines, MADE, REFUSED};
use super::plan::{Group, Load};
use super::worker::Heap;
use crate::machine::Machine;
use crate::stats::median;
use crate::table::align;

/// A heap that refuses more of the requests than this is not ranked: the others do more work.
const MOST_REFUSED: f64 = 10.0;
/// What a heap that is not ranked has behind its figure.
const NOT_RANKED: &str = "*";
/// What a heap has before its figure that had no time for all steps.
const CUT_SHORT: &str = "~";

/// Which of two figures is the better one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Better {
    Less,
    More,
}

/// A column: the load, the figure, and what stands above.
struct Column<'a> {
    load: &'a Load,
    figure: &'static str,
    head: String,
}

/// What stands above all tables.
pub fn head(machine: &Machine) -> String {
    format!("{}\n", machine.describe())
}

/// The tables of one group, and what must be said of them.
pub fn group(comparison: &Comparison, group: Group) -> String {
    let loads = Vec::from_iter(comparison.loads.iter().filter(|load| load.group == group));
    let more = |title: &str, figure| {
        table(comparison, title, &columns(&loads, figure), Better::More, false)
    };
    let mut text = match group {
        Group::Speed => speed(comparison, &loads),
        Group::Latency => latency(comparison, &loads),
        Group::Threads => more("threads, million pairs a second", "M pairs/s"),
        Group::Usable => {
            more("usable, live ‰ of the arena at the first failure, fresh", "fresh ‰")
                + &more("usable, the same after churn", "churned ‰")
        }
        Group::Fragments => {
            more("after a million steps: the largest block, ‰ of what is free", "largest ‰ of free")
                + &more("blocks of the mix before a failure, ‰ of what is free", "again ‰ of free")
        }
    };
    if text.contains(NOT_RANKED) {
        let percent = MOST_REFUSED / 10.0;
        text += &format!(
            "\n{NOT_RANKED} refused more than {percent:.0} % of the requests: not ranked\n"
        );
    }
    if text.contains(CUT_SHORT) {
        text +=
            &format!("\n{CUT_SHORT} no time for all steps: the heap was full, and stirred less\n");
    }
    text + &unfit(comparison, group)
}

/// Who has no figures under which loads, and why: a line for each reason.
fn unfit(comparison: &Comparison, group: Group) -> String {
    let mut reasons = BTreeMap::<_, Vec<&str>>::new();
    for one in comparison.unfit.iter().filter(|unfit| unfit.group == group) {
        let verdict = if one.is_wrong() { "NOT VALID" } else { "left out" };
        reasons.entry((verdict, &one.heap, &one.why)).or_default().push(&one.load);
    }
    let line = |((verdict, heap, why), loads): ((&str, &String, &String), Vec<&str>)| {
        format!("{verdict}: {heap}: {why}: {}\n", loads.join("; "))
    };
    reasons.into_iter().map(line).collect()
}

fn columns<'a>(loads: &[&'a Load], figure: &'static str) -> Vec<Column<'a>> {
    let column = |load: &&'a Load| Column { load, figure, head: load.name.clone() };
    loads.iter().map(column).collect()
}

/// One table a family of loads that differ in how full the heap is, one for the rest; with and without
/// locks.
fn speed(comparison: &Comparison, loads: &[&Load]) -> String {
    let mut families = Vec::<(String, Vec<Column>)>::new();
    for load in loads {
        let (family, head) = match (load.fill, load.name.rsplit_once(", ")) {
            (Some(_), Some((family, fill))) => (family.to_owned(), fill.to_owned()),
            _ => ("further loads".to_owned(), load.name.clone()),
        };
        let column = Column { load, figure: "ns", head };
        match families.iter_mut().find(|(name, _)| *name == family) {
            Some((_, columns)) => columns.push(column),
            None => families.push((family, vec![column])),
        }
    }
    let mut text = String::new();
    for (family, columns) in &families {
        for (bare, how) in [(false, "with its lock"), (true, "without a lock")] {
            let title = format!("{family}, ns a pair of alloc and free, each {how}");
            text.push_str(&table(comparison, &title, columns, Better::Less, bare));
        }
    }
    text
}

fn latency(comparison: &Comparison, loads: &[&Load]) -> String {
    const FIGURES: [&str; 6] =
        ["alloc p50", "alloc p999", "alloc max", "free p50", "free p999", "free max"];
    let one = |load: &&Load| {
        let column = |figure: &'static str| Column { load, figure, head: figure.to_owned() };
        let title = format!("single calls, {}", load.name);
        table(comparison, &title, &FIGURES.map(column), Better::Less, false)
    };
    loads.iter().map(one).collect()
}

/// Rows of the heaps with locks, or of those without; the floor stands in both.
fn table(
    comparison: &Comparison,
    title: &str,
    columns: &[Column],
    better: Better,
    bare: bool,
) -> String {
    let lines = &comparison.lines;
    let shown = |heap: &&Heap| heap.is_floor() || heap.is_bare() == bare;
    let heaps = Vec::from_iter(comparison.heaps.iter().filter(shown));
    if heaps.iter().all(|heap| heap.is_floor()) {
        return String::new();
    }
    let mut rows = vec![vec!["heap".to_owned()]];
    rows[0].extend(columns.iter().map(|column| column.head.clone()));
    for heap in &heaps {
        let cells = Vec::from_iter(columns.iter().map(|column| cell(lines, column, heap)));
        if cells.iter().any(|cell| cell != "-") {
            rows.push([heap.name.clone()].into_iter().chain(cells).collect());
        }
    }
    if rows.len() == 1 {
        return String::new();
    }
    let best = Vec::from_iter(columns.iter().map(|column| best(lines, column, &heaps, better)));
    let names = best.iter().map(|best| best.map_or("-", |best| best.name.as_str()).to_owned());
    rows.push(["best peer".to_owned()].into_iter().chain(names).collect());
    for ace in heaps.iter().filter(|heap| heap.is_ace()) {
        let against = columns.iter().zip(&best).map(|(column, best)| {
            let ratio = best.and_then(|best| ratio(lines, column, ace, best, better));
            ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}x"))
        });
        rows.push([format!("{} is", ace.name)].into_iter().chain(against).collect());
    }
    format!("\n{title}\n{}", align(&rows))
}

/// Did the heap refuse too much to be ranked?
fn refuses(lines: &Lines, column: &Column, heap: &Heap) -> bool {
    lines.find(column.load, &heap.name, REFUSED).is_some_and(|line| line.median > MOST_REFUSED)
}

/// Was there no time for all steps?
fn cut_short(lines: &Lines, column: &Column, heap: &Heap) -> bool {
    lines.find(column.load, &heap.name, MADE).is_some_and(|line| line.median < 1e3)
}

fn cell(lines: &Lines, column: &Column, heap: &Heap) -> String {
    let Some(line) = lines.find(column.load, &heap.name, column.figure) else {
        return "-".to_owned();
    };
    let before = if cut_short(lines, column, heap) { CUT_SHORT } else { "" };
    let behind = if refuses(lines, column, heap) { NOT_RANKED } else { "" };
    let digits = match column.load.group {
        Group::Speed | Group::Threads => 1,
        Group::Usable | Group::Fragments | Group::Latency => 0,
    };
    format!("{before}{:.digits$}{behind}", line.median)
}

/// The peer with the best figure.
fn best<'a>(
    lines: &Lines,
    column: &Column,
    heaps: &[&'a Heap],
    better: Better,
) -> Option<&'a Heap> {
    let peers = heaps.iter().filter(|heap| !heap.is_ace() && !heap.is_floor());
    let ranked = peers.filter(|heap| !refuses(lines, column, heap));
    let figures = ranked.filter_map(|heap| {
        let line = lines.find(column.load, &heap.name, column.figure)?;
        Some((*heap, if better == Better::Less { line.median } else { -line.median }))
    });
    figures.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(heap, _)| heap)
}

/// How many times as good as the peer: the median over the rounds of the ratio within a round.
fn ratio(lines: &Lines, column: &Column, ace: &Heap, peer: &Heap, better: Better) -> Option<f64> {
    let own = lines.find(column.load, &ace.name, column.figure)?;
    let other = lines.find(column.load, &peer.name, column.figure)?;
    let pairs = own.rounds.iter().zip(&other.rounds);
    let ratios = pairs.map(|(own, other)| match better {
        Better::Less => other / own,
        Better::More => own / other,
    });
    let ratio = median(ratios);
    (!refuses(lines, column, ace) && ratio.is_finite()).then_some(ratio)
}
