//! What a trace tells: the figures behind text, JSON and drawing. Floor: tool.

use super::{
    decisions::{self, Change, Decision},
    lines::{Head, Order, Trace, Turn},
    phases::{self, Phase},
};
use ace_alloc_linux::core_heap::ace::Reason;
use serde::Serialize;
use std::collections::BTreeMap;

/// What counts as a slow event.
const SLOW: [&str; 4] = ["refills", "overflows", "remote_sent", "pool_frees"];
/// The reason of orders that take others back.
const ROLLED_BACK: &str = "rolled_back";

/// The levels of a moment, and what happened since the one before.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    pub ms: u64,
    pub rss: Option<u64>,
    pub used: u64,
    pub dirty: u64,
    pub purged: u64,
    pub refaulted: u64,
    pub slow_events: u64,
}

impl Point {
    fn of(turn: &Turn) -> Self {
        Self {
            ms: turn.ms,
            rss: turn.rss_bytes,
            used: turn.in_use(),
            dirty: turn.dirty_bytes,
            purged: turn.count("purged_bytes"),
            refaulted: turn.count("refaulted_bytes"),
            slow_events: SLOW.iter().map(|name| turn.count(name)).sum(),
        }
    }
}

/// How often orders were given for a reason.
#[derive(Clone, Debug, Serialize)]
pub struct ForReason {
    pub reason: String,
    /// What the reason means; nothing, if this version does not know it.
    pub sentence: &'static str,
    pub orders: u64,
}

/// A dial that was turned: where it began and where it ended.
#[derive(Clone, Debug, Serialize)]
pub struct Moved {
    #[serde(flatten)]
    pub change: Change,
    /// Orders that turned it.
    pub orders: u64,
}

/// Sums of the run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Totals {
    pub turns: u64,
    /// Those with a line in the trace, and of them the tender's.
    pub lines: u64,
    pub by_tender: u64,
    pub orders: u64,
    pub applied: u64,
    /// Orders that took earlier ones back.
    pub rolled_back: u64,
    pub purged_bytes: u64,
    pub purges: u64,
    pub refaulted_bytes: u64,
    pub minor_faults: u64,
    pub denied: u64,
    pub peak_rss_bytes: Option<u64>,
    pub last_rss_bytes: Option<u64>,
    pub peak_used_bytes: u64,
    pub most_threads: u64,
    /// Events that found no place in ACE's ring.
    pub dropped: u64,
}

/// See the module's documentation.
#[derive(Debug, Serialize)]
pub struct Story {
    pub program: String,
    pub pid: u64,
    pub version: String,
    pub mode: String,
    pub profile: String,
    pub tender: bool,
    pub seconds: f64,
    /// Whether the trace goes on to the program's end.
    pub whole: bool,
    pub notes: Vec<String>,
    pub phases: Vec<Phase>,
    pub decisions: Vec<Decision>,
    pub reasons: Vec<ForReason>,
    pub totals: Totals,
    pub dials: Vec<Moved>,
    #[serde(skip)]
    pub head: Head,
    #[serde(skip)]
    pub points: Vec<Point>,
}

/// The sentence of a reason, if this version knows it.
pub fn sentence(code: &str) -> &'static str {
    let known = Reason::ALL.iter().find(|reason| reason.code() == code);
    known.map_or("", |reason| reason.sentence())
}

/// Tells what a trace holds. `notes` are about the file.
pub fn tell(trace: &Trace, mut notes: Vec<String>) -> Story {
    let head = &trace.head;
    let points: Vec<Point> = trace.turns.iter().map(Point::of).collect();
    let first_ms = points.first().map_or(0, |point| point.ms);
    let last_ms = trace.end.as_ref().map_or(0, |end| end.ms);
    let last_ms = points.last().map_or(0, |point| point.ms).max(last_ms);
    let (dials, broken) = replay(trace);
    if broken > 0 {
        notes.push(format!(
            "{broken} orders found a dial elsewhere than the trace had left it: something else turns \
             dials too (mallopt, the program itself), or lines are missing"
        ));
    }
    Story {
        program: head.program.clone(),
        pid: trace.pid,
        version: head.version.clone(),
        mode: head.mode.clone(),
        profile: head.profile.clone(),
        tender: head.tender,
        seconds: (last_ms - first_ms.min(last_ms)) as f64 / 1000.0,
        whole: trace.end.is_some(),
        notes,
        phases: phases::phases(&points),
        decisions: decisions::decisions(head, &trace.turns),
        reasons: reasons(&trace.turns),
        totals: totals(trace, &points),
        dials,
        head: head.clone(),
        points,
    }
}

