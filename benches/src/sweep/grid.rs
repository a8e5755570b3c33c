//! Owns the points of the sweep, by the dials that they set, and the benches that measure them.

use super::plane::Kind;
use crate::cli::Scope;
use crate::rounds::Bench;
use crate::settings::fingerprint;

/// More than any heap has: never give memory back.
const NEVER: u32 = 1 << 30;
/// The fixed profiles.
const PROFILES: [&str; 3] = ["full", "balanced", "conservative"];

/// The dials of a grid point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dials {
    /// Caps: KiB of blocks in a thread's depot, of one class and of all.
    pub depot_kib: (u32, u32),
    /// Refill: blocks a time.
    pub refill_max: u32,
    /// Trim: free memory that may stay, in KiB and in thousandths of the memory in use.
    pub dirty: (u32, u32),
    /// Tiering: the share below which a superslab serves no new slabs.
    pub drain_permille: u32,
}

/// One setting of the allocator.
#[derive(Clone, Debug)]
pub struct Point {
    /// Unique; for people and for the CSV.
    pub name: String,
    pub kind: Kind,
    pub dials: Option<Dials>,
    /// The variables that make it.
    pub settings: Vec<(String, String)>,
}

/// What one dimension may be.
struct Axes {
    depot_kib: &'static [(u32, u32)],
    refill_max: &'static [u32],
    dirty: &'static [(u32, u32)],
    drain_permille: &'static [u32],
}

const FULL: Axes = Axes {
    depot_kib: &[(64, 256), (256, 1024), (1024, 4096), (4096, 16384)],
    refill_max: &[1, 8, 64],
    dirty: &[(0, 0), (1024, 25), (4096, 100), (32768, 500), (NEVER, 100)],
    drain_permille: &[0, 125, 250],
};

const QUICK: Axes = Axes {
    depot_kib: &[(64, 256), (1024, 4096)],
    refill_max: &[1, 64],
    dirty: &[(0, 0), (4096, 100), (NEVER, 100)],
    drain_permille: &[0, 125],
};

/// The grid, the profiles, and ACE itself.
pub fn points(quick: bool) -> Vec<Point> {
    let axes = if quick { QUICK } else { FULL };
    let mut points = Vec::new();
    for &depot_kib in axes.depot_kib {
        for &refill_max in axes.refill_max {
            for &dirty in axes.dirty {
                for &drain_permille in axes.drain_permille {
                    points.push(Dials { depot_kib, refill_max, dirty, drain_permille }.point());
                }
            }
        }
    }
    let profile = |name: &'static str| {
        fixed(name, Kind::Profile, &[("ACE_MODE", "off"), ("ACE_PROFILE", name)])
    };
    points.extend(PROFILES.map(profile));
    points.push(fixed("ACE", Kind::Ace, &[("ACE_MODE", "tune")]));
    points
}

/// Which grid it is, for the CSV.
pub fn identity(points: &[Point]) -> String {
    let all = Vec::from_iter(points.iter().map(|point| format!("{point:?}")));
    format!("{:016x}", fingerprint(all.join("\n").as_bytes()))
}

/// A point of this name; its memory is watched.
fn fixed(name: &str, kind: Kind, settings: &[(&str, &str)]) -> Point {
    let watch = [("BENCH_WATCH", "1")];
    let settings = settings.iter().chain(&watch);
    let settings = settings.map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    Point { name: name.to_owned(), kind, dials: None, settings }
}

impl Dials {
    fn point(self) -> Point {
        let Self { depot_kib: (class, thread), refill_max, dirty, drain_permille } = self;
        let name = format!(
            "depot {class}/{thread} KiB, refill {refill_max}, trim {}, drain {drain_permille}",
            trim(dirty)
        );
        let list = format!(
            "depot_class_kib={class},depot_thread_kib={thread},refill_max={refill_max},\
             dirty_floor_kib={},dirty_permille={},drain_permille={drain_permille}",
            dirty.0, dirty.1
        );
        let point = fixed(&name, Kind::Grid, &[("ACE_MODE", "off"), ("ACE_DIALS", &list)]);
        Point { dials: Some(self), ..point }
    }
}

/// The trim in words.
pub fn trim((floor_kib, permille): (u32, u32)) -> String {
    match (floor_kib, permille) {
        (NEVER, _) => "never".to_owned(),
        (0, 0) => "at once".to_owned(),
        _ => format!("{} MiB/{permille}", floor_kib / 1024),
    }
}

/// The benches of a scope: of each one whose heap is small and fast, and such whose memory matters. The
/// pauses of `oscillate` are longer than the heap counts as wanting its memory back at once.
pub fn benches(scope: Scope) -> Vec<Bench> {
    let mut benches = Vec::new();
    if scope != Scope::Mixed {
        benches.push(Bench::new("tiny-hot", &[64, 100, 300_000]));
        benches.push(Bench::new("tiny-hot", &[64, 200_000, 100]));
    }
    if scope != Scope::Tiny {
        benches.push(Bench::new("random-mixed", &[4_000_000, 400, 42]));
        benches.push(Bench::new("random-mixed", &[4_000_000, 100_000, 42]));
        benches.push(Bench::new("oscillate", &[64, 4, 150, 42]));
    }
    benches
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::assert_dials_exist;
    use std::collections::BTreeSet;

    #[test]
    fn points_have_names_of_their_own_and_set_dials_that_exist() {
        for quick in [false, true] {
            let points = points(quick);
            let names = BTreeSet::from_iter(points.iter().map(|point| &point.name));
            assert_eq!(names.len(), points.len());
            assert_eq!(points.iter().filter(|point| point.kind != Kind::Grid).count(), 4);
            for (_, list) in
                points.iter().flat_map(|p| &p.settings).filter(|(name, _)| name == "ACE_DIALS")
            {
                assert_dials_exist(list);
            }
        }
    }

    #[test]
    fn another_grid_has_another_identity() {
        let (full, quick) = (points(false), points(true));
        assert_eq!(identity(&full), identity(&points(false)));
        assert_ne!(identity(&full), identity(&quick));
        let mut changed = quick.clone();
        changed[0].settings[0].1.push('x');
        assert_ne!(identity(&changed), identity(&quick));
    }

    #[test]
    fn the_whole_grid_holds_the_small_one() {
        let full = BTreeSet::from_iter(points(false).into_iter().map(|point| point.name));
        assert!(points(true).iter().all(|point| full.contains(&point.name)));
    }
}
