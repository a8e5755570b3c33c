//! The figures of a policy. Floor: tool.

use super::Contender;
use crate::run::Outcome;
use serde::Serialize;

/// The figures of one policy on one case: means over the seeds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// [`Contender::name`].
    pub policy: &'static str,
    /// Virtual time over the least possible; 1 is perfect.
    pub time_over_bound: f64,
    /// Bytes copied to the device over the least possible; infinite if something was copied and nothing
    /// need have been.
    pub bytes_over_min: f64,
    /// The share of the time in which the processor had nothing to do.
    pub stall: f64,
    /// The share of the bytes fetched ahead that were evicted before they were used. What was stopped on the
    /// way, and what is still unused at the end, is not in it.
    pub wasted_prefetch: f64,
    /// Half of the requests were done within this time of the beginning of their step.
    pub p50_ms: f64,
    /// 99 of 100 were.
    pub p99_ms: f64,
    /// The most bytes of device memory in use at a time.
    pub peak_device: u64,
    /// Requests done in a second of virtual time.
    pub throughput: f64,
}

impl Row {
    /// Of one run.
    #[must_use]
    pub fn of(contender: Contender, outcome: &Outcome) -> Self {
        let totals = &outcome.totals;
        let mut latencies = outcome.latencies_ns.clone();
        latencies.sort_unstable();
        let copied = totals.demand_bytes + totals.prefetch_bytes;
        Self {
            policy: contender.name(),
            time_over_bound: share(outcome.ns, outcome.bound.ns),
            bytes_over_min: share(copied, outcome.bound.bytes),
            stall: outcome.stall_ns as f64 / outcome.ns.max(1) as f64,
            wasted_prefetch: totals.wasted_bytes as f64 / totals.prefetch_bytes.max(1) as f64,
            p50_ms: percentile(&latencies, 50) as f64 / 1e6,
            p99_ms: percentile(&latencies, 99) as f64 / 1e6,
            peak_device: outcome.peak_bytes,
            throughput: latencies.len() as f64 * 1e9 / outcome.ns.max(1) as f64,
        }
    }

    /// Of several runs.
    #[must_use]
    pub fn mean<'a>(contender: Contender, outcomes: impl Iterator<Item = &'a Outcome>) -> Self {
        let runs: Vec<Self> = outcomes.map(|outcome| Self::of(contender, outcome)).collect();
        let mean = |figure: fn(&Self) -> f64| {
            runs.iter().map(figure).sum::<f64>() / runs.len().max(1) as f64
        };
        Self {
            policy: contender.name(),
            time_over_bound: mean(|run| run.time_over_bound),
            bytes_over_min: mean(|run| run.bytes_over_min),
            stall: mean(|run| run.stall),
            wasted_prefetch: mean(|run| run.wasted_prefetch),
            p50_ms: mean(|run| run.p50_ms),
            p99_ms: mean(|run| run.p99_ms),
            peak_device: mean(|run| run.peak_device as f64).round() as u64,
            throughput: mean(|run| run.throughput),
        }
    }
}

/// Nothing of nothing is all of it.
fn share(part: u64, whole: u64) -> f64 {
    if part == 0 && whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}

/// The least value that so many percent of the sorted values do not exceed; 0 of none.
#[must_use]
pub fn percentile(sorted: &[u64], percent: usize) -> u64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let values: Vec<u64> = (1..=200).collect();
        assert_eq!(percentile(&values, 50), 100);
        assert_eq!(percentile(&values, 99), 198);
        assert_eq!(percentile(&values, 100), 200);
        assert_eq!(percentile(&[7], 1), 7);
        assert_eq!(percentile(&[], 50), 0);
    }

    #[test]
    fn nothing_copied_where_nothing_must_be_is_perfect_and_anything_else_is_not() {
        assert!((share(0, 0) - 1.0).abs() < f64::EPSILON);
        assert!(share(1, 0).is_infinite());
        assert!((share(3, 2) - 1.5).abs() < f64::EPSILON);
    }
}
