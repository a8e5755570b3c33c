//! A kernel on two CPUs with ACE-Alloc as its global allocator, booted under QEMU: `tests/kernel`. Its verdict is
//! its exit code; what it says on the serial port is held against what it should have done.

use ace_alloc_tests::house;
use ace_alloc_tests::product::target_folder;
use ace_alloc_tests::programs::{Outcome, program, run};
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

// `serial::Verdict`.
const PASSED: i32 = 33;
const MISUSED: i32 = 39;

/// What a call of a bounded heap may take, in instructions, at the median and at worst. Where the trace leads depends
/// a little on where the linker put the memory.
const MOST_AT_THE_MEDIAN: u64 = 45;
const MOST_AT_WORST: u64 = 110;
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
    let mut bounded = 0;
    for line in outcome.out.lines() {
        let found: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
        let is_bounded = found["heap"].as_str().expect("a name").contains("Bounded");
        let (median, worst) = if is_bounded {
            (MOST_AT_THE_MEDIAN, MOST_AT_WORST)
        } else {
            (MOST_OF_CORES_AT_THE_MEDIAN, MOST_OF_THE_FIRST)
        };
        bounded += usize::from(is_bounded);
        for call in ["alloc", "free"] {
            let number = |name: &str| found[call][name].as_u64().expect("a number");
            assert!(number("p50") <= median, "{call}: {line}");
            assert!(number("max") <= worst, "{call}: {line}");
        }
    }
    assert_eq!(bounded, 2, "{said}");
}
