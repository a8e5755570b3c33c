//! What the program did, in a few phases: by whether it worked, and by what it held. Floor: tool.

use super::story::Point;
use serde::Serialize;

/// The run is looked at in this many windows of the same length, or in longer ones if they would be
/// shorter than [`WINDOW_MS`].
const WINDOWS: u64 = 80;
const WINDOW_MS: u64 = 100;
/// Most phases that are told; the shortest ones become parts of their neighbours.
const MOST: usize = 10;
/// A window with fewer slow events a second is idle.
const IDLE_EVENTS: f64 = 20.0;
/// Change of a window, in parts of the largest amount in use, that counts as one.
const CHANGE: f64 = 0.012;
/// Change to and fro within a window that counts.
const SWING: f64 = 0.15;
/// So many short phases of growing and shrinking are swings, and so many of them would fill the run.
const SWINGS: usize = 3;
const LONG: u64 = 8;

/// What a phase is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Idle,
    Growing,
    Steady,
    Shrinking,
    /// Growing and shrinking in turn.
    Swinging,
}

impl Kind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Growing => "growing",
            Self::Steady => "steady",
            Self::Shrinking => "shrinking",
            Self::Swinging => "swinging",
        }
    }
}

/// A stretch of time.
#[derive(Clone, Debug, Serialize)]
pub struct Phase {
    pub kind: Kind,
    pub from_ms: u64,
    pub to_ms: u64,
    pub used_from: u64,
    pub used_to: u64,
    /// The most that was resident, where that is known.
    pub peak_rss: Option<u64>,
    pub slow_events: u64,
    pub purged_bytes: u64,
    pub refaulted_bytes: u64,
}

/// The phases of a run.
pub fn phases(points: &[Point]) -> Vec<Phase> {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return Vec::new() };
    let length = last.ms - first.ms;
    if length == 0 {
        return Vec::new();
    }
    let window = length.div_ceil(WINDOWS).max(WINDOW_MS);
    let peak = points.iter().map(|point| point.used).max().unwrap_or(0).max(1) as f64;
    let mut phases: Vec<Phase> = Vec::new();
    let mut at = first.ms;
    while at < last.ms {
        let to = (at + window).min(last.ms);
        let phase = measure(points, at, to, peak);
        match phases.last() {
            Some(before) if before.kind == phase.kind => {
                let from = before.from_ms;
                let kind = phase.kind;
                phases.pop();
                phases.push(Phase { kind, ..measure(points, from, to, peak) });
            }
            _ => phases.push(phase),
        }
        at = to;
    }
    join_swings(&mut phases, points, (length, peak));
    while phases.len() > MOST {
        absorb_shortest(&mut phases, points, peak);
    }
    phases
}

/// Short phases of growing and shrinking in turn are one of swinging.
fn join_swings(phases: &mut Vec<Phase>, points: &[Point], (length, peak): (u64, f64)) {
    let swings = |phase: &Phase| {
        let moves = matches!(phase.kind, Kind::Growing | Kind::Shrinking | Kind::Swinging);
        moves && (phase.to_ms - phase.from_ms) * LONG < length
    };
    let mut at = 0;
    while at < phases.len() {
        let run = phases[at..].iter().take_while(|phase| swings(phase)).count();
        if run >= SWINGS {
            let (from, to) = (phases[at].from_ms, phases[at + run - 1].to_ms);
            let whole = Phase { kind: Kind::Swinging, ..measure(points, from, to, peak) };
            phases.splice(at..at + run, [whole]);
        }
        at += 1;
    }
}

/// The shortest phase becomes part of its longer neighbour, which then is what both are together.
fn absorb_shortest(phases: &mut Vec<Phase>, points: &[Point], peak: f64) {
    let length = |phase: &Phase| phase.to_ms - phase.from_ms;
    let Some(shortest) = (0..phases.len()).min_by_key(|&at| length(&phases[at])) else { return };
    let before = shortest.checked_sub(1).map_or(0, |at| length(&phases[at]));
    let after = phases.get(shortest + 1).map_or(0, length);
    let first = if before >= after { shortest - 1 } else { shortest };
    let (from, to) = (phases[first].from_ms, phases[first + 1].to_ms);
    phases.splice(first..first + 2, [measure(points, from, to, peak)]);
    // What it is now may be what its neighbours are.
    let mut at = 1;
    while at < phases.len() {
        if phases[at - 1].kind == phases[at].kind {
            let (kind, from, to) = (phases[at].kind, phases[at - 1].from_ms, phases[at].to_ms);
            phases.splice(at - 1..=at, [Phase { kind, ..measure(points, from, to, peak) }]);
        } else {
            at += 1;
        }
    }
}

/// What happened between two moments.
fn measure(points: &[Point], from: u64, to: u64, peak: f64) -> Phase {
    let begin = points.partition_point(|point| point.ms <= from);
    let end = points.partition_point(|point| point.ms <= to);
    let inside = &points[begin..end];
    let before = begin.checked_sub(1).and_then(|at| points.get(at));
    let used_from = before.or(inside.first()).map_or(0, |point| point.used);
    let used_to = inside.last().map_or(used_from, |point| point.used);
    let all = || before.into_iter().chain(inside);
    let slow_events = inside.iter().map(|point| point.slow_events).sum();
    let high = all().map(|point| point.used).max().unwrap_or(0);
    let low = all().map(|point| point.used).min().unwrap_or(0);
    let change = (used_to as f64 - used_from as f64) / peak;
    let swing = (high - low) as f64 / peak;
    let seconds = (to - from) as f64 / 1000.0;
    let kind = if swing > SWING && change.abs() < swing / 2.0 {
        Kind::Swinging
    } else if change > CHANGE {
        Kind::Growing
    } else if change < -CHANGE {
        Kind::Shrinking
    } else if (slow_events as f64) < IDLE_EVENTS * seconds {
        Kind::Idle
    } else {
        Kind::Steady
    };
    Phase {
        kind,
        from_ms: from,
        to_ms: to,
        used_from,
        used_to,
        peak_rss: all().filter_map(|point| point.rss).max(),
        slow_events,
        purged_bytes: inside.iter().map(|point| point.purged).sum(),
        refaulted_bytes: inside.iter().map(|point| point.refaulted).sum(),
    }
}
