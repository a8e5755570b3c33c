//! Owns the arithmetic: medians, spreads, paired ratios, geometric means.

use crate::rounds::{Outcome, Row, Sample};
use crate::workshop::Contestant;

/// The middle of the values (the mean of the two middle ones); there is at least one.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted = Vec::from_iter(values);
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() % 2 {
        1 => sorted[middle],
        _ => (sorted[middle - 1] + sorted[middle]) / 2.0,
    }
}

/// The geometric mean of positive values; there is at least one.
pub fn geomean(values: &[f64]) -> f64 {
    (values.iter().map(|value| value.ln()).sum::<f64>() / values.len() as f64).exp()
}

impl Row {
    /// Median of one field.
    pub fn median(&self, field: impl Fn(&Sample) -> f64) -> f64 {
        median(self.samples.iter().map(field))
    }

    /// Median throughput in million operations per second.
    pub fn mops(&self) -> f64 {
        self.median(Sample::mops)
    }

    /// Smallest and largest throughput.
    pub fn spread(&self) -> [f64; 2] {
        let rates = || self.samples.iter().map(Sample::mops);
        [rates().fold(f64::INFINITY, f64::min), rates().fold(0.0, f64::max)]
    }

    /// Median peak RSS in KiB.
    pub fn peak_kib(&self) -> f64 {
        self.median(|sample| sample.peak_rss_kib as f64)
    }

    /// Median of the mean RSS in KiB; none without a watcher.
    pub fn mean_kib(&self) -> Option<f64> {
        let means = self.samples.iter().map(|sample| sample.mean_rss_kib);
        means.collect::<Option<Vec<f64>>>().map(median)
    }

    /// Names of what the bench measures besides.
    pub fn story(&self) -> impl Iterator<Item = &str> {
        self.samples
            .first()
            .into_iter()
            .flat_map(|sample| sample.story.iter().map(|(name, _)| name.as_str()))
    }

    /// Median of one of these figures, "never" being longer than anything; none if that is the median.
    pub fn figure(&self, name: &str) -> Option<f64> {
        let value = |sample: &Sample| {
            let figure = sample.story.iter().find(|(own, _)| own == name);
            figure.and_then(|(_, value)| *value).unwrap_or(f64::INFINITY)
        };
        let middle = self.median(value);
        middle.is_finite().then_some(middle)
    }

    /// How many times as fast as `other`: the median over the rounds of the ratio within a round,
    /// which a slow minute of the machine does not move.
    pub fn ratio_to(&self, other: &Self) -> f64 {
        median(self.samples.iter().zip(&other.samples).map(|(a, b)| a.mops() / b.mops()))
    }
}

impl Outcome {
    /// The row of this name, unless it failed.
    pub fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.allocator.name == name)
    }
}

/// The name that all others are compared with: the one asked for, `ace`, or the first.
pub fn reference(contestants: &[Contestant], asked: Option<&str>) -> Result<&'static str, String> {
    let mut names = contestants.iter().map(|contestant| contestant.allocator.name);
    match asked {
        Some(asked) => names
            .find(|name| *name == asked)
            .ok_or(format!("--reference {asked} does not take part")),
        None => Ok(names.find(|name| *name == "ace").unwrap_or(contestants[0].allocator.name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(lean: &[Option<f64>]) -> Row {
        let sample = |lean: &Option<f64>| Sample {
            version: String::new(),
            ops: 1,
            ns: 1,
            checksum: 0,
            start_rss_kib: 0,
            end_rss_kib: 0,
            peak_rss_kib: 0,
            mean_rss_kib: None,
            story: vec![("lean_ms".to_owned(), *lean)],
        };
        let samples = lean.iter().map(sample).collect();
        Row { allocator: &crate::allocators::ALL[0], version: String::new(), samples }
    }

    #[test]
    fn never_is_longer_than_anything() {
        assert_eq!(row(&[Some(3.0), None, Some(5.0)]).figure("lean_ms"), Some(5.0));
        assert_eq!(row(&[Some(3.0), None, None]).figure("lean_ms"), None);
        assert_eq!(row(&[Some(3.0)]).mean_kib(), None, "nobody watched");
    }

    #[test]
    fn medians_and_means() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!((geomean(&[1.0, 4.0, 2.0]) - 2.0).abs() < 1e-12);
    }
}
