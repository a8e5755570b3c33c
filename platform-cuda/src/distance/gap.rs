//! `Gap`: how many steps lie between two uses of a state, as its own past tells. Floor: ground.
//!
//! An exponential average over the gaps. A prediction that came due in vain is put as far ahead as the
//! last use lies behind, so what is used no more is soon predicted far away, after O(log) corrections.

use super::NextUse;

/// The newest gap counts a quarter: chosen; half forgets too fast, an eighth learns too slowly in 10 uses.
const NEWEST: u64 = 4;

/// See the module's documentation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gap {
    last_use: Option<u64>,
    /// Average, in 256ths of a step; 0 before the second use.
    mean: u64,
    due: Option<u64>,
}

impl Gap {
    /// It was used in this step. Returns the gap that was expected and the one that came, in steps.
    pub fn used(&mut self, step: u64) -> Option<(u64, u64)> {
        let last = self.last_use.replace(step);
        let gap = step.checked_sub(last?).filter(|gap| *gap > 0)?;
        let expected = (self.mean > 0).then(|| self.rounded());
        let gap_256ths = gap.min(u64::from(u32::MAX)) << 8;
        self.mean = match self.mean {
            0 => gap_256ths,
            mean => (mean * (NEWEST - 1) + gap_256ths) / NEWEST,
        };
        self.due = Some(step.saturating_add(self.rounded()));
        expected.map(|expected| (expected, gap))
    }

    /// The step it was due in is over.
    pub fn missed(&mut self, step: u64) {
        if let (Some(last), Some(_)) = (self.last_use, self.due) {
            self.due = Some(step.saturating_add(step.saturating_sub(last).max(1)));
        }
    }

    /// The predicted step.
    #[must_use]
    pub fn next_use(&self) -> NextUse {
        self.due.map_or(NextUse::UNKNOWN, NextUse::at)
    }

    /// The last step in which it was used.
    #[must_use]
    pub const fn last_use(&self) -> Option<u64> {
        self.last_use
    }

    const fn rounded(&self) -> u64 {
        let rounded = (self.mean + 128) >> 8;
        if rounded == 0 { 1 } else { rounded }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_regular_gap_is_learned_and_a_change_is_followed() {
        let mut gap = Gap::default();
        assert_eq!(gap.used(10), None);
        assert_eq!(gap.next_use(), NextUse::UNKNOWN);
        assert_eq!(gap.used(14), None);
        assert_eq!(gap.next_use(), NextUse::at(18));
        assert_eq!(gap.used(18), Some((4, 4)));
        for step in (28..128).step_by(10) {
            gap.used(step);
        }
        assert_eq!(gap.next_use(), NextUse::at(118 + 10));
    }

    #[test]
    fn a_second_use_in_a_step_is_no_gap() {
        let mut gap = Gap::default();
        gap.used(10);
        gap.used(14);
        assert_eq!(gap.used(14), None);
        assert_eq!(gap.next_use(), NextUse::at(18));
    }

    #[test]
    fn what_is_used_no_more_moves_away() {
        let mut gap = Gap::default();
        gap.used(0);
        gap.used(4);
        let mut corrections = 0;
        for step in 0..100_000 {
            if gap.next_use() < NextUse::at(step) {
                gap.missed(step);
                corrections += 1;
            }
        }
        assert!((10..=16).contains(&corrections), "{corrections} corrections");
    }
}
