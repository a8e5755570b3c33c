//! What a malloc and a free cost, in instructions: counted by callgrind, compared with
//! `golden/instructions.txt`. A count that moved fails and names the function; `ACE_BLESS=1` writes
//! the table anew, and the commit says why the digit changed.

use ace_alloc_tests::callgrind::{self, per_pair};
use ace_alloc_tests::house;
use ace_alloc_tests::product::{build, target_folder};
use ace_alloc_tests::programs::{Scratch, program, run};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const PAIRS: u64 = 100_000;
const BURST: u64 = 1000;
const TABLE: &str = "tests/golden/instructions.txt";
const HEAD: &str = "# Instructions per malloc + free, by function, counted by callgrind (release build).\n\
    # pair: 64 bytes through the C API, one block at a time. burst: the same, 1000 blocks at a time, so\n\
    # that magazines are refilled and spilled. box: Box::new and drop, inlined, with the loop around it.\n\
    # `ACE_BLESS=1 .ci/check golden` writes this file anew.\n";
/// A burst's share of slow paths may depend on where the heap lies.
const BURST_SLACK: f64 = 0.05;

/// build and measure, function → instructions per pair.
type Table = BTreeMap<(String, String), f64>;

fn measure(build_name: &str, features: &[&str]) -> Table {
    let target = target_folder().join(build_name);
    let library = build(&target, "release", &[&["-p", "ace-alloc-preload"], features].concat());
    let example = ["-p", "ace-alloc-tests", "--example", "box_pairs"];
    let features: Vec<_> =
        features.iter().map(|feature| feature.replace("preload", "tests")).collect();
    let features: Vec<&str> = features.iter().map(String::as_str).collect();
    let boxes = build(&target, "release", &[&example, &features[..]].concat());
    let scratch = Scratch::new("pairs");
    let pairs = compile_pairs(&scratch);
    let preloaded = |count: u64, burst: u64| {
        let mut command = Command::new(&pairs);
        command.args([count.to_string(), burst.to_string()]);
        command.env("LD_PRELOAD", library.join("libace_alloc.so")).env("ACE_MODE", "off");
        command
    };
    let boxed = |count: u64| {
        let mut command = Command::new(boxes.join("examples/box_pairs"));
        command.arg(count.to_string()).env("ACE_MODE", "off");
        command
    };
    let measures = [
        ("pair", per_pair(PAIRS, |count| preloaded(count, 1))),
        ("burst", per_pair(PAIRS, |count| preloaded(count, BURST))),
        ("box", per_pair(PAIRS, boxed)),
    ];
    let mut table = Table::new();
    for (measure, functions) in measures {
        for (function, instructions) in functions {
            if is_ours(measure, &function) {
                table.insert((format!("{build_name} {measure}"), function), instructions);
            }
        }
    }
    table
}

/// Neither the C program's loop nor libc's memcpy, which differs from processor to processor.
fn is_ours(measure: &str, function: &str) -> bool {
    measure == "box" || matches!(function, "malloc" | "free") || function.contains("ace_alloc")
}

fn compile_pairs(scratch: &Scratch) -> PathBuf {
    let made = scratch.path().join("pairs");
    let mut cc = Command::new(program("cc", "gcc libc6-dev"));
    cc.args(["-O1", "-fno-builtin", "-o"]).arg(&made).arg(house::root().join("tests/c/pairs.c"));
    assert_eq!(run(&mut cc).code, 0, "cc compiles pairs.c");
    made
}

fn print(table: &Table) -> String {
    let mut text = HEAD.to_string();
    for ((measure, function), instructions) in table {
        let _ = writeln!(text, "{measure:16} {instructions:7.1}  {function}");
    }
    text
}

fn read(path: &Path) -> Table {
    let text = fs::read_to_string(path).unwrap_or_default();
    let row = |line: &str| {
        let mut words = line.split_whitespace();
        let measure = format!("{} {}", words.next()?, words.next()?);
        let instructions = words.next()?.parse().ok()?;
        Some(((measure, words.collect::<Vec<_>>().join(" ")), instructions))
    };
    text.lines().filter(|line| !line.starts_with('#')).filter_map(row).collect()
}

/// Every function whose count differs by an instruction or more.
fn differences(golden: &Table, now: &Table) -> Vec<String> {
    let mut found = Vec::new();
    let rows: std::collections::BTreeSet<_> = golden.keys().chain(now.keys()).collect();
    for row in rows {
        let count = |table: &Table| table.get(row).copied().unwrap_or(0.0);
        let (before, after) = (count(golden), count(now));
        let slack = if row.0.ends_with("burst") { before * BURST_SLACK } else { 0.0 };
        if (after - before).abs() >= slack.max(0.5) {
            let moved = if after > before { "grew" } else { "shrank" };
            found.push(format!("{}: {} {moved} from {before:.1} to {after:.1}", row.0, row.1));
        }
    }
    found
}

#[test]
fn malloc_and_free_cost_what_the_table_says() {
    let mut now = measure("checked", &[]);
    now.append(&mut measure("unchecked", &["--features", "ace-alloc-preload/unchecked"]));
    let path = house::root().join(TABLE);
    if house::blesses() {
        fs::write(&path, print(&now)).expect("the table can be written");
    }
    let moved = differences(&read(&path), &now);
    assert!(moved.is_empty(), "instructions moved:\n{}\nnow:\n{}", moved.join("\n"), print(&now));
}

#[test]
fn off_runs_no_code_of_ace() {
    let library = build(&target_folder().join("checked"), "release", &["-p", "ace-alloc-preload"]);
    let scratch = Scratch::new("off");
    let pairs = compile_pairs(&scratch);
    let ran = |mode: &str| {
        let mut command = Command::new(&pairs);
        command.args([PAIRS.to_string(), BURST.to_string()]).env("ACE_MODE", mode);
        command.env("LD_PRELOAD", library.join("libace_alloc.so"));
        callgrind::ran_code_of(&callgrind::profile(command), "core/src/ace/")
    };
    assert!(!ran("off"));
    assert!(ran("observe") && ran("tune"), "the profile shows it where it runs");
}

#[test]
fn a_function_that_grew_is_named() {
    let table = |malloc: f64, refill: f64| {
        let row = |measure: &str, name: &str| (format!("checked {measure}"), name.to_string());
        Table::from([(row("pair", "malloc"), malloc), (row("burst", "refill"), refill)])
    };
    assert_eq!(differences(&table(12.0, 30.0), &table(12.0, 31.0)), Vec::<String>::new());
    let grown = differences(&table(12.0, 30.0), &table(13.0, 40.0));
    assert_eq!(grown.len(), 2);
    assert_eq!(grown[1], "checked pair: malloc grew from 12.0 to 13.0");
    assert_eq!(differences(&Table::new(), &table(12.0, 30.0)).len(), 2, "a new function shows");
}

#[test]
fn callgrind_files_are_read_as_they_are_meant() {
    let text = "events: Ir\nfl=(1) a.c\nfn=(1) main\n5 10\ncfn=(2) lib::pop::h0123456789abcdef\n\
        calls=3 9\n6 300\n+1 2\nfn=(2)\n9 100\nfi=(4) b.h\n12 200\n";
    let counts = callgrind::parse(text);
    let wanted = [("lib::pop".to_string(), 300), ("main".to_string(), 12)];
    assert_eq!(counts, wanted.into_iter().collect());
}
