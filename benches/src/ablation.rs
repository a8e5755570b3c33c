//! Owns the ablation: ACE-Alloc with one part switched off a time, and its table.

use serde_json::json;

use crate::allocators::{Allocator, Library};
use crate::cli::Common;
use crate::machine::Machine;
use crate::rounds::{self, Bench, Outcome, Row};
use crate::settings::{self, Program};
use crate::workshop::{Contestant, LeftOut, Ready, Workshop};
use crate::{report, table};

type Settings = &'static [(&'static str, &'static str)];

/// What the second group is compared with.
const PLACED: &str = "table";
/// A figure that does not depend on the row.
const SAME_FOR_ALL: &str = "limit_mib";
const WATCH: (&str, &str) = ("BENCH_WATCH", "1");
const TUNE: (&str, &str) = ("ACE_MODE", "tune");
const OFF: (&str, &str) = ("ACE_MODE", "off");
const POOL: (&str, &str) = ("ACE_ROUTE", "pool-only");
/// No superslab is drained, and nothing is given back.
const KEEP: (&str, &str) = ("ACE_DIALS", "drain_permille=0,dirty_floor_kib=1073741824");
const ONE: (&str, &str) = ("ACE_DIALS", "refill_max=1");
/// Budgets that are never short: no class is asked for the room that its magazines grew to.
const ROOM: (&str, &str) = ("ACE_DIALS", "cap_thread_kib=1048576,cap_process_kib=1073741824");
/// No depot of a sleeping thread is emptied.
const IDLE: (&str, &str) = ("ACE_DIALS", "idle_ms=0");
const BARE: (&str, &str) =
    ("ACE_DIALS", "drain_permille=0,dirty_floor_kib=1073741824,refill_max=1");

/// The rows; those with a worker of their own are the second group.
static ROWS: &[Allocator] = &[
    part("tune", &[WATCH, TUNE], "ACE as it tunes itself"),
    part("tune+tender", &[WATCH, TUNE, ("ACE_TENDER", "1")], "with a thread that turns ACE"),
    part("off", &[WATCH, OFF], "ACE off: the first dials (profile balanced), fixed"),
    part("full", &[WATCH, OFF, ("ACE_PROFILE", "full")], "ACE off, time before memory"),
    part(
        "conservative",
        &[WATCH, OFF, ("ACE_PROFILE", "conservative")],
        "ACE off, memory before time",
    ),
    part("tune-two-speed", &[WATCH, TUNE, POOL], "no magazines: every call takes the shared pool"),
    part("off-two-speed", &[WATCH, OFF, POOL], "ACE off, no magazines"),
    part("tune-release", &[WATCH, TUNE, KEEP], "no tiering of superslabs, no memory given back"),
    part("off-release", &[WATCH, OFF, KEEP], "ACE off, no tiering, no memory given back"),
    part("tune-refill", &[WATCH, TUNE, ONE], "magazines refilled with one block a time"),
    part("off-refill", &[WATCH, OFF, ONE], "ACE off, magazines refilled with one block a time"),
    part("tune-shrink", &[WATCH, TUNE, ROOM], "magazines that grew never shrink"),
    part("tune-idle-trim", &[WATCH, TUNE, IDLE], "depots of sleeping threads are left alone"),
    part("bare", &[WATCH, OFF, BARE], "ACE, tiering, release and refill in batches off together"),
    placed(PLACED, "ace-table", "prefixes in tables beside the heap, as deployed; no ACE"),
    placed("tail", "ace-tail", "prefixes in the tail of each slab, as in the paper"),
    placed("header", "ace-header", "tables, and 16 bytes in front of each block that free checks"),
];

const fn part(name: &'static str, settings: Settings, about: &'static str) -> Allocator {
    let library = Library::Ace { unchecked: false };
    Allocator { name, worker: "glibc", library, settings, by_default: true, about }
}

const fn placed(name: &'static str, worker: &'static str, about: &'static str) -> Allocator {
    let settings = &[WATCH];
    Allocator { name, worker, library: Library::Linked, settings, by_default: true, about }
}

/// Every bench, and whether it runs without being asked for.
fn known() -> [(bool, Bench); 9] {
    [
        (true, Bench::new("tiny-hot", &[64, 100, 300_000])),
        (true, Bench::new("random-mixed", &[4_000_000, 100_000, 42])),
        (true, Bench::new("mid-mt", &[2, 4_000_000, 1024, 42])),
        (true, Bench::new("larson", &[2, 20, 100_000, 5000, 42])),
        (true, Bench::new("fill-call", &[256, 0, 1000, 42])),
        (true, Bench::new("fill-sleep", &[256, 0, 4000, 42])),
        (true, Bench::new("oscillate", &[256, 12, 0, 42])),
        (false, Bench::new("sleepers", &[2, 20, 100_000, 5000, 42])),
        (false, Bench::new("phases", &[40_000_000, 140_000_000, 130_000_000, 2000, 42])),
    ]
}