fn orders(turns: &[Turn]) -> impl Iterator<Item = &Order> {
    turns.iter().flat_map(|turn| &turn.orders)
}

fn reasons(turns: &[Turn]) -> Vec<ForReason> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for order in orders(turns) {
        *counts.entry(&order.reason).or_default() += 1;
    }
    let mut reasons: Vec<ForReason> = counts
        .into_iter()
        .map(|(code, orders)| ForReason { reason: code.into(), sentence: sentence(code), orders })
        .collect();
    reasons.sort_by_key(|reason| u64::MAX - reason.orders);
    reasons
}

fn totals(trace: &Trace, points: &[Point]) -> Totals {
    let turns = &trace.turns;
    let end = trace.end.as_ref();
    // The end has the sums of the whole run; the lines lack what happened after the last of them.
    let count = |name: &str| match end {
        Some(end) => end.events.get(name).copied().unwrap_or(0),
        None => turns.iter().map(|turn| turn.count(name)).sum(),
    };
    let last = turns.last();
    let count_orders =
        |wanted: fn(&Order) -> bool| orders(turns).filter(|order| wanted(order)).count() as u64;
    Totals {
        turns: end.map_or(0, |end| end.turns).max(last.map_or(0, |turn| turn.number)),
        lines: turns.len() as u64,
        by_tender: turns.iter().filter(|turn| turn.by == "tender").count() as u64,
        orders: count_orders(|_| true),
        applied: count_orders(|order| order.applied),
        rolled_back: count_orders(|order| order.reason == ROLLED_BACK),
        purged_bytes: count("purged_bytes"),
        purges: count("purges"),
        refaulted_bytes: count("refaulted_bytes"),
        minor_faults: end
            .map(|end| end.minor_faults)
            .or(last.map(|turn| turn.minor_faults))
            .unwrap_or(0),
        denied: turns.iter().map(|turn| turn.denied).sum(),
        peak_rss_bytes: points.iter().filter_map(|point| point.rss).max(),
        last_rss_bytes: end
            .and_then(|end| end.rss_bytes)
            .or(points.last().and_then(|point| point.rss)),
        peak_used_bytes: points.iter().map(|point| point.used).max().unwrap_or(0),
        most_threads: turns.iter().map(|turn| turn.threads).max().unwrap_or(0),
        dropped: turns.iter().map(|turn| turn.dropped).sum(),
    }
}

/// Carries the orders out on the first dials. The dials that were turned, and how many orders found a dial
/// at another value than they say.
fn replay(trace: &Trace) -> (Vec<Moved>, u64) {
    let mut dials: BTreeMap<(String, Option<u64>), Moved> = BTreeMap::new();
    let mut broken = 0;
    let applied = orders(&trace.turns).filter(|order| order.applied);
    for order in applied.filter(|order| matches!(order.act.as_str(), "set" | "set_class")) {
        let class_bytes = (order.act == "set_class").then_some(order.class_bytes);
        let first = || trace.head.dials.get(&order.dial).copied().filter(|_| class_bytes.is_none());
        let moved = dials.entry((order.dial.clone(), class_bytes)).or_insert_with(|| {
            let from = first().unwrap_or(order.from);
            let change = Change { dial: order.dial.clone(), class_bytes, from, to: from };
            Moved { change, orders: 0 }
        });
        broken += u64::from(moved.change.to != order.from);
        moved.change.to = order.to;
        moved.orders += 1;
    }
    for (dial, &to) in trace.end.iter().flat_map(|end| &end.dials) {
        let from = trace.head.dials.get(dial).copied().unwrap_or(to);
        let name = (dial.clone(), None);
        if from != to || dials.contains_key(&name) {
            let change = Change { dial: dial.clone(), class_bytes: None, from, to };
            // The last turn's orders may not have been carried out when the program ended.
            dials.entry(name).or_insert(Moved { change, orders: 0 }).change.to = to;
        }
    }
    (dials.into_values().collect(), broken)
}
