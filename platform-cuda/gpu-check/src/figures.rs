//! Medians, percentiles, rates. Floor: cellar.

use ace_alloc_cuda::device::DeviceFault;
use serde::Serialize;
use std::time::{Duration, Instant};

/// What was measured several times, in microseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Times {
    pub median_us: f64,
    pub least_us: f64,
    pub most_us: f64,
    pub count: usize,
}

impl Times {
    pub fn of(times: &[Duration]) -> Self {
        let mut sorted: Vec<f64> = times.iter().map(|time| time.as_secs_f64() * 1e6).collect();
        sorted.sort_unstable_by(f64::total_cmp);
        Self {
            median_us: median(&sorted),
            least_us: sorted.first().copied().unwrap_or(0.0),
            most_us: sorted.last().copied().unwrap_or(0.0),
            count: sorted.len(),
        }
    }
}

/// The middle one, or the mean of the two in the middle, of sorted numbers.
fn median(sorted: &[f64]) -> f64 {
    match (sorted.len(), sorted.len() / 2) {
        (0, _) => 0.0,
        (length, half) if length.is_multiple_of(2) => f64::midpoint(sorted[half - 1], sorted[half]),
        (_, half) => sorted[half],
    }
}

/// The median of numbers in any order.
pub fn median_of(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_unstable_by(f64::total_cmp);
    median(&numbers)
}

/// Of sorted numbers, the least that so many percent of them do not exceed.
pub fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(at).copied().unwrap_or(0.0)
}

/// How long something takes.
pub fn timed<R>(
    work: impl FnOnce() -> Result<R, DeviceFault>,
) -> Result<(R, Duration), DeviceFault> {
    let begun = Instant::now();
    let result = work()?;
    Ok((result, begun.elapsed()))
}

/// Bytes a second; 0 if no time has passed.
pub fn rate(bytes: u64, time: Duration) -> f64 {
    let seconds = time.as_secs_f64();
    if seconds > 0.0 { bytes as f64 / seconds } else { 0.0 }
}

/// One number over another; 0 if there is no other.
pub fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_percentiles_are_those_of_the_books() {
        assert!((median_of(vec![3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median_of(vec![4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-9);
        assert!(median_of(Vec::new()).abs() < 1e-9);
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        assert!((percentile(&hundred, 50) - 50.0).abs() < 1e-9);
        assert!((percentile(&hundred, 99) - 99.0).abs() < 1e-9);
        assert!((percentile(&hundred[..1], 99) - 1.0).abs() < 1e-9);
    }
}
