//! The plan of this house as a test: which room may import which. Changing the table is a design change.
//! Floor: garden.

use ace_alloc_tests::house::{Source, sources};
use std::collections::BTreeSet;

/// The rooms of `ace-alloc-cuda`, and what each may import. What stands before `device` is pure: it knows
/// nothing of devices, and of the system only what `alloc` gives.
const PLAN: &[(&str, &[&str])] = &[
    ("ranges", &[]),
    ("random", &[]),
    ("state", &["ranges"]),
    ("distance", &["state"]),
    ("order", &["distance", "random"]),
    ("policy", &["distance", "order", "random"]),
    ("planner", &["distance", "order", "policy", "ranges", "state"]),
    ("device", &[]),
    ("options", &[]),
    ("driver", &["device", "options"]),
    ("engine", &["device", "distance", "planner", "policy", "ranges", "state"]),
    ("heap", &["device"]),
];
const PURE: &[&str] =
    &["ranges", "random", "state", "distance", "order", "policy", "planner", "device"];

fn violations_of(files: &[Source]) -> Vec<String> {
    let rooms: BTreeSet<String> = PLAN.iter().map(|(room, _)| (*room).to_owned()).collect();
    let mut violations = Vec::new();
    for file in files {
        let Some(place) = file.path.strip_prefix("platform-cuda/src/") else { continue };
        let room = place.split(['/', '.']).next().unwrap_or(place);
        let Some((_, allowed)) = PLAN.iter().find(|(known, _)| *known == room) else {
            if room != "lib" {
                violations.push(format!("{}: the plan has no such room", file.path));
            }
            continue;
        };
        // Read as if it were a file of core's: rooms are named alike.
        let imports = Source::planted(&format!("core/src/{place}"), &file.text).imports(&rooms);
        let foreign = |import: &&String| {
            rooms.contains(*import) && *import != room && !allowed.contains(&import.as_str())
        };
        for import in imports.iter().filter(foreign) {
            violations.push(format!("{}: {room} may not import {import}", file.path));
        }
        if PURE.contains(&room) && file.code().contains("std::") {
            violations.push(format!("{}: {room} does without std", file.path));
        }
    }
    violations
}

#[test]
fn the_planner_knows_no_device_and_nobody_imports_what_the_plan_forbids() {
    let files = sources(&[".rs"]);
    let rooms = files.iter().filter(|file| file.path.starts_with("platform-cuda/src/")).count();
    assert!(rooms > 40, "the house was found: {rooms} files");
    assert_eq!(violations_of(&files), Vec::<String>::new());
    for (path, text) in [
        ("platform-cuda/src/planner/admit.rs", "use crate::device::Device;"),
        ("platform-cuda/src/policy/lru.rs", "use crate::{order::Order, planner::Planner};"),
        ("platform-cuda/src/order/wheel.rs", "fn f() -> std::time::Instant { now() }"),
        ("platform-cuda/src/heap/pages.rs", "use crate::engine::Engine;"),
        ("platform-cuda/src/attic.rs", "//! A room that nobody planned."),
    ] {
        let found = violations_of(&[Source::planted(path, text)]);
        assert_eq!(found.len(), 1, "{path}: {text}: {found:?}");
    }
}
