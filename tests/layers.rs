//! The plan of the house as a test: who imports whom in core, how long files and functions are, what
//! the hot path may not say, and where `cfg(loom)` and environment variables may stand.
//!
//! Changing a table here is a design change: write the reason into `docs/decisions/`.

use ace_alloc_tests::house::{Source, root, sources};
use std::{collections::BTreeSet, fs};

#[path = "layers/plan.rs"]
mod plan;

use plan::{EXCEPTIONS, NARROW, PLAN};

const MOST_FILE_LINES: usize = 400;
const MOST_FUNCTION_LINES: usize = 70;
/// What the hot path may not say, as whole words of its code.
const NOT_IN_HOT: &[&str] = &[
    "pool", "dials", "ace", "pages", "Atomic", "cfg", "unwrap", "expect", "panic", "lock",
    "counter",
];
const NOWHERE: &[&str] = &["todo!", "unimplemented!", "#[ignore"];
const NOT_IN_COMMENTS: &[&str] = &["TODO", "FIXME", "XXX"];
/// Files that may say `cfg(loom)`, and `cfg(shuttle)`.
const LOOM_FILES: &[&str] = &["core/src/sync.rs", "core/src/lib.rs"];
const SHUTTLE_FILES: &[&str] = &["core/src/sync.rs"];
/// Packages whose code may read the environment only in these files.
const ENVIRONMENT: &[(&str, &[&str])] = &[
    ("core/", &[]),
    ("platform-linux/src/", &["platform-linux/src/options.rs"]),
    ("platform-linux/preload/", &[]),
    // The fake is a library of its own, with options of its own. A build script has its input from cargo.
    (
        "platform-cuda/",
        &[
            "platform-cuda/build.rs",
            // Only whether to write the header anew.
            "platform-cuda/capi/tests/header.rs",
            "platform-cuda/fake/src/options.rs",
            "platform-cuda/src/options.rs",
        ],
    ),
];

fn plan_violations(files: &[Source]) -> Vec<String> {
    let rooms: BTreeSet<String> = files.iter().filter_map(Source::room).map(String::from).collect();
    let floor = |room: &str| PLAN.iter().position(|known| *known == room);
    let mut violations = Vec::new();
    for file in files {
        let Some(own) = file.room().filter(|room| *room != "lib") else { continue };
        let Some(own_floor) = floor(own) else {
            violations.push(format!("{}: the plan has no such room", file.path));
            continue;
        };
        let narrow =
            NARROW.iter().find(|(room, _)| own.split('/').next() == Some(room) || own == *room);
        for import in file.imports(&rooms) {
            let excepted = EXCEPTIONS.iter().any(|(from, to, _)| *from == own && *to == import);
            let below =
                floor(&import).is_some_and(|other| other < own_floor) || part_of(own, &import);
            let listed = |room: &&str| match room.strip_suffix('*') {
                Some(head) => import.starts_with(head),
                None => import == *room,
            };
            let allowed = narrow.is_none_or(|(_, list)| list.iter().any(listed));
            if !(excepted || below && allowed) {
                violations.push(format!("{}: {own} may not import {import}", file.path));
            }
        }
    }
    violations
}

/// A room's own folder is one room for its parts: `pool/large` and `pool` know each other.
fn part_of(own: &str, import: &str) -> bool {
    let head = |room: &str| room.split('/').next().map(String::from);
    head(own) == head(import) && !own.starts_with("protocol/")
}

fn says_word(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back().unwrap_or(' ');
        let after = code[at + word.len()..].chars().next().unwrap_or(' ');
        let joined = |letter: char| letter.is_alphanumeric() || letter == '_';
        // `AtomicU32` says Atomic, `placed` does not say ace.
        !joined(before) && (!joined(after) || after.is_uppercase())
    })
}

fn hot_violations(files: &[Source]) -> Vec<String> {
    let hot = files.iter().filter(|file| file.room() == Some("tiny/hot"));
    let words = |file: &Source| {
        let code = file.code();
        let said = NOT_IN_HOT.iter().filter(|word| says_word(&code, word));
        said.map(|word| format!("{}: says {word}", file.path)).collect::<Vec<_>>()
    };
    hot.flat_map(words).collect()
}

