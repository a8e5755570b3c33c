//! Instruction counts by function, from valgrind's callgrind.

use crate::programs::{Scratch, program, run};
use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

/// Instructions by function name.
pub type Counts = BTreeMap<String, u64>;

/// Instructions that one more pair costs, by function: the difference between a run of `pairs` pairs
/// and one of twice as many, divided by `pairs`. `command` makes a command line for so many pairs.
///
/// # Panics
/// If valgrind or the program fails.
#[must_use]
pub fn per_pair(pairs: u64, command: impl Fn(u64) -> Command) -> BTreeMap<String, f64> {
    let count = |pairs| parse(&profile(command(pairs)));
    let (once, twice) = (count(pairs), count(2 * pairs));
    let more = twice.into_iter().map(|(name, total)| {
        let before = once.get(&name).copied().unwrap_or(0);
        #[expect(clippy::cast_precision_loss, reason = "counts of some millions")]
        let more = total.saturating_sub(before) as f64 / pairs as f64;
        (name, more)
    });
    // What happens once or now and then is not a part of a pair.
    more.filter(|(_, more)| *more >= 0.05).collect()
}

/// Runs a command under callgrind. Returns what that wrote.
///
/// # Panics
/// If valgrind or the program fails.
#[must_use]
pub fn profile(command: Command) -> String {
    let scratch = Scratch::new("callgrind");
    let out = scratch.path().join("out");
    let mut valgrind = Command::new(program("valgrind", "valgrind"));
    valgrind
        .args(["-q", "--tool=callgrind"])
        .arg(format!("--callgrind-out-file={}", out.display()));
    valgrind.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        valgrind.env(name, value.expect("variables are only added"));
    }
    let outcome = run(&mut valgrind);
    assert_eq!(outcome.code, 0, "valgrind: {}{}", outcome.out, outcome.err);
    fs::read_to_string(out).expect("callgrind's file")
}

/// Whether any instruction of a source file in this folder (a part of its path) was executed.
#[must_use]
pub fn ran_code_of(profile: &str, folder: &str) -> bool {
    // A file is named where its first cost stands; `fl`: of a function, `fi` and `fe`: of what was inlined.
    let files = profile
        .lines()
        .filter_map(|line| ["fl=", "fi=", "fe="].iter().find_map(|kind| line.strip_prefix(kind)));
    files.filter_map(|spec| spec.split_once(' ')).any(|(_, name)| name.contains(folder))
}

/// Reads callgrind's format: `fn=` opens a function, lines of costs follow, and the line after
/// `calls=` is the callee's.
///
/// # Panics
/// If the text is not of that format.
#[must_use]
pub fn parse(text: &str) -> Counts {
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    let mut counts = Counts::new();
    let (mut function, mut callee) = (String::new(), false);
    for line in text.lines() {
        if let Some(spec) = line.strip_prefix("fn=").or_else(|| line.strip_prefix("cfn=")) {
            let (id, name) = spec.split_once(' ').unwrap_or((spec, ""));
            if !name.is_empty() {
                names.insert(id.into(), plain(name));
            }
            if line.starts_with("fn=") {
                function.clone_from(names.get(id).expect("a name before its number"));
            }
        } else if line.starts_with("calls=") {
            callee = true;
        } else if line.starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first)) {
            if !callee {
                let cost = line.split_whitespace().nth(1).and_then(|cost| cost.parse().ok());
                *counts.entry(function.clone()).or_default() += cost.unwrap_or(0_u64);
            }
            callee = false;
        }
    }
    counts
}

/// A function's name without the hash of its crate and the number of its recursion.
fn plain(name: &str) -> String {
    let name = name.split('\'').next().unwrap_or(name);
    match name.rsplit_once("::h") {
        Some((path, hash)) if hash.len() == 16 => path.into(),
        _ => name.into(),
    }
}