/// The benches of these names, or the usual ones.
fn benches(asked: Option<&[String]>) -> Result<Vec<Bench>, String> {
    let Some(names) = asked else {
        return Ok(known().into_iter().filter(|(usual, _)| *usual).map(|(_, b)| b).collect());
    };
    let named = |name: &String| {
        let found = known().into_iter().find(|(_, bench)| bench.name == name.trim());
        found.map(|(_, bench)| bench).ok_or_else(|| {
            let known = Vec::from_iter(known().iter().map(|(_, bench)| bench.name)).join(", ");
            format!("no bench of the ablation is called {name}; there are {known}")
        })
    };
    names.iter().map(named).collect()
}

/// Measures and reports; `Ok(false)` when a worker failed.
pub fn perform(asked: Option<&[String]>, common: &Common) -> Result<bool, String> {
    let benches = benches(asked)?;
    settings::refuse_inherited()?;
    let (contestants, left_out) = contestants(common)?;
    let references = references(&contestants, common)?;
    let machine = Machine::read();
    let outcomes =
        Vec::from_iter(benches.into_iter().map(|bench| rounds::run(bench, &contestants, common)));
    let mut text = format!("# Ablation\n\n{}\n", machine.describe());
    text.push_str(&format!(
        "\nMedians over the rounds ({}), one process a row and round, rows interleaved, layout {}.\n",
        common.rounds,
        common.layout.word()
    ));
    text.push_str(&arguments(&outcomes));
    for LeftOut { allocator, why } in &left_out {
        text.push_str(&format!("\n* left out: `{allocator}`: {why}"));
    }
    for (title, reference) in [("Parts", references[0]), ("Where prefixes lie", references[1])] {
        if let Some(reference) = reference {
            text.push_str(&group(title, reference, &outcomes));
        }
    }
    report::print(&text, common);
    let basis = references.into_iter().flatten().next().unwrap_or_default();
    if let Some(path) = &common.csv {
        report::write(path, &report::csv(&outcomes, basis, common.layout))?;
    }
    if let Some(path) = &common.json {
        let mut value = report::document("ablation", &machine, &outcomes, &left_out, basis);
        value["layout"] = json!(common.layout.word());
        value["about"] = ROWS.iter().map(|row| (row.name.to_owned(), json!(row.about))).collect();
        report::write_json(path, &value)?;
    }
    Ok(outcomes.iter().all(|outcome| outcome.complaints.is_empty()))
}

/// The rows that take part: the ones asked for, or all that this build of the library can be.
fn contestants(common: &Common) -> Result<Ready, String> {
    let named = |name: &String| {
        ROWS.iter().find(|row| row.name == name.trim()).ok_or_else(|| {
            let known = Vec::from_iter(ROWS.iter().map(|row| row.name)).join(", ");
            format!("no row is called {name}; there are {known}")
        })
    };
    let rows = match &common.peers {
        Some(names) => names.iter().map(named).collect::<Result<Vec<_>, _>>()?,
        None => ROWS.iter().collect(),
    };
    let workshop = Workshop::open(!common.workers.no_build)?;
    let (mut ready, mut left_out) = (Vec::new(), Vec::new());
    for row in rows {
        match prepare(&workshop, row) {
            Ok(contestant) => ready.push(contestant),
            Err(why) if common.peers.is_some() => return Err(format!("{}: {why}", row.name)),
            Err(why) => left_out.push(LeftOut { allocator: row.name, why }),
        }
    }
    match ready.is_empty() {
        true => Err(format!("no row can run here: {}", left_out[0].why)),
        false => Ok((ready, left_out)),
    }
}

fn prepare(workshop: &Workshop, row: &'static Allocator) -> Result<Contestant, String> {
    let contestant = workshop.prepare(row)?;
    let Some(library) = &contestant.library else { return Ok(contestant) };
    match Program::read(library)?.unknown(&contestant.settings) {
        Some(name) => Err(format!("this build of the library does not know {name}")),
        None => Ok(contestant),
    }
}

/// What the rows of each group are compared with; none for a group without rows.
fn references(
    contestants: &[Contestant],
    common: &Common,
) -> Result<[Option<&'static str>; 2], String> {
    let names = |second: bool| {
        let rows = contestants.iter().map(|contestant| contestant.allocator);
        rows.filter(move |row| is_placed(row) == second).map(|row| row.name)
    };
    let first = match &common.reference {
        Some(asked) => Some(
            names(false)
                .find(|name| name == asked)
                .ok_or(format!("--reference {asked} is not a row of the first group"))?,
        ),
        None => names(false).next(),
    };
    Ok([first, names(true).find(|name| *name == PLACED).or(names(true).next())])
}

fn is_placed(row: &Allocator) -> bool {
    row.library == Library::Linked
}

/// The benches and their arguments.
fn arguments(outcomes: &[Outcome]) -> String {
    let words = |outcome: &Outcome| format!("`{} {}`", outcome.bench.name, outcome.bench.words());
    format!("Benches: {}.\n", Vec::from_iter(outcomes.iter().map(words)).join(", "))
}

