//! `Ranges`: which bytes of a state were written since its host copy was made. Floor: cellar.
//!
//! Sorted, disjoint, at most [`MOST`] of them. One more, and the two with the least space between them
//! become one: more is copied than was written, never less.

use alloc::vec::Vec;
use core::ops::Range;

/// Chosen: few enough to look through, and a copy of many small pieces is slower than one of the whole.
pub const MOST: usize = 16;

/// A set of byte ranges. See the module's documentation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges(Vec<Range<u64>>);

impl Ranges {
    /// No bytes.
    #[must_use]
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// The first `bytes` bytes.
    #[must_use]
    pub fn all(bytes: u64) -> Self {
        let mut ranges = Self::none();
        ranges.add(0..bytes);
        ranges
    }

    /// Adds a range; an empty one changes nothing.
    pub fn add(&mut self, added: Range<u64>) {
        if added.is_empty() {
            return;
        }
        let first = self.0.partition_point(|range| range.end < added.start);
        let last = self.0.partition_point(|range| range.start <= added.end);
        let start = self.0.get(first).map_or(added.start, |range| range.start.min(added.start));
        let end = match last.checked_sub(1).and_then(|last| self.0.get(last)) {
            Some(range) if last > first => range.end.max(added.end),
            _ => added.end,
        };
        let start = if last > first { start } else { added.start };
        self.0.splice(first..last, core::iter::once(start..end));
        if self.0.len() > MOST {
            self.join_closest();
        }
    }

    fn join_closest(&mut self) {
        let space = |pair: &[Range<u64>]| pair[1].start - pair[0].end;
        let closest = (0..self.0.len() - 1).min_by_key(|at| space(&self.0[*at..*at + 2]));
        if let Some(at) = closest {
            let second = self.0.remove(at + 1);
            self.0[at].end = second.end;
        }
    }

    /// Whether no byte is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many bytes are in it.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.iter().map(|range| range.end - range.start).sum()
    }

    /// The end of the last range; 0 if there is none.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.0.last().map_or(0, |range| range.end)
    }

    /// The ranges, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = &Range<u64>> {
        self.0.iter()
    }

    /// Takes up to `most` bytes from the front, as one range.
    pub fn take(&mut self, most: u64) -> Option<Range<u64>> {
        let first = self.0.first_mut()?;
        let end = first.end.min(first.start.saturating_add(most));
        let taken = first.start..end;
        first.start = end;
        if first.is_empty() {
            self.0.remove(0);
        }
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use alloc::vec;

    #[test]
    fn ranges_are_a_set_of_bytes_and_may_only_cover_more_when_there_are_too_many() {
        for seed in 0..200 {
            let mut random = Random::new(seed);
            let (mut ranges, mut model) = (Ranges::none(), vec![false; 256]);
            for _ in 0..40 {
                let start = random.below(256);
                let end = (start + random.below(9)).min(256);
                let joined_before = model.iter().filter(|byte| **byte).count() as u64;
                let exact = ranges.bytes() == joined_before;
                ranges.add(start..end);
                for at in start..end {
                    model[usize::try_from(at).expect("small")] = true;
                }
                let covered = |at: u64| ranges.iter().any(|range| range.contains(&at));
                for (at, written) in (0u64..).zip(&model) {
                    assert!(covered(at) || !written, "seed {seed}: byte {at} was forgotten");
                }
                let pieces = ranges.iter().count();
                let sorted = ranges.iter().zip(ranges.iter().skip(1)).all(|(a, b)| a.end < b.start);
                assert!(sorted && pieces <= MOST, "seed {seed}: {ranges:?}");
                if exact && pieces < MOST {
                    let written = model.iter().filter(|byte| **byte).count() as u64;
                    assert_eq!(ranges.bytes(), written, "seed {seed}: {ranges:?}");
                }
            }
        }
    }

    #[test]
    fn taking_goes_through_every_byte_once_in_order() {
        let mut ranges = Ranges::none();
        ranges.add(10..20);
        ranges.add(0..5);
        let taken: Vec<_> = core::iter::from_fn(|| ranges.take(4)).collect();
        assert_eq!(taken, [0..4, 4..5, 10..14, 14..18, 18..20]);
        assert!(ranges.is_empty());
    }
}
