//! Owns the text for people: aligned tables, the lines below them.

use crate::allocators;
use crate::machine::Machine;
use crate::rounds::{Outcome, Row, Sample};
use crate::stats::geomean;
use crate::workshop::LeftOut;

/// Lines with columns as wide as their widest cell; the first column left, the others right.
pub fn align(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        lines.iter().filter_map(|l| l.get(column)).map(|c| c.chars().count()).max().unwrap_or(0)
    };
    let widths = Vec::from_iter((0..columns).map(width));
    let mut text = String::new();
    for line in lines {
        let mut row = String::new();
        for (column, cell) in line.iter().enumerate() {
            let width = widths[column];
            match column {
                0 => row.push_str(&format!("{cell:<width$}")),
                _ => row.push_str(&format!("  {cell:>width$}")),
            }
        }
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text
}

/// The same as a table of Markdown; the first line is the head.
pub fn markdown(lines: &[Vec<String>]) -> String {
    let mut lines = lines.to_vec();
    let columns = lines.first().map_or(0, Vec::len);
    for column in 0..columns {
        let cells = || lines.iter().map(|line| line[column].chars().count());
        let width = cells().max().unwrap_or(0).max(3);
        for line in &mut lines {
            let cell = &line[column];
            line[column] = match column {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            };
        }
    }
    let rule = |(column, cell): (usize, &String)| match column {
        0 => "-".repeat(cell.chars().count()),
        _ => "-".repeat(cell.chars().count() - 1) + ":",
    };
    if let Some(head) = lines.first() {
        let rule = head.iter().enumerate().map(rule).collect();
        lines.insert(1, rule);
    }
    lines.iter().map(|line| format!("| {} |\n", line.join(" | "))).collect()
}

/// The list behind `ace-bench peers`.
pub fn allocators() -> String {
    let width = allocators::ALL.iter().map(|a| a.name.len()).max().unwrap_or(0);
    allocators::ALL.iter().map(|a| format!("{:<width$}  {}\n", a.name, a.about)).collect()
}

/// The machine, and who is missing.
pub fn head(machine: &Machine, left_out: &[LeftOut]) -> String {
    let mut text = format!("{}\n", machine.describe());
    for one in left_out {
        text.push_str(&format!("left out: {}: {}\n", one.allocator, one.why));
    }
    text
}

/// One bench: a line per allocator, then what is wrong, then the sum of it.
pub fn bench(outcome: &Outcome, reference: &str) -> String {
    let rounds = outcome.rows.first().map_or(0, |row| row.samples.len());
    let mut text =
        format!("\n{} {}, median of {rounds} rounds\n", outcome.bench.name, outcome.bench.words());
    let basis = outcome.row(reference);
    let title = format!("{reference} is");
    let heads = ["allocator", "M ops/s", "min..max", "ns/op", "peak RSS KiB", "heap KiB", &title];
    let mut lines = vec![Vec::from(heads.map(str::to_owned))];
    let story = Vec::from_iter(outcome.rows.iter().take(1).flat_map(Row::story));
    lines[0].extend(story.iter().map(|name| heading(name)));
    lines[0].push("version".to_owned());
    for row in &outcome.rows {
        let [low, high] = row.spread();
        let heap = |s: &Sample| s.peak_rss_kib.saturating_sub(s.start_rss_kib) as f64;
        let mut line = vec![
            row.allocator.name.to_owned(),
            format!("{:.1}", row.mops()),
            format!("{low:.1}..{high:.1}"),
            format!("{:.2}", 1e3 / row.mops()),
            format!("{:.0}", row.peak_kib()),
            format!("{:.0}", row.median(heap)),
            basis.map_or("-".to_owned(), |basis| format!("{:.2}x", basis.ratio_to(row))),
        ];
        line.extend(story.iter().map(|name| figure(row.figure(name))));
        line.push(row.version.clone());
        lines.push(line);
    }
    text.push_str(&align(&lines));
    for complaint in &outcome.complaints {
        text.push_str(&format!("NOT VALID: {complaint}\n"));
    }
    if let Some(basis) = basis {
        text.push_str(&verdict(basis, &outcome.rows));
        if let Some(linked) = outcome.row("ace-linked").filter(|_| !basis.allocator.is_linked()) {
            text.push_str(&verdict(linked, &outcome.rows));
        }
    }
    text
}