/// The tables of one group.
fn group(title: &str, reference: &str, outcomes: &[Outcome]) -> String {
    let second = ROWS.iter().any(|row| row.name == reference && is_placed(row));
    let rows = Vec::from_iter(ROWS.iter().filter(|row| is_placed(row) == second));
    let mib = |kib: f64| format!("{:.1}", kib / 1024.0);
    let speed = |outcome: &Outcome, row: &Row| {
        let ratio = outcome.row(reference).map_or(1.0, |basis| row.ratio_to(basis));
        format!("{:.1} ({ratio:.2})", row.mops())
    };
    let mut text = format!("\n## {title}\n\nThroughput, M ops/s (times `{reference}`)\n\n");
    text.push_str(&by_bench(&rows, outcomes, speed));
    text.push_str("\nPeak RSS, MiB\n\n");
    text.push_str(&by_bench(&rows, outcomes, |_, row| mib(row.peak_kib())));
    text.push_str("\nMean RSS, MiB\n\n");
    text.push_str(&by_bench(&rows, outcomes, |_, row| {
        row.mean_kib().map_or_else(String::new, mib)
    }));
    if outcomes.iter().any(|outcome| outcome.rows.iter().flat_map(Row::story).next().is_some()) {
        text.push_str("\nMemory over time\n\n");
        text.push_str(&stories(&rows, outcomes));
    }
    text.push('\n');
    for row in rows.iter().filter(|row| outcomes.iter().any(|o| o.row(row.name).is_some())) {
        text.push_str(&format!("* `{}`: {}{}\n", row.name, row.about, variables(row)));
    }
    for complaint in outcomes.iter().flat_map(|outcome| &outcome.complaints) {
        text.push_str(&format!("\nNOT VALID: {complaint}\n"));
    }
    text
}

/// How to get this row in a program of one's own.
fn variables(row: &Allocator) -> String {
    let own = row.settings.iter().filter(|setting| **setting != WATCH);
    let words = Vec::from_iter(own.map(|(name, value)| format!("{name}={value}")));
    if words.is_empty() { String::new() } else { format!(" (`{}`)", words.join(" ")) }
}

/// A line a row, a column a bench.
fn by_bench(
    rows: &[&Allocator],
    outcomes: &[Outcome],
    cell: impl Fn(&Outcome, &Row) -> String,
) -> String {
    let mut head = vec!["row".to_owned()];
    head.extend(outcomes.iter().map(|outcome| outcome.bench.name.to_owned()));
    lines(head, rows, outcomes, |name| {
        let cells = outcomes
            .iter()
            .map(|outcome| outcome.row(name).map_or("-".to_owned(), |row| cell(outcome, row)));
        cells.collect()
    })
}

/// A line a row, a column for each figure that a bench measures besides.
fn stories(rows: &[&Allocator], outcomes: &[Outcome]) -> String {
    let figures = Vec::from_iter(outcomes.iter().flat_map(|outcome| {
        let names = outcome.rows.iter().take(1).flat_map(Row::story);
        let names = names.filter(|name| *name != SAME_FOR_ALL);
        names.map(move |name| (outcome, name.to_owned()))
    }));
    let mut head = vec!["row".to_owned()];
    head.extend(
        figures
            .iter()
            .map(|(outcome, figure)| format!("{} {}", outcome.bench.name, table::heading(figure))),
    );
    lines(head, rows, outcomes, |name| {
        let cells = figures.iter().map(|(outcome, figure)| {
            outcome.row(name).map_or("-".to_owned(), |row| table::figure(row.figure(figure)))
        });
        cells.collect()
    })
}

/// Markdown with a line for each row that finished anything.
fn lines(
    head: Vec<String>,
    rows: &[&Allocator],
    outcomes: &[Outcome],
    cells: impl Fn(&str) -> Vec<String>,
) -> String {
    let mut lines = vec![head];
    for row in rows.iter().filter(|row| outcomes.iter().any(|o| o.row(row.name).is_some())) {
        let mut line = vec![row.name.to_owned()];
        line.extend(cells(row.name));
        lines.push(line);
    }
    table::markdown(&lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::assert_dials_exist;

    #[test]
    fn benches_are_found_by_name() {
        let names = |asked: &[&str]| {
            let asked = Vec::from_iter(asked.iter().map(|name| (*name).to_owned()));
            benches(Some(&asked)).map(|found| Vec::from_iter(found.iter().map(|b| b.name)))
        };
        assert_eq!(names(&["phases", " larson"]), Ok(vec!["phases", "larson"]));
        assert!(names(&["larson", "fill"]).is_err_and(|why| why.contains("fill-call")));
        assert_eq!(benches(None).map(|usual| usual.len()), Ok(7));
    }

    #[test]
    fn rows_have_names_of_their_own_and_set_dials_that_exist() {
        for (index, row) in ROWS.iter().enumerate() {
            assert!(ROWS[..index].iter().all(|other| other.name != row.name), "{}", row.name);
            assert!(row.settings.contains(&WATCH), "{}", row.name);
            for (_, dials) in row.settings.iter().filter(|(name, _)| *name == "ACE_DIALS") {
                assert_dials_exist(dials);
            }
        }
    }
}
