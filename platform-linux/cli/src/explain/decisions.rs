//! What ACE decided, turn after turn, drawn together where it decided the same again. Floor: tool.

use super::lines::{Head, Order, Turn};
use crate::report::bytes;
use serde::Serialize;
use std::collections::BTreeMap;

/// The same decision again within this time is told once.
const TOGETHER_MS: u64 = 1000;
/// Dials that are named one by one.
const NAMED: usize = 3;

/// What dials went from and to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    pub dial: String,
    /// Of dials that each class has: the class.
    pub class_bytes: Option<u64>,
    pub from: u64,
    pub to: u64,
}

/// Something that was decided, for one reason, at one time or several times in a row.
#[derive(Clone, Debug, Serialize)]
pub struct Decision {
    pub from_ms: u64,
    pub to_ms: u64,
    /// Turns that decided it.
    pub turns: u64,
    /// In words.
    pub what: String,
    pub reason: String,
    pub applied: bool,
    /// Of each dial, from the first turn to the last.
    pub changes: Vec<Change>,
    #[serde(skip)]
    act: String,
}

/// The decisions, in the order of time.
pub fn decisions(head: &Head, turns: &[Turn]) -> Vec<Decision> {
    let mut decisions: Vec<Decision> = Vec::new();
    for turn in turns {
        for (key, orders) in by_kind(&turn.orders) {
            let fresh = Decision {
                from_ms: turn.ms,
                to_ms: turn.ms,
                turns: 1,
                what: other_acts(&orders),
                reason: key.reason.to_owned(),
                applied: orders.iter().all(|order| order.applied),
                changes: orders.iter().filter_map(|order| change(order)).collect(),
                act: key.act.to_owned(),
            };
            let same = |old: &&mut Decision| {
                old.act == fresh.act && old.reason == fresh.reason && old.applied == fresh.applied
            };
            match decisions.iter_mut().rev().find(same) {
                Some(old) if turn.ms <= old.to_ms + TOGETHER_MS => old.go_on(fresh),
                _ => decisions.push(fresh),
            }
        }
    }
    for decision in &mut decisions {
        if !decision.changes.is_empty() {
            decision.what = in_words(head, &decision.changes);
        }
    }
    decisions.sort_by_key(|decision| decision.from_ms);
    decisions
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Key<'a> {
    reason: &'a str,
    act: &'a str,
}

/// The orders of a turn that belong together: of one kind and for one reason. Dials by name are one kind.
fn by_kind(orders: &[Order]) -> Vec<(Key<'_>, Vec<&Order>)> {
    let mut kinds: Vec<(Key<'_>, Vec<&Order>)> = Vec::new();
    for order in orders {
        // A dial alone is told by its name; several that go together (a profile) are one decision.
        let alone = orders
            .iter()
            .filter(|other| other.act == "set" && other.reason == order.reason)
            .count()
            <= NAMED;
        let act = match order.act.as_str() {
            "set" if alone => &order.dial,
            "set_class" => &order.dial,
            act => act,
        };
        let key = Key { reason: &order.reason, act };
        match kinds.iter_mut().find(|(known, _)| *known == key) {
            Some((_, members)) => members.push(order),
            None => kinds.push((key, vec![order])),
        }
    }
    kinds
}

fn change(order: &Order) -> Option<Change> {
    let class_bytes = match order.act.as_str() {
        "set" => None,
        "set_class" => Some(order.class_bytes),
        _ => return None,
    };
    Some(Change { dial: order.dial.clone(), class_bytes, from: order.from, to: order.to })
}

impl Decision {
    /// The same was decided once more.
    fn go_on(&mut self, again: Self) {
        self.turns += 1;
        self.to_ms = again.to_ms;
        self.what = again.what;
        for change in again.changes {
            let same = |old: &&mut Change| {
                old.dial == change.dial && old.class_bytes == change.class_bytes
            };
            match self.changes.iter_mut().find(same) {
                Some(old) => old.to = change.to,
                None => self.changes.push(change),
            }
        }
    }
}

/// Acts that turn no dial.
fn other_acts(orders: &[&Order]) -> String {
    let Some(order) = orders.last() else { return String::new() };
    match order.act.as_str() {
        "purge" if order.keep_kib == 0 => "give all free memory back".to_owned(),
        "purge" => format!("give free memory back, all but {}", bytes(order.keep_kib * 1024)),
        "trim" => "empty the caches of classes that are not used".to_owned(),
        "visit" => {
            let threads = counted(order.threads, "sleeping thread");
            format!("deliver the mail of {threads}, empty what depots they have")
        }
        "promote" => format!("ask for huge pages for {}", counted(order.superslabs, "superslab")),
        act => act.to_owned(),
    }
}

fn in_words(head: &Head, changes: &[Change]) -> String {
    let mut words = Vec::new();
    let mut of_classes: BTreeMap<&str, Vec<&Change>> = BTreeMap::new();
    for change in changes {
        match change.class_bytes {
            Some(_) => of_classes.entry(&change.dial).or_default().push(change),
            None => words.push(format!(
                "{} {} → {}",
                change.dial,
                value(&change.dial, change.from),
                value(&change.dial, change.to)
            )),
        }
    }
    if words.len() > NAMED {
        let more = words.len() - NAMED;
        words.truncate(NAMED);
        words.push(format!("{more} more dials"));
    }
    words.extend(of_classes.into_iter().map(|(dial, changes)| class_words(head, dial, &changes)));
    words.join(", ")
}

/// So many of something.
pub fn counted(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// A dial's value for people; names of dials end with their unit.
pub fn value(dial: &str, value: u64) -> String {
    match dial.rsplit('_').next() {
        Some("kib") if value >= 1024 => bytes(value * 1024),
        Some("bytes") if value >= 1024 => bytes(value),
        _ => value.to_string(),
    }
}

/// The value of a class's dial; 0 stands for what the geometry says, which is known of caps.
pub fn class_value(head: &Head, dial: &str, class_bytes: Option<u64>, value: u64) -> Option<u64> {
    if value != 0 || dial != "cap" {
        return Some(value);
    }
    let class = head.classes.iter().find(|class| Some(class.bytes) == class_bytes);
    class.map(|class| class.cap)
}

/// What the classes' values of a dial went from and to, in words.
pub fn class_words(head: &Head, dial: &str, changes: &[&Change]) -> String {
    let range = |of: fn(&Change) -> u64| {
        let values: Vec<u64> = changes
            .iter()
            .filter_map(|change| class_value(head, dial, change.class_bytes, of(change)))
            .collect();
        match (values.iter().min(), values.iter().max()) {
            (Some(low), Some(high)) if low == high => low.to_string(),
            (Some(low), Some(high)) => format!("{low}…{high}"),
            _ => "?".to_owned(),
        }
    };
    let sizes: Vec<u64> = changes.iter().filter_map(|change| change.class_bytes).collect();
    let (low, high) = (sizes.iter().min().copied(), sizes.iter().max().copied());
    let of = match (low, high) {
        (Some(low), Some(high)) if low == high => format!("blocks of {}", bytes(low)),
        (Some(low), Some(high)) => {
            format!("{} classes of {} to {}", changes.len(), bytes(low), bytes(high))
        }
        _ => "no class".to_owned(),
    };
    format!("{dial} of {of} {} → {}", range(|change| change.from), range(|change| change.to))
}
