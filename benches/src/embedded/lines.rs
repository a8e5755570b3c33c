//! Owns the figures: what a worker said as lines of one shape, whatever the group.

use super::plan::{Group, Load};
use crate::stats::median;
use serde::Serialize;
use serde_json::Value;

/// One figure of one heap under one load.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    pub group: &'static str,
    pub load: String,
    pub heap: String,
    /// What it is; the unit is part of the name.
    pub figure: String,
    pub median: f64,
    pub min: f64,
    pub max: f64,
    /// Each round's.
    #[serde(skip)]
    pub rounds: Vec<f64>,
}

impl Line {
    /// The same figure, out of each round.
    pub fn new(load: &Load, heap: &str, figure: &str, rounds: Vec<f64>) -> Self {
        let (min, max) = (
            rounds.iter().copied().fold(f64::INFINITY, f64::min),
            rounds.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        );
        Self {
            group: load.group.word(),
            load: load.name.clone(),
            heap: heap.to_owned(),
            figure: figure.to_owned(),
            median: median(rounds.iter().copied()),
            min,
            max,
            rounds,
        }
    }
}

/// Of the requests, those that the heap refused.
pub const REFUSED: &str = "refused ‰";
/// Of the steps that were planned, those for which there was time.
pub const MADE: &str = "made ‰";

/// What the worker said of a load, as figures with their names.
pub fn figures(load: &Load, said: &Value) -> Vec<(String, f64)> {
    let number = |key: &str| said[key].as_f64().unwrap_or(0.0);
    let permille = |part: &str, of: &str| match said[of].as_f64() {
        Some(of) if of > 0.0 => Some(number(part) * 1e3 / of),
        _ => None,
    };
    let mut figures = match load.group {
        Group::Speed => vec![("ns".to_owned(), number("ns") / number("asked").max(1.0))],
        Group::Threads => {
            vec![("M pairs/s".to_owned(), number("asked") * 1e3 / number("ns").max(1.0))]
        }
        Group::Usable => {
            ["fresh", "churned"].iter().flat_map(|key| means(key, "‰", said)).collect()
        }
        Group::Fragments => {
            ["largest", "again"].iter().flat_map(|key| means(key, "‰ of free", said)).collect()
        }
        Group::Latency => {
            ["alloc", "free"].iter().flat_map(|call| call_figures(call, said)).collect()
        }
    };
    let parts = [(REFUSED, permille("failed", "asked")), (MADE, permille("made", "planned"))];
    figures.extend(parts.into_iter().filter_map(|(name, part)| Some((name.to_owned(), part?))));
    figures
}

/// Calls, median, rare and worst of one kind of call, and the curve between.
fn call_figures(call: &str, said: &Value) -> Vec<(String, f64)> {
    let of = |key: &str| Some((format!("{call} {key}"), said[call][key].as_f64()?));
    let mut figures = Vec::from_iter(["p50", "p999", "max", "calls"].into_iter().filter_map(of));
    for (halvings, cost) in said[call]["curve"].as_array().into_iter().flatten().enumerate() {
        figures.extend(cost.as_f64().map(|cost| (curve(call, halvings), cost)));
    }
    figures
}

/// The name of the cost that one call in 2^`halvings` reaches.
pub fn curve(call: &str, halvings: usize) -> String {
    format!("{call} one in {}", 1_u64 << halvings)
}

/// Is this such a name?
pub fn is_of_a_curve(figure: &str) -> bool {
    figure.contains(" one in ")
}

/// The mean over the seeds, and its standard error.
fn means(key: &str, unit: &str, said: &Value) -> [(String, f64); 2] {
    let values = said[key].as_array().into_iter().flatten().filter_map(Value::as_f64);
    let values = Vec::from_iter(values);
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count.max(1.0);
    let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
    let error = (squares / (count - 1.0).max(1.0) / count.max(1.0)).sqrt();
    [(format!("{key} {unit}"), mean), (format!("{key} ± {unit}"), error)]
}

/// All figures of a comparison.
#[derive(Default)]
pub struct Lines(pub Vec<Line>);

impl Lines {
    /// One of them.
    pub fn find(&self, load: &Load, heap: &str, figure: &str) -> Option<&Line> {
        self.0.iter().find(|line| {
            line.group == load.group.word()
                && line.load == load.name
                && line.heap == heap
                && line.figure == figure
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::plan::loads;
    use serde_json::json;

    fn load(group: Group) -> Load {
        loads(&[group], true).remove(0)
    }

    #[test]
    fn a_worker_s_words_become_figures() {
        let said = json!({ "ns": 3000, "asked": 100, "failed": 1 });
        let speed = figures(&load(Group::Speed), &said);
        assert_eq!(speed, [("ns".to_owned(), 30.0), ("refused ‰".to_owned(), 10.0)]);
        let usable = figures(&load(Group::Usable), &json!({ "fresh": [1, 3], "churned": [2] }));
        let expected =
            [("fresh ‰", 2.0), ("fresh ± ‰", 1.0), ("churned ‰", 2.0), ("churned ± ‰", 0.0)];
        assert_eq!(usable, expected.map(|(name, value)| (name.to_owned(), value)));
        let alloc = json!({ "p50": 5, "p999": 6, "max": 7, "calls": 8, "curve": [1, 5] });
        let said = json!({ "alloc": alloc, "free": null, "made": 3, "planned": 4 });
        let latency = figures(&load(Group::Latency), &said);
        let names = Vec::from_iter(latency.iter().map(|(name, _)| name.as_str()));
        let [median, rare, worst, calls] =
            ["p50", "p999", "max", "calls"].map(|key| format!("alloc {key}"));
        let curve = [0, 1].map(|halvings| curve("alloc", halvings));
        assert!(curve.iter().all(|name| is_of_a_curve(name)) && !is_of_a_curve(&worst));
        assert_eq!(names, [&*median, &rare, &worst, &calls, &curve[0], &curve[1], MADE]);
        assert_eq!(latency[6].1, 750.0);
    }

    #[test]
    fn a_line_has_the_median_and_the_spread() {
        let line = Line::new(&load(Group::Speed), "ace", "ns", vec![3.0, 1.0, 2.0]);
        assert_eq!((line.median, line.min, line.max), (2.0, 1.0, 3.0));
    }
}
