//! Owns what leaves the program: table to a stream, CSV and JSON to files.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::{Common, Layout};
use crate::machine::Machine;
use crate::rounds::{Outcome, Row, Sample};
use crate::table;
use crate::workshop::LeftOut;

/// One row of the JSON.
#[derive(Serialize)]
struct JsonRow<'a> {
    bench: &'a str,
    allocator: &'a str,
    version: &'a str,
    /// Median of `rounds`.
    mops: f64,
    /// Smallest and largest of `rounds`.
    spread: [f64; 2],
    ns_per_op: f64,
    peak_rss_kib: u64,
    start_rss_kib: u64,
    end_rss_kib: u64,
    mean_rss_kib: Option<f64>,
    /// Medians of what the bench measures besides; null is "never".
    story: BTreeMap<&'a str, Option<f64>>,
    /// Times as fast as each other allocator (median over the rounds).
    ratio_to: BTreeMap<&'a str, f64>,
    /// Throughput of each round.
    rounds: Vec<f64>,
}

/// Prints the table and writes the files that were asked for.
pub fn publish(
    title: &str,
    machine: &Machine,
    outcomes: &[Outcome],
    left_out: &[LeftOut],
    reference: &str,
    common: &Common,
) -> Result<(), String> {
    let mut text = table::head(machine, left_out);
    text.push_str(&format!("layout {}\n", common.layout.word()));
    for outcome in outcomes {
        text.push_str(&table::bench(outcome, reference));
    }
    if outcomes.len() > 1 {
        text.push_str(&table::summary(outcomes, reference));
    }
    print(&text, common);
    if let Some(path) = &common.csv {
        write(path, &csv(outcomes, reference, common.layout))?;
    }
    if let Some(path) = &common.json {
        let mut value = document(title, machine, outcomes, left_out, reference);
        value["layout"] = json!(common.layout.word());
        write_json(path, &value)?;
    }
    Ok(())
}

/// The table's stream: stdout, unless the JSON has it.
pub fn print(text: &str, common: &Common) {
    match common.json.as_deref() == Some(Path::new("-")) {
        true => eprint!("{text}"),
        false => say(text),
    }
}

/// Writes to stdout. A reader who has gone (`| head`) is no reason to panic.
pub fn say(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
}

/// Writes JSON to a file, or to stdout for `-`.
pub fn write_json(path: &Path, value: &Value) -> Result<(), String> {
    if path == Path::new("-") {
        say(&format!("{value:#}\n"));
        return Ok(());
    }
    write(path, &format!("{value:#}\n"))
}

/// Writes a text file.
pub fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|e| format!("cannot write {}: {e}", path.display()))
}

/// An error if a file of this name could not be written; an existing one stays as it is.
pub fn writable(path: &Path) -> Result<(), String> {
    let file = fs::OpenOptions::new().append(true).create(true).open(path);
    file.map(drop).map_err(|e| format!("cannot write {}: {e}", path.display()))
}

/// The JSON document.
pub fn document(
    title: &str,
    machine: &Machine,
    outcomes: &[Outcome],
    left_out: &[LeftOut],
    reference: &str,
) -> Value {
    let rows = Vec::from_iter(
        outcomes.iter().flat_map(|outcome| outcome.rows.iter().map(|row| json_row(outcome, row))),
    );
    let arguments = BTreeMap::from_iter(
        outcomes.iter().map(|outcome| (outcome.bench.name, &outcome.bench.arguments)),
    );
    let complaints = Vec::from_iter(outcomes.iter().flat_map(|outcome| outcome.complaints.iter()));
    let names = outcomes.first().map_or(&[][..], |outcome| &outcome.rows);
    let means = BTreeMap::from_iter(names.iter().filter_map(|row| {
        let [speed, memory] = table::means(outcomes, reference, row.allocator.name)?;
        Some((row.allocator.name, json!({ "speed": speed, "peak_rss": memory })))
    }));
    json!({
        "bench": title,
        "arguments": arguments,
        "machine": machine,
        "reference": reference,
        "rows": rows,
        "reference_over": means,
        "left_out": left_out
            .iter()
            .map(|one| json!({ "allocator": one.allocator, "why": one.why }))
            .collect::<Vec<_>>(),
        "complaints": complaints,
    })
}

/// One allocator in one bench.
fn json_row<'a>(outcome: &'a Outcome, row: &'a Row) -> JsonRow<'a> {
    let others = outcome.rows.iter().filter(|other| !std::ptr::eq(*other, row));
    JsonRow {
        bench: outcome.bench.name,
        allocator: row.allocator.name,
        version: &row.version,
        mops: row.mops(),
        spread: row.spread(),
        ns_per_op: 1e3 / row.mops(),
        peak_rss_kib: row.peak_kib() as u64,
        start_rss_kib: row.median(|sample| sample.start_rss_kib as f64) as u64,
        end_rss_kib: row.median(|sample| sample.end_rss_kib as f64) as u64,
        mean_rss_kib: row.mean_kib(),
        story: row.story().map(|name| (name, row.figure(name))).collect(),
        ratio_to: others.map(|other| (other.allocator.name, row.ratio_to(other))).collect(),
        rounds: row.samples.iter().map(Sample::mops).collect(),
    }
}

/// The CSV, one line per bench and allocator.
pub fn csv(outcomes: &[Outcome], reference: &str, layout: Layout) -> String {
    let mut text = format!(
        "bench,arguments,layout,allocator,version,rounds,mops,mops_min,mops_max,ns_per_op,\
         peak_rss_kib,start_rss_kib,end_rss_kib,\
         mean_rss_kib,story,{reference}_times_as_fast\n"
    );
    for outcome in outcomes {
        for row in &outcome.rows {
            let [low, high] = row.spread();
            let cells = [
                outcome.bench.name.to_owned(),
                outcome.bench.words(),
                layout.word().to_owned(),
                row.allocator.name.to_owned(),
                row.version.clone(),
                row.samples.len().to_string(),
                format!("{:.3}", row.mops()),
                format!("{low:.3}"),
                format!("{high:.3}"),
                format!("{:.4}", 1e3 / row.mops()),
                format!("{:.0}", row.peak_kib()),
                format!("{:.0}", row.median(|sample| sample.start_rss_kib as f64)),
                format!("{:.0}", row.median(|sample| sample.end_rss_kib as f64)),
                row.mean_kib().map_or(String::new(), |kib| format!("{kib:.0}")),
                story(row),
                outcome
                    .row(reference)
                    .map_or(String::new(), |basis| format!("{:.4}", basis.ratio_to(row))),
            ];
            text.push_str(&cells.map(|cell| quoted(&cell)).join(","));
            text.push('\n');
        }
    }
    text
}

/// What a bench measures besides, in one cell.
fn story(row: &Row) -> String {
    let figure = |name| format!("{name}={}", table::figure(row.figure(name)));
    Vec::from_iter(row.story().map(figure)).join(" ")
}

/// A CSV cell, in quotes if it needs them.
pub fn quoted(cell: &str) -> String {
    match cell.contains([',', '"', '\n']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn cells_with_commas_are_quoted() {
        assert_eq!(quoted("a b"), "a b");
        assert_eq!(quoted("a,\"b\""), "\"a,\"\"b\"\"\"");
    }
}
