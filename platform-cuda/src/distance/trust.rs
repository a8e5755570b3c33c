//! `Trust`: how far off predictions have been, by source. Floor: ground.
//!
//! The error of a prediction is |log2(predicted gap / real gap)|: twice too long is as wrong as twice too
//! short, whatever the length, and what eviction needs is an order. Of a source, the first prediction after
//! a use is measured: the last one before the next use would flatter who corrects himself too late. Of what
//! was believed, it is the mean of the first and the last, as evictions happen between the two. A use that
//! nobody predicted counts as an error, too: silence is no knowledge.

use super::{SOURCES, Source};

/// The newest error counts a sixteenth: chosen; a change is seen after some ten uses of any agents.
const NEWEST: u32 = 16;
/// Before the first prediction was put to the test: own gaps are assumed to be off by a factor of 2.
const UNTRIED_OWN: u32 = 256;
/// As if it were off by a factor of 4: chosen.
const UNPREDICTED: u32 = 2 << 8;
/// No single error counts more than a factor of 2^16.
const MOST: u32 = 16 << 8;

/// See the module's documentation. All errors in 256ths of a factor of two.
#[derive(Clone, Debug)]
pub struct Trust {
    by_source: [u32; SOURCES.len()],
    /// Of the predictions that were believed.
    hinted: u32,
    own: u32,
}

impl Default for Trust {
    fn default() -> Self {
        Self { by_source: [0; SOURCES.len()], hinted: 0, own: UNTRIED_OWN }
    }
}

impl Trust {
    pub(crate) fn measure(&mut self, source: Source, error: u32) {
        blend(&mut self.by_source[source as usize], error);
    }

    /// `None`: the use was not predicted.
    pub(crate) fn measure_hinted(&mut self, error: Option<u32>) {
        blend(&mut self.hinted, error.unwrap_or(UNPREDICTED));
    }

    /// `None`: the use was not predicted.
    pub(crate) fn measure_own(&mut self, error: Option<u32>) {
        blend(&mut self.own, error.unwrap_or(UNPREDICTED));
    }

    /// Mean error of a source.
    #[must_use]
    pub const fn error(&self, source: Source) -> u32 {
        self.by_source[source as usize]
    }

    /// Mean error of the predictions from outside that were believed.
    #[must_use]
    pub const fn hinted_error(&self) -> u32 {
        self.hinted
    }

    /// Mean error of what states' own pasts predicted.
    #[must_use]
    pub const fn own_error(&self) -> u32 {
        self.own
    }
}

fn blend(mean: &mut u32, error: u32) {
    // Rounded up, so that an error can't vanish by rounding; exact sources stay at 0.
    *mean = (*mean * (NEWEST - 1) + error.min(MOST)).div_ceil(NEWEST);
    if error == 0 {
        *mean = mean.saturating_sub(1);
    }
}

/// |log2(predicted / real)| in 256ths, for gaps in steps. A gap of 0 counts as half a step.
#[must_use]
pub const fn error_in_256ths(predicted: u64, real: u64) -> u32 {
    log2_256(predicted).abs_diff(log2_256(real))
}

/// log2(2n) in 256ths, linear between powers of two: off by at most 0.09.
const fn log2_256(steps: u64) -> u32 {
    if steps == 0 {
        return 0;
    }
    let whole = steps.ilog2();
    let rest = steps ^ (1 << whole);
    let part = if whole >= 8 { rest >> (whole - 8) } else { rest << (8 - whole) };
    // `part` is below 256: eight bits below the leading one.
    #[allow(clippy::cast_possible_truncation)]
    let part = part as u32;
    ((whole + 1) << 8) + part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_a_ratio_and_has_no_sign() {
        assert_eq!(error_in_256ths(8, 8), 0);
        assert_eq!(error_in_256ths(16, 8), 256);
        assert_eq!(error_in_256ths(8, 16), 256);
        assert_eq!(error_in_256ths(0, 1), 256);
        assert_eq!(error_in_256ths(3, 2), 128);
        assert!(error_in_256ths(u64::MAX, 0) > 60 << 8);
    }

    #[test]
    fn exact_sources_keep_all_trust_and_bad_ones_lose_it_within_ten_uses() {
        let mut trust = Trust::default();
        for _ in 0..10 {
            trust.measure(Source::Plan, 0);
            trust.measure(Source::Hint, 3 << 8);
        }
        assert_eq!(trust.error(Source::Plan), 0);
        assert!(trust.error(Source::Hint) > 256, "{}", trust.error(Source::Hint));
        for _ in 0..200 {
            trust.measure(Source::Hint, 0);
        }
        assert_eq!(trust.error(Source::Hint), 0, "it can be won back");
    }
}
