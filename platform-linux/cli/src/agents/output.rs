//! Where the rows go: a table, JSON, CSV, drawings. Floor: tool.

use super::{args::Output, plot, sweep::Point, table};
use crate::{
    Trouble,
    put::{print, put},
};
use ace_alloc_cuda_sim::experiment::Row;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use serde_json::Value;
use std::{collections::BTreeMap, fmt::Write as _, path::PathBuf};

/// What was compared, and what came of it.
pub struct Findings {
    /// One line: the workload.
    pub title: String,
    /// One line: the device.
    pub device: String,
    /// With what varied; one without, if nothing did.
    pub groups: Vec<Group>,
}

/// The rows of one value of what varies.
pub struct Group {
    pub point: Option<Point>,
    pub rows: Vec<Row>,
}

#[derive(Serialize)]
struct JsonRow<'a> {
    #[serde(flatten)]
    point: BTreeMap<&'static str, Value>,
    #[serde(flatten)]
    row: &'a Row,
}

#[derive(Serialize)]
struct Document<'a> {
    rows: Vec<JsonRow<'a>>,
}

/// A bar on a terminal, and nothing elsewhere.
pub fn bar(runs: usize) -> ProgressBar {
    let bar = ProgressBar::new(runs as u64);
    // The template is ours; the default would do as well.
    if let Ok(style) = ProgressStyle::with_template("agents {bar:30} {pos}/{len} runs, {eta} left")
    {
        bar.set_style(style);
    }
    bar
}

/// What can't be done is said before anything is computed.
pub fn check(output: &Output) -> Result<(), Trouble> {
    if is_standard(output.json.as_ref()) && is_standard(output.csv.as_ref()) {
        return Err(Trouble::own("JSON and CSV can't both go to standard output"));
    }
    if let Some(path) = &output.svg {
        let is_file = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("svg"));
        if !is_file && !path.is_dir() {
            return Err(Trouble::own(format_args!(
                "{} is neither a file ending in .svg nor a folder that exists",
                path.display()
            )));
        }
    }
    Ok(())
}

pub fn write(findings: &Findings, output: &Output) -> Result<(), Trouble> {
    if !is_standard(output.json.as_ref()) && !is_standard(output.csv.as_ref()) {
        print(&table::table(findings))?;
    }
    if let Some(path) = &output.json {
        put(path, &json(findings)?)?;
    }
    if let Some(path) = &output.csv {
        put(path, &csv(findings))?;
    }
    match &output.svg {
        Some(folder) if folder.is_dir() => {
            for (name, drawing) in plot::all(findings).map_err(Trouble::own)? {
                put(&folder.join(name), &drawing)?;
            }
        }
        Some(file) => put(file, &plot::main(findings).map_err(Trouble::own)?)?,
        None => {}
    }
    Ok(())
}

fn is_standard(path: Option<&PathBuf>) -> bool {
    path.is_some_and(|path| path.as_os_str() == "-")
}

fn json(findings: &Findings) -> Result<String, Trouble> {
    let rows = findings.groups.iter().flat_map(|group| {
        let point = group.point.map(|point| (point.name, point.json()));
        let point: BTreeMap<_, _> = point.into_iter().collect();
        group.rows.iter().map(move |row| JsonRow { point: point.clone(), row })
    });
    let document = Document { rows: rows.collect() };
    let text = serde_json::to_string(&document).map_err(|error| {
        Trouble::own(format_args!("the rows can't be written as JSON: {error}"))
    })?;
    Ok(text + "\n")
}

fn csv(findings: &Findings) -> String {
    let mut text = String::new();
    let point = findings.groups.first().and_then(|group| group.point);
    let first = point.map(|point| format!("{},", point.name)).unwrap_or_default();
    text += &first;
    text += "policy,time_over_bound,bytes_over_min,stall,wasted_prefetch,p50_ms,p99_ms,peak_device,throughput\n";
    for group in &findings.groups {
        let first = group.point.map(|point| point.in_words() + ",").unwrap_or_default();
        for row in &group.rows {
            // Writing to a string can't fail.
            let _ = writeln!(
                text,
                "{first}{},{},{},{},{},{},{},{},{}",
                row.policy,
                row.time_over_bound,
                row.bytes_over_min,
                row.stall,
                row.wasted_prefetch,
                row.p50_ms,
                row.p99_ms,
                row.peak_device,
                row.throughput
            );
        }
    }
    text
}
