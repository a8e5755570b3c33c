//! Owns the plane: each point's throughput and memory over all benches, and the Pareto front.

use super::grid::{Dials, Point};
use super::record::Line;
use crate::rounds::Bench;
use crate::stats::{geomean, median};

/// What a point is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Of the grid: ACE off, dials fixed.
    Grid,
    /// A fixed profile.
    Profile,
    /// ACE tuning.
    Ace,
}

/// A point's place.
#[derive(Clone, Debug)]
pub struct Spot {
    pub name: String,
    pub kind: Kind,
    pub dials: Option<Dials>,
    /// Million operations per second.
    pub mops: f64,
    /// Mean resident set in MiB.
    pub mib: f64,
}

/// All places, and which of the fixed ones no other fixed one beats in both.
pub struct Plane {
    pub spots: Vec<Spot>,
    /// By falling throughput and memory; indices of `spots`.
    pub front: Vec<usize>,
}

impl Plane {
    /// Points without a sample of every bench have no place.
    pub fn new(points: &[Point], benches: &[Bench], lines: &[Line]) -> Self {
        let spots = Vec::from_iter(points.iter().filter_map(|point| spot(point, benches, lines)));
        let fixed = |(at, spot): (usize, &Spot)| {
            (spot.kind != Kind::Ace).then_some((at, spot.mops, spot.mib))
        };
        let front = front(spots.iter().enumerate().filter_map(fixed));
        Self { spots, front }
    }

    /// The speed of a spot over that of the fastest other fixed setting that needs no more memory.
    pub fn speed_over_fixed(&self, spot: &Spot) -> Option<f64> {
        let rivals = self.rivals(spot).filter(|other| other.mib <= spot.mib);
        let best = rivals.map(|other| other.mops).reduce(f64::max);
        best.map(|best| spot.mops / best)
    }

    /// The memory of a spot over that of the leanest other fixed setting that is no slower.
    pub fn memory_over_fixed(&self, spot: &Spot) -> Option<f64> {
        let rivals = self.rivals(spot).filter(|other| other.mops >= spot.mops);
        let best = rivals.map(|other| other.mib).reduce(f64::min);
        best.map(|best| spot.mib / best)
    }

    fn rivals(&self, spot: &Spot) -> impl Iterator<Item = &Spot> {
        self.spots.iter().filter(move |other| other.kind != Kind::Ace && other.name != spot.name)
    }
}

/// Means over the benches of medians over the rounds: the geometric one of throughput; of memory the
/// arithmetic one, to which a process of two MiB adds little.
fn spot(point: &Point, benches: &[Bench], lines: &[Line]) -> Option<Spot> {
    let (mut mops, mut mib) = (Vec::new(), Vec::new());
    for bench in benches {
        let own = Vec::from_iter(lines.iter().filter(|line| line.is_of(point, bench)));
        if own.is_empty() {
            return None;
        }
        mops.push(median(own.iter().map(|line| line.mops)));
        mib.push(median(own.iter().map(|line| line.mean_rss_kib / 1024.0)));
    }
    let (mops, mib) = (geomean(&mops), mib.iter().sum::<f64>() / mib.len() as f64);
    Some(Spot { name: point.name.clone(), kind: point.kind, dials: point.dials, mops, mib })
}

/// The candidates (name, gain, price) that no other beats in one and equals in the other; by falling
/// price. Of equals the first stays.
fn front(candidates: impl Iterator<Item = (usize, f64, f64)>) -> Vec<usize> {
    let mut sorted = Vec::from_iter(candidates);
    sorted.sort_by(|a, b| a.2.total_cmp(&b.2).then(b.1.total_cmp(&a.1)));
    let mut best = f64::NEG_INFINITY;
    let mut front = Vec::new();
    for (name, gain, _) in sorted {
        if gain > best {
            best = gain;
            front.push(name);
        }
    }
    front.reverse();
    front
}

#[cfg(test)]
mod tests {
    use super::*;

    fn front_of(values: &[(f64, f64)]) -> Vec<usize> {
        front(values.iter().enumerate().map(|(at, &(gain, price))| (at, gain, price)))
    }

    #[test]
    fn the_front_is_what_nothing_beats() {
        assert_eq!(front_of(&[]), [0usize; 0]);
        assert_eq!(front_of(&[(1.0, 1.0)]), [0]);
        // 1 is beaten by 0, 3 by 2; 4 is lean.
        assert_eq!(
            front_of(&[(10.0, 5.0), (9.0, 6.0), (8.0, 3.0), (8.0, 4.0), (1.0, 1.0)]),
            [0, 2, 4]
        );
        assert_eq!(front_of(&[(2.0, 1.0), (2.0, 1.0)]), [0], "of equals the first");
    }

    #[test]
    fn no_point_of_the_front_beats_another_and_every_other_is_beaten() {
        let values = Vec::from_iter(
            (0..200u64).map(|n| ((n * 7919 % 101) as f64, (n * 104_729 % 97) as f64)),
        );
        let front = front_of(&values);
        let beats = |a: usize, b: usize| {
            let ((gain, price), (other_gain, other_price)) = (values[a], values[b]);
            gain >= other_gain && price <= other_price && values[a] != values[b]
        };
        assert!(front.iter().all(|&a| !front.iter().any(|&b| beats(a, b))));
        for at in 0..values.len() {
            let on = front.iter().any(|&one| values[one] == values[at]);
            assert!(on || front.iter().any(|&one| beats(one, at)), "{at}");
        }
    }

    #[test]
    fn a_spot_is_compared_with_the_fixed_settings_that_are_as_good_in_the_other_figure() {
        let spot = |name: &str, kind, mops, mib| Spot {
            name: name.to_owned(),
            kind,
            dials: None,
            mops,
            mib,
        };
        let spots = vec![
            spot("lean", Kind::Grid, 80.0, 10.0),
            spot("fast", Kind::Grid, 100.0, 20.0),
            spot("ACE", Kind::Ace, 96.0, 12.0),
        ];
        let plane = Plane { spots, front: vec![1, 0] };
        assert_eq!(plane.speed_over_fixed(&plane.spots[2]), Some(1.2));
        assert_eq!(plane.memory_over_fixed(&plane.spots[2]), Some(0.6));
        assert_eq!(plane.speed_over_fixed(&plane.spots[0]), None, "nothing is leaner");
    }
}