fn habit_violations(files: &[Source]) -> Vec<String> {
    let mut violations = Vec::new();
    for file in files {
        let lines = file.text.lines().count();
        if lines > MOST_FILE_LINES {
            violations.push(format!("{}: {lines} lines", file.path));
        }
        if !file.text.starts_with("//!") {
            violations.push(format!("{}: the first line does not say what it owns", file.path));
        }
        for function in file.functions() {
            if function.lines > MOST_FUNCTION_LINES {
                let (name, line, lines) = (function.name, function.line, function.lines);
                violations.push(format!("{}:{line}: {name} has {lines} lines", file.path));
            }
        }
    }
    violations
}

fn word_violations(files: &[Source]) -> Vec<String> {
    let mut violations = Vec::new();
    for file in files {
        let code = file.code();
        for word in NOWHERE.iter().filter(|word| code.contains(**word)) {
            violations.push(format!("{}: says {word}", file.path));
        }
        for line in file.text.lines() {
            let comment = line.split_once("//").map_or("", |(_, comment)| comment);
            for word in NOT_IN_COMMENTS.iter().filter(|word| says_word(comment, word)) {
                violations.push(format!("{}: says {word}", file.path));
            }
        }
        for (checker, files) in [("loom", LOOM_FILES), ("shuttle", SHUTTLE_FILES)] {
            let said = code.lines().any(|line| line.contains("cfg") && says_word(line, checker));
            let fine = files.contains(&file.path.as_str()) || file.path.starts_with("tests/");
            if said && !fine {
                violations.push(format!("{}: says cfg({checker})", file.path));
            }
        }
        let house = ENVIRONMENT.iter().find(|(package, _)| file.path.starts_with(package));
        let reads = ["env::var", "getenv", "environ"].iter().any(|word| code.contains(word));
        if reads && house.is_some_and(|(_, files)| !files.contains(&file.path.as_str())) {
            violations.push(format!("{}: reads the environment", file.path));
        }
    }
    violations
}

fn assert_none(violations: &[String]) {
    assert!(violations.is_empty(), "{} violations:\n{}", violations.len(), violations.join("\n"));
}

fn house() -> Vec<Source> {
    let files = sources(&[".rs"]);
    assert!(files.len() > 20, "the house was found: {} files", files.len());
    // This file must spell out what nobody may say.
    files.into_iter().filter(|file| file.path != "tests/layers.rs").collect()
}

#[test]
fn every_room_imports_only_from_below() {
    assert_none(&plan_violations(&house()));
}

#[test]
fn every_room_of_the_plan_exists() {
    let files = house();
    let exists = |room: &&&str| files.iter().any(|file| file.room() == Some(**room));
    let missing: Vec<_> = PLAN.iter().filter(|room| !exists(room)).collect();
    assert!(missing.is_empty(), "rooms without a file: {missing:?}");
    for (from, to, reason) in EXCEPTIONS {
        let file = files.iter().find(|file| file.room() == Some(from)).expect("the room exists");
        let rooms = files.iter().filter_map(Source::room).map(String::from).collect();
        assert!(file.imports(&rooms).contains(*to), "unused exception {from} -> {to}: {reason}");
    }
}

#[test]
fn the_hot_path_says_nothing_cold() {
    assert!(house().iter().any(|file| file.room() == Some("tiny/hot")));
    assert_none(&hot_violations(&house()));
}

#[test]
fn files_and_functions_are_short_and_say_what_they_own() {
    let mut violations = habit_violations(&house());
    violations.extend(habit_violations(&sources(&["layers.rs"])));
    assert_none(&violations);
}

#[test]
fn no_file_leaves_work_for_later_or_reads_what_it_should_not() {
    assert_none(&word_violations(&house()));
}

/// A package holds only what is in its folder.
#[test]
fn packages_for_others_carry_the_licences() {
    for package in ["core", "platform-linux", "platform-cuda"] {
        for name in ["LICENSE-MIT", "LICENSE-APACHE"] {
            let text = |folder: &str| fs::read_to_string(root().join(folder).join(name)).ok();
            assert!(text("").is_some_and(|own| Some(own) == text(package)), "{package}/{name}");
        }
    }
}

