//! Promises of the Python module and its example, run on the fake of the driver. Floor: garden.

use ace_alloc_tests::fake_cuda;
use ace_alloc_tests::house;
use ace_alloc_tests::product::cuda_library;
use ace_alloc_tests::programs::{Outcome, program, run};
use std::path::Path;
use std::process::Command;

fn python(script: &str, arguments: &[&Path]) -> Outcome {
    let mut command = Command::new(program("python3", "python3"));
    // What Python would leave beside the module is not wanted in the repository.
    command.arg("-B").arg(house::root().join("platform-cuda").join(script)).args(arguments);
    run(&mut command)
}

#[test]
fn the_module_keeps_its_promises() {
    let fake = fake_cuda::load();
    let modules = house::root().join("platform-cuda/python");
    let outcome = python("capi/tests/python/promises.py", &[&modules, cuda_library(), fake.path()]);
    assert_eq!(outcome.code, 0, "{}{}", outcome.out, outcome.err);
    assert!(outcome.err.contains("\nOK"), "{}", outcome.err);
}

#[test]
fn the_example_runs_on_the_fake_and_says_what_is_missing_without_a_driver() {
    let fake = fake_cuda::load();
    let library = [Path::new("--library"), cuda_library()];
    let on = |driver: [&Path; 2]| python("python/example.py", &[library, driver].concat());
    let outcome = on([Path::new("--fake"), fake.path()]);
    let said = format!("{}\n{}", outcome.out, outcome.err);
    assert_eq!(outcome.code, 0, "{said}");
    let numbers = |policy: &str| {
        let row = outcome.out.lines().find(|line| line.starts_with(policy));
        let words = row.unwrap_or_else(|| panic!("no row {policy}: {said}")).split_whitespace();
        words.filter_map(|word| word.parse().ok()).collect::<Vec<u64>>()
    };
    for policy in ["lru", "ace"] {
        let row = numbers(policy);
        assert_eq!((row[0] + row[1], row[5]), (120, 0), "{policy}: {said}");
    }
    // Whoever is told nothing fetches nothing ahead.
    assert_eq!(numbers("lru")[3], 0, "{said}");
    let without = on([Path::new("--driver"), Path::new("libcuda-of-nobody.so.1")]);
    assert_eq!(without.code, 1);
    assert!(without.err.contains("install NVIDIA's driver"), "{}", without.err);
}