/// The head of a figure's column.
pub fn heading(figure: &str) -> String {
    figure.replace('_', " ").replace("mib", "MiB")
}

/// A figure, or that it did not come to it.
pub fn figure(value: Option<f64>) -> String {
    value.map_or("never".to_owned(), |value| format!("{value:.1}"))
}

/// The reference against its peers in one line: geometric mean, and the fastest of them.
fn verdict(basis: &Row, rows: &[Row]) -> String {
    let peers = Vec::from_iter(rows.iter().filter(|row| is_peer(basis, row)));
    if peers.is_empty() {
        return String::new();
    }
    let speed = Vec::from_iter(peers.iter().map(|row| basis.ratio_to(row)));
    let memory = Vec::from_iter(peers.iter().map(|row| basis.peak_kib() / row.peak_kib()));
    let best = peers.iter().max_by(|a, b| a.mops().total_cmp(&b.mops())).expect("not empty");
    format!(
        "{}: {:.2}x as fast as {} peers called the same way (geometric mean), at {:.2}x their peak \
         RSS; \
         {:.2}x as fast as the fastest, {}\n",
        basis.allocator.name,
        geomean(&speed),
        peers.len(),
        geomean(&memory),
        basis.ratio_to(best),
        best.allocator.name
    )
}

/// Does `row` count as a peer of `basis`? Our own other builds do not, nor do those that are called in
/// another way: linked functions are compared with linked ones, preloaded with preloaded.
pub fn is_peer(basis: &Row, row: &Row) -> bool {
    basis.allocator.name != row.allocator.name
        && basis.allocator.is_linked() == row.allocator.is_linked()
        && !(basis.allocator.is_ace() && row.allocator.is_ace())
}

/// All benches in one table: throughput of each, then the geometric means against the reference.
pub fn summary(outcomes: &[Outcome], reference: &str) -> String {
    let mut lines = vec![vec!["M ops/s".to_owned()]];
    lines[0].extend(outcomes.iter().map(|outcome| outcome.bench.name.to_owned()));
    lines[0].extend([format!("{reference} is"), format!("{reference}'s RSS is")]);
    for row in outcomes.first().map_or(&[][..], |outcome| &outcome.rows) {
        let name = row.allocator.name;
        let mut line = vec![name.to_owned()];
        for outcome in outcomes {
            line.push(outcome.row(name).map_or("-".to_owned(), |r| format!("{:.1}", r.mops())));
        }
        if let Some([speed, memory]) = means(outcomes, reference, name) {
            line.extend([format!("{speed:.2}x as fast"), format!("{memory:.2}x as large")]);
        }
        lines.push(line);
    }
    format!("\nall benches, geometric means\n{}", align(&lines))
}

/// Geometric means over the benches of reference : `name`, throughput and peak RSS; none if one of
/// the two is missing anywhere.
pub fn means(outcomes: &[Outcome], reference: &str, name: &str) -> Option<[f64; 2]> {
    let (mut speed, mut memory) = (Vec::new(), Vec::new());
    for outcome in outcomes {
        let (basis, row) = (outcome.row(reference)?, outcome.row(name)?);
        speed.push(basis.ratio_to(row));
        memory.push(basis.peak_kib() / row.peak_kib());
    }
    (!outcomes.is_empty()).then(|| [geomean(&speed), geomean(&memory)])
}

#[cfg(test)]
mod tests {
    use super::{align, markdown};

    #[test]
    fn columns_line_up() {
        let lines = [["a", "10"], ["bcd", "5"]].map(|line| Vec::from(line.map(str::to_owned)));
        assert_eq!(align(&lines), "a    10\nbcd   5\n");
        assert_eq!(markdown(&lines), "| a   |  10 |\n| --- | --: |\n| bcd |   5 |\n");
    }
}
