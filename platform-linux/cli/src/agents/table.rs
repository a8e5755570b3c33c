//! The rows as a table for people. Floor: tool.

use super::{output::Findings, sustained};
use ace_alloc_cuda_sim::experiment::Row;

const HEADS: [&str; 8] =
    ["time/bound", "bytes/min", "stall", "wasted", "p50 ms", "p99 ms", "peak GB", "requests/s"];

fn cells(row: &Row) -> [String; 8] {
    [
        format!("{:.2}", row.time_over_bound),
        // Nothing had to be copied, and something was.
        if row.bytes_over_min.is_finite() {
            format!("{:.2}", row.bytes_over_min)
        } else {
            "-".to_owned()
        },
        format!("{:.1} %", row.stall * 100.0),
        format!("{:.1} %", row.wasted_prefetch * 100.0),
        format!("{:.1}", row.p50_ms),
        format!("{:.1}", row.p99_ms),
        format!("{:.1}", row.peak_device as f64 / 1e9),
        format!("{:.1}", row.throughput),
    ]
}

/// The rows, and how many agents each policy sustains if their number varies.
pub fn table(findings: &Findings) -> String {
    let point = findings.groups.first().and_then(|group| group.point);
    let mut lines: Vec<Vec<String>> = Vec::new();
    let first = point.map(|point| point.name.replace('_', " "));
    let heads = first.into_iter().chain(["policy".to_owned()]).chain(HEADS.map(str::to_owned));
    lines.push(heads.collect());
    for group in &findings.groups {
        for row in &group.rows {
            let first = group.point.map(super::sweep::Point::in_words);
            let words = first.into_iter().chain([row.policy.to_owned()]);
            lines.push(words.chain(cells(row)).collect());
        }
    }
    let rows = aligned(&lines, point.map_or(0, |_| 1));
    let mut text = format!("{}\n{}\n\n{rows}", findings.title, findings.device);
    let sustained = sustained::lines(findings);
    if !sustained.is_empty() {
        text += "\nagents that a policy sustains at the throughput of lru:\n\n";
        text += &aligned(&sustained, usize::MAX);
    }
    text
}

/// Columns as wide as they must be: numbers to the right, and the column of words to the left.
fn aligned(lines: &[Vec<String>], words_at: usize) -> String {
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max();
    let columns = lines.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..columns).filter_map(width).collect();
    let mut text = String::new();
    for line in lines {
        let cells = line.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            if column == words_at { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
    text
}
