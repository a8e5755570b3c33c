//! Bugs planted in what the heap stands on: the promises must break, or they could not fail at all.
//! Each runs in a process of its own, since a heap whose lock does not hold may take the process down.

use ace_alloc_shuttle::platform::Bug;
use std::process::Command;

/// The promise that has to notice each bug.
const NOTICED_BY: [(&str, &str); 5] = [
    ("lock", "exchange::a_block_that_is_swapped_among_all_threads_has_one_owner::tables"),
    ("exit", "exit::an_exit_while_others_free_into_the_heap_strands_nothing::tables"),
    ("front", "exchange::blocks_that_consumers_free_come_home_to_their_producers::tables"),
    ("slot", "exchange::a_block_that_is_swapped_among_all_threads_has_one_owner::tails"),
    ("touch", "exchange::blocks_that_consumers_free_come_home_to_their_producers::tails"),
];

#[test]
fn every_planted_bug_is_found() {
    for (name, _) in Bug::ALL {
        let promise = NOTICED_BY.iter().find(|(bug, _)| *bug == name);
        let (_, promise) = promise.unwrap_or_else(|| panic!("nobody notices {name:?}"));
        let program = std::env::current_exe().expect("the path of this test");
        let output = Command::new(program)
            .args(["--exact", promise, "--nocapture", "--test-threads=1"])
            .env("ACE_SHUTTLE_BUG", name)
            .env("ACE_SHUTTLE_SCHEDULES", "2000")
            .env_remove("ACE_SHUTTLE_REPLAY")
            .output()
            .expect("this test as a child");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains("running 1 test"), "there is no promise {promise:?}: {said}");
        assert!(!output.status.success(), "the bug {name:?} was not found: {said}");
        let verdict = said.lines().find_map(|line| line.split_once("shuttle: "));
        println!("planted {name}: {}: {}", output.status, verdict.map_or("", |(_, text)| text));
    }
}