#[test]
fn planted_imports_are_caught() {
    let planted = [
        ("core/src/sync.rs", "use crate::dials::Dials;"),
        ("core/src/slab.rs", "use crate::{address, pool::{Pool, Locked}};"),
        ("core/src/slab.rs", "fn f() { crate::heap::grow(); }"),
        ("core/src/slab.rs", "use super::gate;"),
        ("core/src/tiny/hot.rs", "use crate::pool::Pool;"),
        ("core/src/tiny/hot.rs", "use super::cold::adopt;"),
        ("core/src/arena.rs", "use crate::slab::Slab;"),
        ("core/src/protocol/inbox.rs", "use super::tier::Tier;"),
        ("core/src/dials.rs", "use crate::stats::Stats;"),
        ("core/src/attic.rs", "//! A room that nobody planned."),
    ];
    for (path, text) in planted {
        let mut files: Vec<_> = house().into_iter().filter(|file| file.path != path).collect();
        files.push(Source::planted(path, text));
        let found = plan_violations(&files);
        assert!(found.iter().any(|line| line.starts_with(path)), "not caught: {path}: {text}");
    }
}

#[test]
fn harmless_text_is_not_caught() {
    let text = "//! See [`crate::heap`].\nuse crate::sync;\n// crate::pool\nconst A: &str = \"crate::pool\";\n";
    let mut files: Vec<_> =
        house().into_iter().filter(|file| file.path != "core/src/slab.rs").collect();
    files.push(Source::planted("core/src/slab.rs", text));
    let found = plan_violations(&files);
    assert!(!found.iter().any(|line| line.starts_with("core/src/slab.rs")), "{found:?}");
    let placed = Source::planted("core/src/tiny/hot.rs", "//! Ace.\nfn placed() { blocks() }\n");
    assert_none(&hot_violations(&[placed]));
}

#[test]
fn planted_words_are_caught() {
    for text in [
        "fn f() { x.unwrap(); }",
        "use core::sync::atomic::AtomicU32;",
        "#[cfg(feature = \"a\")]",
        "fn f() { panic!() }",
        "fn f(pool: &P) {}",
    ] {
        let hot = Source::planted("core/src/tiny/hot.rs", text);
        assert_eq!(hot_violations(&[hot]).len(), 1, "not caught in hot.rs: {text}");
    }
    for (path, text) in [
        ("core/src/slab.rs", "#[cfg(loom)]"),
        ("core/src/slab.rs", "#[cfg(not(any(loom, unix)))]"),
        ("core/src/lib.rs", "#[cfg(shuttle)]"),
        ("core/src/slab.rs", "// TODO: later"),
        ("core/src/slab.rs", "fn f() { todo!() }"),
        ("tests/stress.rs", "#[ignore]"),
        ("core/src/slab.rs", "fn f() { std::env::var(\"A\"); }"),
        ("platform-linux/src/pages.rs", "fn f() { libc::getenv(p); }"),
    ] {
        let found = word_violations(&[Source::planted(path, text)]);
        assert_eq!(found.len(), 1, "not caught in {path}: {text}");
    }
}

#[test]
fn planted_long_files_and_functions_are_caught() {
    let long_file = "//! Long.\n".repeat(MOST_FILE_LINES + 1);
    let body = "    step();\n".repeat(MOST_FUNCTION_LINES);
    let long_function =
        format!("//! Long.\npub(crate) const unsafe fn f(\n    a: u8,\n) {{\n{body}}}\n");
    for text in [&*long_file, &long_function, "use core::ptr;\n"] {
        let found = habit_violations(&[Source::planted("core/src/slab.rs", text)]);
        assert_eq!(found.len(), 1, "{found:?}");
    }
    let short = "//! Short.\nfn a() {}\n\ntrait T {\n    fn b(&self);\n\n    fn c(\n        &self,\n    ) -> u8 {\n        1\n    }\n}\n";
    let lengths: Vec<_> =
        Source::planted("a.rs", short).functions().iter().map(|one| one.lines).collect();
    assert_eq!(lengths, [1, 1, 5]);
}
