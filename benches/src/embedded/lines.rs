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

/// What the worker said of a load, as figures with their names.
pub fn figures(load: &Load, said: &Value) -> Vec<(String, f64)> {
    let number = |key: &str| said[key].as_f64().unwrap_or(0.0);
    let permille = |part: f64, of: f64| if of > 0.0 { part * 1e3 / of } else { 0.0 };
    let refused = permille(number("failed"), number("asked"));
    match load.group {
        Group::Speed => {
            let ns = number("ns") / number("asked").max(1.0);
            vec![("ns".to_owned(), ns), ("refused ‰".to_owned(), refused)]
        }
        Group::Threads => {
            let rate = number("asked") * 1e3 / number("ns").max(1.0);
            vec![("M pairs/s".to_owned(), rate), ("refused ‰".to_owned(), refused)]
        }
        Group::Fragments => {
            let whole = permille(number("largest"), number("free"));
            vec![("largest ‰ of free".to_owned(), whole), ("refused ‰".to_owned(), refused)]
        }
        Group::Usable => {
            let means = ["fresh", "churned"].map(|key| (format!("{key} ‰"), mean(&said[key])));
            means.into_iter().collect()
        }
        Group::Latency => {
            ["alloc", "free"].iter().flat_map(|call| call_figures(call, said)).collect()
        }
    }
}

/// Median, rare and worst of one kind of call, and the curve between.
fn call_figures(call: &str, said: &Value) -> Vec<(String, f64)> {
    let of = |key: &str| Some((format!("{call} {key}"), said[call][key].as_f64()?));
    let mut figures = Vec::from_iter(["p50", "p999", "max"].into_iter().filter_map(of));
    for (halvings, cost) in said[call]["curve"].as_array().into_iter().flatten().enumerate() {
        figures.extend(cost.as_f64().map(|cost| (curve(call, halvings), cost)));
    }
    figures
}

/// The name of the cost that one call in 2^`halvings` reaches.
pub fn curve(call: &str, halvings: usize) -> String {
    format!("{call} one in {}", 1_u64 << halvings)
}

fn mean(values: &Value) -> f64 {
    let values = Vec::from_iter(values.as_array().into_iter().flatten().filter_map(Value::as_f64));
    values.iter().sum::<f64>() / values.len().max(1) as f64
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
        assert_eq!(usable, [("fresh ‰".to_owned(), 2.0), ("churned ‰".to_owned(), 2.0)]);
        let said =
            json!({ "alloc": { "p50": 5, "p999": 6, "max": 7, "curve": [1, 5] }, "free": null });
        let names = Vec::from_iter(figures(&load(Group::Latency), &said).into_iter().map(|f| f.0));
        let expected = ["alloc p50", "alloc p999", "alloc max", "alloc one in 1", "alloc one in 2"];
        assert_eq!(names, expected);
    }

    #[test]
    fn a_line_has_the_median_and_the_spread() {
        let line = Line::new(&load(Group::Speed), "ace", "ns", vec![3.0, 1.0, 2.0]);
        assert_eq!((line.median, line.min, line.max), (2.0, 1.0, 3.0));
    }
}
