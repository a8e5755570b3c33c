//! `ace soak`: clean on this allocator, and not on ones that break a promise; what it refuses; how it
//! is stopped.

use ace_alloc_tests::house;
use ace_alloc_tests::product::product;
use ace_alloc_tests::programs::{Outcome, Scratch, program, run, start};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

fn soak(words: &[&str]) -> Command {
    let mut command = Command::new(&product().ace);
    command.arg("soak").args(words);
    command
}

/// The number before ` name` in the verdict.
fn count(verdict: &str, name: &str) -> u64 {
    let (before, _) = verdict.split_once(&format!(" {name}")).expect("the verdict counts them");
    let digits = before.rsplit(' ').next().expect("a word").replace(',', "");
    digits.parse().unwrap_or_else(|_| panic!("a number before {name} in {verdict}"))
}

#[test]
fn a_soak_of_seconds_is_clean_and_has_done_all_that_it_says() {
    let outcome = run(&mut soak(&["--minutes", "0.1", "--memory", "128m"]));
    assert_eq!(outcome.code, 0, "{}{}", outcome.out, outcome.err);
    let verdict = &outcome.out;
    assert!(verdict.starts_with("soak: clean after "), "{verdict}");
    assert!(verdict.trim_end().ends_with("libace_alloc.so"), "{verdict}");
    assert_eq!(verdict.lines().count(), 1, "{verdict}");
    for (name, least) in
        [("operations", 50_000), ("blocks verified", 20_000), ("threads", 20), ("forks", 3)]
    {
        assert!(count(verdict, name) >= least, "{least} {name}: {verdict}");
    }
    assert!(outcome.mapped.contains("ace"), "{:?} had the library", outcome.mapped);
    assert!(outcome.err.contains("seed 1592634592"), "{}", outcome.err);
}

fn broken_library(scratch: &Scratch) -> PathBuf {
    let made = scratch.path().join("libbroken.so");
    let mut cc = Command::new(program("cc", "gcc libc6-dev"));
    cc.args(["-Wall", "-Wextra", "-Werror", "-O1", "-fno-builtin", "-shared", "-fPIC", "-o"]);
    cc.arg(&made).arg(house::root().join("tests/c/broken.c")).arg("-ldl");
    let outcome = run(&mut cc);
    assert_eq!(outcome.code, 0, "cc says:\n{}{}", outcome.out, outcome.err);
    made.canonicalize().expect("it was just made")
}

/// A soak of an allocator that breaks `promise` and is this one in all else.
fn soak_broken(library: &Path, promise: &str) -> Outcome {
    let mut command = soak(&["--minutes", "0.1", "--memory", "64m", "--patience", "3"]);
    command.env("ACE_LIBRARY", library).env("LD_PRELOAD", &product().library);
    run(command.env("BROKEN", promise))
}

#[test]
fn an_allocator_that_breaks_nothing_is_clean_behind_another_library_too() {
    let scratch = Scratch::new("sound");
    let library = broken_library(&scratch);
    let mut command = soak(&["--minutes", "0.03", "--memory", "32m"]);
    let outcome = run(command.env("ACE_LIBRARY", &library).env("LD_PRELOAD", &product().library));
    assert_eq!(outcome.code, 0, "{}{}", outcome.out, outcome.err);
    assert!(outcome.out.trim_end().ends_with("libbroken.so"), "{}", outcome.out);
}

#[test]
fn every_broken_promise_is_found() {
    let scratch = Scratch::new("broken");
    let library = broken_library(&scratch);
    for (promise, found) in [
        ("content", "is damaged at offset 16"),
        // Two threads that free the same block may be noticed by the heap before the damage is seen.
        ("uniqueness", "is damaged at offset 0|the worker ended before its time"),
        ("alignment", "is not aligned to 16"),
        ("zero", "calloc gave a block"),
        ("kept content", "is damaged at offset 0"),
        ("memory", "found no memory for"),
        ("free", "live after everything was freed"),
        ("progress", "it hung: no operation"),
        ("forked child", "a forked child hung"),
    ] {
        let outcome = soak_broken(&library, promise);
        let said = format!("{promise}: {}{}", outcome.out, outcome.err);
        assert_eq!(outcome.code, 1, "{said}");
        let findings: Vec<_> =
            outcome.out.lines().filter(|line| line.starts_with("soak: found: ")).collect();
        let is_it = |line: &&str| found.split('|').any(|found| line.contains(found));
        assert!(findings.iter().any(is_it), "{found}: {said}");
        let verdict = outcome.out.lines().last().expect("a verdict");
        assert!(verdict.contains(" broken after ") && verdict.contains("with seed"), "{said}");
    }
}

#[test]
fn a_worker_that_dies_is_a_finding() {
    let child = start(&mut soak(&["--minutes", "1", "--memory", "32m"]));
    let worker = worker_of(child.id());
    // SAFETY: a process of this test's, which still runs.
    unsafe { libc::kill(worker, libc::SIGABRT) };
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("the worker ended before its time: signal: 6"), "{said}");
}

/// The soaked process, once it is at work.
fn worker_of(ace: u32) -> libc::pid_t {
    let limit = Instant::now() + Duration::from_secs(30);
    let children = format!("/proc/{ace}/task/{ace}/children");
    loop {
        let list = std::fs::read_to_string(&children).unwrap_or_default();
        if let Some(Ok(worker)) = list.split_whitespace().next().map(str::parse) {
            let threads = format!("/proc/{worker}/task");
            if std::fs::read_dir(threads).is_ok_and(|threads| threads.count() >= 5) {
                return worker;
            }
        }
        assert!(Instant::now() < limit, "no soaked process within 30 s");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_signal_ends_a_soak_early_with_a_verdict() {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let child = start(&mut soak(&["--minutes", "60", "--memory", "32m"]));
        worker_of(child.id());
        // SAFETY: our own child, not waited for yet.
        unsafe { libc::kill(child.id().cast_signed(), signal) };
        let output = child.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert!(said.contains("soak: clean after ") && said.contains("(stopped early)"), "{said}");
    }
}

#[test]
fn a_soak_that_would_test_another_allocator_does_not_begin() {
    let mut command = soak(&["--minutes", "1"]);
    let outcome = run(command.env("ACE_LIBRARY", "/lib/x86_64-linux-gnu/libm.so.6"));
    assert_eq!((outcome.code, &*outcome.out), (125, ""), "{}", outcome.err);
    assert!(
        outcome.err.contains("libm") && outcome.err.contains("malloc is in"),
        "{}",
        outcome.err
    );
}

#[test]
fn options_that_make_no_sense_are_refused_with_a_sentence() {
    for (words, why) in [
        (["--minutes", "0"], "a number of minutes above 0"),
        (["--minutes", "-1"], "a number of minutes above 0"),
        (["--minutes", "NaN"], "a number of minutes above 0"),
        (["--minutes", "soon"], "a number of minutes above 0"),
        (["--threads", "3"], "3 is not in 4..=1024"),
        (["--memory", "1m"], "from 16m to 1024g"),
        (["--memory", "much"], "from 16m to 1024g"),
        (["--seed", "x"], "invalid digit"),
        (["--patience", "0"], "0 is not in 1.."),
    ] {
        let outcome = run(&mut soak(&words));
        assert_eq!((outcome.code, &*outcome.out), (2, ""), "{words:?}: {}", outcome.err);
        assert!(outcome.err.contains(why), "{words:?}: {}", outcome.err);
    }
}
