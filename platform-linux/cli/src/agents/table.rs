//! The rows as a table for people. Floor: tool.

use super::output::Findings;
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

/// Columns as wide as they must be: words to the left, numbers to the right.
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
    let words_at = usize::from(point.is_some());
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max();
    let widths: Vec<usize> = (0..lines[0].len()).filter_map(width).collect();
    let mut text = format!("{}\n{}\n\n", findings.title, findings.device);
    for line in &lines {
        let mut written = String::new();
        for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
            let gap = if column == 0 { "" } else { "  " };
            let padding = " ".repeat(width - cell.chars().count());
            if column == words_at {
                written += &format!("{gap}{cell}{padding}");
            } else {
                written += &format!("{gap}{padding}{cell}");
            }
        }
        text += written.trim_end();
        text.push('\n');
    }
    text
}
