//! Owns what is measured: the groups, their loads, and the words that the worker is asked with.

use clap::ValueEnum;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// A part of the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Group {
    /// Nanoseconds a request, by mix and by how full the heap is
    Speed,
    /// Single calls: instructions (needs valgrind) and nanoseconds, to the worst
    Latency,
    /// Two threads, each with its own blocks or one freeing what the other makes
    Threads,
    /// Bytes that a program has when the first request fails, fresh and after churn
    Usable,
    /// What can still be had after a million steps: one block, and many
    Fragments,
}

impl Group {
    /// All of them, in the order of the report.
    pub const ALL: [Self; 5] =
        [Self::Speed, Self::Latency, Self::Threads, Self::Usable, Self::Fragments];

    /// The word of the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Speed => "speed",
            Self::Latency => "latency",
            Self::Threads => "threads",
            Self::Usable => "usable",
            Self::Fragments => "fragments",
        }
    }
}

/// One column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load {
    /// The group that it belongs to.
    pub group: Group,
    /// Its name.
    pub name: String,
    /// How full the heap is, in permille, where loads differ in nothing else.
    pub fill: Option<usize>,
    /// The worker's task, and the words after the heap's name.
    pub task: &'static str,
    pub words: Vec<String>,
    /// Does the clock watch? Then each round measures anew, one heap at a time. What only depends on the
    /// trace is measured once, on all CPUs.
    pub timed: bool,
}

/// A trace by the words of the worker.
struct Trace(&'static str, &'static str, usize, usize);

impl Trace {
    fn words(&self, steps: usize, further: &[usize]) -> Vec<String> {
        const SEED: usize = 42;
        let Self(trace, mix, arena, fill) = *self;
        let numbers = [arena, fill, steps, SEED];
        let numbers = numbers.iter().chain(further).map(usize::to_string);
        [trace, mix].map(str::to_owned).into_iter().chain(numbers).collect()
    }

    fn name(&self) -> String {
        let Self(trace, mix, arena, _) = *self;
        match trace {
            "replace" => format!("{mix} in {}", size(arena)),
            "bursts" => format!("bursts of {mix} in {}", size(arena)),
            _ => format!("{trace} in {}", size(arena)),
        }
    }
}

/// Bytes for people.
fn size(bytes: usize) -> String {
    match bytes {
        MIB.. => format!("{} MiB", bytes / MIB),
        _ => format!("{} KiB", bytes / KIB),
    }
}

/// How full heaps are, in permille of the arena.
const FILLS: [usize; 4] = [250, 500, 750, 900];
/// Timed steps.
const STEPS: usize = 500_000;
/// About 400 live blocks: as few as stay in the CPU's cache.
const FEW: usize = 12;

/// The loads of the groups, in the order of the tables.
pub fn loads(groups: &[Group], quick: bool) -> Vec<Load> {
    let asked = |group: &Group| groups.is_empty() || groups.contains(group);
    let of = |group| match group {
        Group::Speed => speed(quick),
        Group::Latency => latency(),
        Group::Threads => threads(),
        Group::Usable => usable(),
        Group::Fragments => fragments(),
    };
    Group::ALL.into_iter().filter(asked).flat_map(of).collect()
}

fn speed(quick: bool) -> Vec<Load> {
    let fills = if quick { &[750][..] } else { &FILLS };
    let mixes = [("16..1024", 16 * MIB), ("8..128", 64 * KIB), ("tail", MIB)];
    let full = |(mix, arena)| {
        fills.iter().map(move |&fill| (Trace("replace", mix, arena, fill), Some(fill)))
    };
    let other = [
        Trace("replace", "16..1024", 16 * MIB, FEW),
        Trace("replace", "64", 64 * KIB, 500),
        Trace("bursts", "16..256", MIB, 700),
        Trace("growth", "-", MIB, 500),
    ];
    let load = |(trace, fill): (Trace, Option<usize>)| {
        let few = if trace.3 == FEW { ", few" } else { "" };
        let full = fill.map_or(String::new(), |fill| format!(", {} %", fill / 10));
        Load {
            group: Group::Speed,
            name: format!("{}{few}{full}", trace.name()),
            fill,
            task: "speed",
            words: trace.words(STEPS, &[]),
            timed: true,
        }
    };
    let all = other.into_iter().map(|trace| (trace, None));
    all.chain(mixes.into_iter().flat_map(full)).map(load).collect()
}

