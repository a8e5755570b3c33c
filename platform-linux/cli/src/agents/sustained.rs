//! How many agents a policy sustains: the most at which it does as many requests a second as LRU does with
//! some number. LRU itself may do as many again with more. Floor: tool.

use super::output::Findings;

/// Whose throughput is the measure.
const MEASURE: &str = "lru";

/// A head and a line for each number of agents; nothing unless their number varies and LRU takes part.
pub fn lines(findings: &Findings) -> Vec<Vec<String>> {
    let Some(curves) = curves(findings) else { return Vec::new() };
    let Some((_, measure)) = curves.iter().find(|(policy, _)| *policy == MEASURE) else {
        return Vec::new();
    };
    let head = ["requests/s".to_owned()].into_iter();
    let mut lines = vec![head.chain(curves.iter().map(|(name, _)| (*name).to_owned())).collect()];
    for (_, throughput) in measure {
        let sustained = curves.iter().map(|(_, curve)| sustained(curve, *throughput));
        lines.push([format!("{throughput:.1}")].into_iter().chain(sustained).collect());
    }
    lines
}

/// Agents and requests a second, by the number of agents.
type Curve = Vec<(f64, f64)>;

fn curves(findings: &Findings) -> Option<Vec<(&'static str, Curve)>> {
    let first = findings.groups.first()?;
    (first.point?.name == "agents").then_some(())?;
    let curve = |at: usize| {
        let point = |group: &super::output::Group| {
            Some((group.point?.value, group.rows.get(at)?.throughput))
        };
        let mut curve: Curve = findings.groups.iter().filter_map(point).collect();
        curve.sort_by(|one, other| one.0.total_cmp(&other.0));
        curve
    };
    Some(first.rows.iter().enumerate().map(|(at, row)| (row.policy, curve(at))).collect())
}

/// Where the curve last falls below the throughput: on the straight line between two numbers of agents.
fn sustained(curve: &Curve, throughput: f64) -> String {
    match curve.iter().rposition(|(_, own)| *own >= throughput) {
        None => format!("< {}", curve.first().map_or(0.0, |point| point.0)),
        Some(at) => match curve.get(at + 1) {
            None => format!(">= {}", curve[at].0),
            Some((beyond, less)) => {
                let (agents, more) = curve[at];
                let way = (more - throughput) / (more - less);
                format!("{:.0}", (agents + (beyond - agents) * way).floor())
            }
        },
    }
}
