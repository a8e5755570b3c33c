//! The rows as drawings: bars for policies, lines for what varies. Floor: tool.

mod bars;
mod lines;

use super::output::Findings;
use ace_alloc_cuda_sim::experiment::Row;
use plotters::style::RGBColor;
use std::fmt;

const SIZE: (u32, u32) = (1000, 560);

/// A figure of the rows, as it is drawn.
#[derive(Clone, Copy)]
struct Figure {
    /// The axis.
    title: &'static str,
    /// Of a row.
    of: fn(&Row) -> f64,
    /// What no policy can fall below.
    floor: Option<f64>,
}

const TIME: Figure =
    Figure { title: "time over the lower bound", of: |row| row.time_over_bound, floor: Some(1.0) };
const BYTES: Figure = Figure {
    title: "bytes copied over the minimum",
    of: |row| row.bytes_over_min,
    floor: Some(1.0),
};
const THROUGHPUT: Figure =
    Figure { title: "throughput in requests a second", of: |row| row.throughput, floor: None };

/// The drawing that shows most.
pub fn main(findings: &Findings) -> Result<String, impl fmt::Display + use<>> {
    match varies(findings) {
        None => bars::bars(findings, [TIME, BYTES]),
        Some(_) => lines::lines(findings, THROUGHPUT),
    }
}

/// All drawings, with the names of their files.
pub fn all(findings: &Findings) -> Result<Vec<(String, String)>, impl fmt::Display + use<>> {
    let Some(name) = varies(findings) else {
        let drawing = bars::bars(findings, [TIME, BYTES]);
        return drawing.map(|drawing| vec![("policies.svg".to_owned(), drawing)]);
    };
    let drawn = |file: &str, figure| {
        lines::lines(findings, figure).map(|drawing| (format!("{file}-by-{name}.svg"), drawing))
    };
    [("throughput", THROUGHPUT), ("time", TIME), ("bytes", BYTES)]
        .into_iter()
        .map(|(file, figure)| drawn(file, figure))
        .collect()
}

/// What varies, in one word.
fn varies(findings: &Findings) -> Option<&'static str> {
    let name = findings.groups.first()?.point?.name;
    Some(name.split('_').next().unwrap_or(name))
}

/// Okabe and Ito's colours, which people with any colour vision tell apart, and two greys.
fn colour(policy: &str) -> RGBColor {
    match policy {
        "ace" => RGBColor(213, 94, 0),
        "lru" => RGBColor(0, 114, 178),
        "random" => RGBColor(153, 153, 153),
        "naive" => RGBColor(90, 90, 90),
        "scalesim" => RGBColor(0, 158, 115),
        "ewma" => RGBColor(86, 180, 233),
        "hedge" => RGBColor(230, 159, 0),
        "robust" => RGBColor(204, 121, 167),
        "cost" => RGBColor(200, 185, 20),
        _ => RGBColor(0, 0, 0),
    }
}
