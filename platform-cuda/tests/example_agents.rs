//! Promises of the example `agents`: on the fake every byte comes back, and without a driver it says what is
//! missing. Floor: garden.

#![cfg(feature = "driver")]

use ace_alloc_tests::programs::{Outcome, run};
use ace_alloc_tests::{fake_cuda, product};
use std::path::Path;
use std::process::Command;

fn agents(driver: &Path) -> Outcome {
    let built = product::build_here(&["--package", "ace-alloc-cuda", "--example", "agents"]);
    run(Command::new(built.join("examples/agents")).arg("--driver").arg(driver))
}

#[test]
fn what_an_agent_wrote_is_there_when_it_comes_back() {
    let fake = fake_cuda::load();
    let outcome = agents(fake.path());
    assert_eq!(outcome.code, 0, "{}{}", outcome.out, outcome.err);
    assert!(outcome.out.ends_with("every byte is what was written\n"), "{}", outcome.out);
}

#[test]
fn without_a_driver_it_says_what_is_missing() {
    let outcome = agents(Path::new("libcuda-of-nobody.so.1"));
    assert_eq!((outcome.code, &*outcome.out), (1, ""));
    assert!(outcome.err.contains("install NVIDIA's driver"), "{}", outcome.err);
}
