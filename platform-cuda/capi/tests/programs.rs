//! Promises of the library, met from C: small programs in `c/` and the example, compiled with the system's
//! `cc` and run on the fake of the driver. Floor: garden.

use ace_alloc_tests::fake_cuda::{self, Fake};
use ace_alloc_tests::house;
use ace_alloc_tests::product::cuda_library;
use ace_alloc_tests::programs::{Outcome, Scratch, program, run};
use std::path::{Path, PathBuf};
use std::process::Command;

fn package() -> PathBuf {
    house::root().join("platform-cuda/capi")
}

fn compile(source: &str, scratch: &Scratch) -> PathBuf {
    let made = scratch.path().join("made");
    let folder = cuda_library().parent().expect("a folder");
    let mut cc = Command::new(program("cc", "gcc libc6-dev"));
    cc.args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-O1", "-D_GNU_SOURCE", "-I"]);
    cc.arg(package().join("include")).arg("-I").arg(house::root().join("tests/c"));
    cc.arg(package().join(source)).arg("-o").arg(&made).arg("-L").arg(folder);
    cc.args(["-lace_cuda", "-ldl", "-lm"]).arg(format!("-Wl,-rpath,{}", folder.display()));
    let outcome = run(&mut cc);
    assert_eq!(outcome.code, 0, "cc says:\n{}{}", outcome.out, outcome.err);
    made
}

/// Runs a program on the fake.
fn on_the_fake(made: &Path, fake: &Fake) -> Outcome {
    run(Command::new(made).arg(fake.path()))
}

fn runs_clean(source: &str) {
    let (fake, scratch) = (fake_cuda::load(), Scratch::new("capi"));
    let outcome = on_the_fake(&compile(source, &scratch), &fake);
    let said = format!("{}\n{}", outcome.out, outcome.err);
    assert_eq!(outcome.code, 0, "{source} says:\n{said}");
    assert!(outcome.out.ends_with(" 0 broken\n"), "{source} says:\n{said}");
}

#[test]
fn what_a_caller_can_get_wrong_is_a_status_and_changes_nothing() {
    runs_clean("tests/c/wrong.c");
}

#[test]
fn states_come_and_go_and_their_contents_stay() {
    runs_clean("tests/c/use.c");
}

#[test]
fn the_example_runs_on_the_fake_and_says_what_is_missing_without_a_driver() {
    let (fake, scratch) = (fake_cuda::load(), Scratch::new("capi"));
    let made = compile("examples/agents.c", &scratch);
    let outcome = on_the_fake(&made, &fake);
    let said = format!("{}\n{}", outcome.out, outcome.err);
    assert_eq!(outcome.code, 0, "{said}");
    assert!(outcome.out.starts_with("72 steps, ") && said.contains(", 0 wrong bytes"), "{said}");
    let without = run(Command::new(&made).arg("libcuda-of-nobody.so.1"));
    assert_eq!(without.code, 1);
    assert!(without.err.contains("install NVIDIA's driver"), "{}", without.err);
}
