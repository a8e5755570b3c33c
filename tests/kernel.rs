//! A kernel on two CPUs with ACE-Alloc as its global allocator, booted under QEMU: `tests/kernel`. Its verdict is
//! its exit code; what it says on the serial port is held against what it should have done.

use ace_alloc_tests::house;
use ace_alloc_tests::product::target_folder;
use ace_alloc_tests::programs::{Outcome, program, run};
use serde_json::Value;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

// `serial::Verdict`.
const PASSED: i32 = 33;
const MISUSED: i32 = 39;

/// What a call of a bounded heap may take, in instructions, at the median and at the worst that a mix of sizes meets
/// which are cached, without alignment. Where the trace leads depends a little on where the linker put the memory.
const MOST_AT_THE_MEDIAN: u64 = 45;
const MOST_AT_WORST: u64 = 110;
/// Likewise on the longest ways through one region, of such sizes and of any: what the documentation of
/// `Scale::BOUNDED` says. The map of a region of 128 MiB and more has one word more to skip than the one here, four
/// instructions at each search: these leave room for that.
const MOST_OF_A_CACHED_SIZE: u64 = 115;
const MOST_OF_AN_ALLOC: u64 = 190;
const MOST_OF_A_FREE: u64 = 115;
const MOST_OF_A_RESIZE: u64 = 115;
/// What each further region adds.
const MOST_OF_A_REGION_AT_AN_ALLOC: u64 = 110;
const MOST_OF_A_REGION_AT_A_FREE: u64 = 50;
const MOST_OF_A_REGION_AT_A_RESIZE: u64 = 15;
/// Likewise of a heap of CPUs at the median.
const MOST_OF_CORES_AT_THE_MEDIAN: u64 = 50;
/// What the longest call of a heap of CPUs may take here: the first, which makes the tables. No call zeroes a block.
const MOST_OF_THE_FIRST: u64 = 6000;

fn folder() -> PathBuf {
    house::root().join("tests/kernel")
}

/// The kernel's image, made up to date first.
fn image() -> &'static Path {
    static IMAGE: OnceLock<PathBuf> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let target = target_folder().join("kernel");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(folder()).args(["build", "--quiet", "--release", "--target-dir"]);
        // The flags are in the kernel's own configuration, which these would replace.
        for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET"] {
            cargo.env_remove(name);
        }
        let status = cargo.arg(&target).status().expect("cargo runs");
        assert!(status.success(), "the kernel is built: {status}");
        target.join("x86_64-unknown-linux-gnu/release/ace-kernel")
    })
}

/// Boots the kernel with this command line, and QEMU with these arguments.
fn boot(command_line: &str, arguments: &str) -> Outcome {
    let _ = program("qemu-system-x86_64", "qemu-system-x86");
    let mut command = Command::new(folder().join("run"));
    run(command.arg(image()).arg(command_line).env("QEMU_ARGS", arguments))
}

fn transcript(outcome: &Outcome) -> String {
    format!("exit code {}\n{}{}", outcome.code, outcome.out, outcome.err)
}

#[test]
fn a_kernel_on_two_cpus_passes_its_checks() {
    let outcome = boot("", "");
    let said = transcript(&outcome);
    assert_eq!(outcome.code, PASSED, "{said}");
    for check in [
        "collections",
        "traffic",
        "exhaustion",
        "turns",
        "pages",
        "interrupts at any time",
        "interrupts after every instruction",
        "misuse",
        "regions",
    ] {
        assert!(outcome.out.lines().any(|line| line == format!("ok {check}")), "{check}: {said}");
    }
}

#[test]
fn a_mistake_ends_the_kernel_with_its_reason() {
    for heap in ["global", "spare", "regions"] {
        for reason in
            ["double free", "pointer into the middle of a block", "not a pointer of this allocator"]
        {
            let outcome = boot(&format!("misuse {heap} {reason}"), "");
            let said = transcript(&outcome);
            assert_eq!(outcome.code, MISUSED, "{heap}, {reason}: {said}");
            assert!(outcome.out.contains(reason), "{heap}, {reason}: {said}");
        }
    }
}

#[test]
fn calls_take_the_same_number_of_instructions_in_every_run_and_bounded_ones_have_a_bound() {
    let measured = || boot("measure", "-smp 1 -icount shift=0,sleep=off");
    let outcome = measured();
    let said = transcript(&outcome);
    assert_eq!(outcome.code, PASSED, "{said}");
    assert_eq!(outcome.out, measured().out, "two runs");
    println!("{}", outcome.out);
    let (mut bounded, mut longest) = (0, 0);
    for line in outcome.out.lines() {
        let found: Value = serde_json::from_str(line).expect("a line of JSON");
        let is_bounded = found["heap"].as_str().expect("a name").contains("Bounded");
        if !found["full"].is_null() {
            longest += 1;
            assert_paths(&found);
        } else if is_bounded && found["mix"] == "even" {
            bounded += 1;
            assert_calls(&found, MOST_AT_THE_MEDIAN, [MOST_AT_WORST; 2]);
        } else if is_bounded {
            bounded += 1;
            assert_calls(&found, MOST_OF_A_FREE, [MOST_OF_AN_ALLOC, MOST_OF_A_FREE]);
        } else {
            assert_calls(&found, MOST_OF_CORES_AT_THE_MEDIAN, [MOST_OF_THE_FIRST; 2]);
        }
    }
    assert_eq!((bounded, longest), (4, 9), "{said}");
}

fn number(found: &Value, call: &str, name: &str) -> u64 {
    found[call][name].as_u64().expect("a number")
}

/// Of a mix: the median of both calls, and the most of each.
fn assert_calls(found: &Value, median: u64, most: [u64; 2]) {
    for (call, most) in ["alloc", "free"].into_iter().zip(most) {
        assert!(number(found, call, "p50") <= median, "{call}: {found}");
        assert!(number(found, call, "max") <= most, "{call}: {found}");
    }
}

/// Of the longest calls, behind so many full regions.
fn assert_paths(found: &Value) {
    let full = found["full"].as_u64().expect("a number");
    let small = if full == 0 { MOST_OF_A_CACHED_SIZE } else { MOST_OF_AN_ALLOC };
    for (call, least, one, each) in [
        // `Micro` caches nothing.
        ("small", 0, small, MOST_OF_A_REGION_AT_AN_ALLOC),
        ("alloc", 4000, MOST_OF_AN_ALLOC, MOST_OF_A_REGION_AT_AN_ALLOC),
        ("refusal", 4000, MOST_OF_AN_ALLOC, MOST_OF_A_REGION_AT_AN_ALLOC),
        ("free", 3000, MOST_OF_A_FREE, MOST_OF_A_REGION_AT_A_FREE),
        ("resize", 500, MOST_OF_A_RESIZE, MOST_OF_A_REGION_AT_A_RESIZE),
    ] {
        assert!(number(found, call, "calls") >= least, "{call}: {found}");
        assert!(number(found, call, "max") <= one + full * each, "{call}: {found}");
    }
}