fn latency() -> Vec<Load> {
    let traces = [
        Trace("replace", "16..1024", 16 * MIB, FEW),
        Trace("replace", "8..128", 64 * KIB, 750),
        Trace("replace", "tail", MIB, 750),
    ];
    // Valgrind is slow: it sees the fill and the stirring only, twenty thousand calls of each kind.
    let load = |trace: &Trace, task, unit: &str, steps, timed| Load {
        group: Group::Latency,
        name: format!("{}, {unit}", trace.name()),
        fill: None,
        task,
        words: trace.words(steps, &[]),
        timed,
    };
    let both = |trace| {
        [
            load(trace, "instructions", "instructions", 0, false),
            load(trace, "time", "ns", STEPS / 5, true),
        ]
    };
    traces.iter().flat_map(both).collect()
}

fn threads() -> Vec<Load> {
    let apart = Trace("replace", "16..1024", 16 * MIB, FEW);
    let load = |name: &str, task, words| Load {
        group: Group::Threads,
        name: name.to_owned(),
        fill: None,
        task,
        words,
        timed: true,
    };
    let handed = Trace("-", "16..256", 16 * MIB, 0);
    vec![
        load("one thread", "apart", apart.words(2 * STEPS, &[1])),
        load("two threads", "apart", apart.words(2 * STEPS, &[2])),
        load("one makes, one frees", "handed-over", handed.words(4 * STEPS, &[])),
    ]
}

fn usable() -> Vec<Load> {
    // Small arenas differ more from seed to seed, and large ones take first-fit heaps long.
    let arenas = [(4 * KIB, 64, 20), (64 * KIB, 64, 20), (MIB, 16, 10), (16 * MIB, 2, 4)];
    let mixes = |arena: usize| match arena {
        0..0x1_0000 => &["8..64", "8..128"][..],
        0x1_0000..0x100_0000 => &["8..128", "16..1024", "tail"],
        _ => &["16..1024"],
    };
    // A request of 16 KiB fails early in one run and late in the next.
    let scatter = |mix: &str| if mix == "tail" { 8 } else { 1 };
    let load = |mix: &str, arena: usize, seeds: usize, rounds: usize| Load {
        group: Group::Usable,
        name: format!("{mix} in {}", size(arena)),
        fill: None,
        task: "usable",
        words: [mix.to_owned()]
            .into_iter()
            .chain([arena, rounds, seeds * scatter(mix)].map(|number| number.to_string()))
            .collect(),
        timed: false,
    };
    let all = |(arena, seeds, rounds)| {
        mixes(arena).iter().map(move |mix| load(mix, arena, seeds, rounds))
    };
    arenas.into_iter().flat_map(all).collect()
}

fn fragments() -> Vec<Load> {
    const SEEDS: usize = 8;
    let traces = [
        Trace("replace", "8..128", 64 * KIB, 500),
        Trace("replace", "tail", MIB, 500),
        Trace("replace", "16..1024", MIB, 500),
    ];
    let load = |trace: &Trace| Load {
        group: Group::Fragments,
        name: trace.name(),
        fill: None,
        task: "fragments",
        words: trace.words(1_000_000, &[SEEDS]),
        timed: false,
    };
    traces.iter().map(load).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_load_has_a_name_of_its_own_in_its_group() {
        let loads = loads(&[], false);
        for (at, load) in loads.iter().enumerate() {
            let same = |other: &&Load| (other.group, &other.name) == (load.group, &load.name);
            assert_eq!(loads[..at].iter().find(same), None);
        }
        assert!(
            self::loads(&[Group::Usable], false).iter().all(|load| load.group == Group::Usable)
        );
    }
}
