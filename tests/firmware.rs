//! Real firmware, and a WebAssembly module, with ACE-Alloc as the global allocator: `tests/firmware`. Each image
//! says by its exit code whether its checks hold; here it is built, started and read. Nothing is skipped: a
//! missing tool is a failure that names its Debian package (`.ci/check bare-metal` installs them all).

use ace_alloc_tests::firmware::{build, start};
use ace_alloc_tests::flash::costs;
use ace_alloc_tests::programs::Outcome;
use std::path::Path;

const PACKAGE: &str = "ace-firmware-boards";
/// What an image exits with when it panics.
const PANICKED: i32 = 101;
/// The checks of an image without interrupts.
const CHECKS: usize = 7;
/// Bytes of static memory that it may have beside its region.
const MICRO_STATICS: u64 = 512;
const MISUSES: &[(&str, &str)] = &[
    ("double", "double free"),
    ("foreign", "not a pointer of this allocator"),
    ("interior", "pointer into the middle of a block"),
];

fn said(outcome: &Outcome) -> String {
    format!("exit code {}\n{}{}", outcome.code, outcome.out, outcome.err)
}

fn holds(outcome: &Outcome, checks: usize, name: &str) {
    let said = said(outcome);
    assert_eq!(outcome.code, 0, "{name}: {said}");
    let held = outcome.out.lines().filter(|line| line.starts_with("holds: ")).count();
    assert_eq!(held, checks, "{name}: {said}");
    assert!(outcome.out.ends_with("all hold\n"), "{name}: {said}");
}

fn stops_at_misuse(target: &str, image: &Path, before: &[&str]) {
    for (misuse, reason) in MISUSES {
        let outcome = start(target, image, &[before, &[misuse]].concat());
        let said = said(&outcome);
        assert_eq!(outcome.code, PANICKED, "{misuse}: {said}");
        assert!(outcome.out.contains(reason), "{misuse}: {said}");
    }
}

/// Heaps of 64 KiB of each scale, and of 4 KiB of those that are made for it.
fn passes(target: &str) {
    let images = build(PACKAGE, target, &[]);
    for (image, heaps) in [
        ("micro", &["65536", "4096"][..]),
        ("mini", &["65536", "4096"]),
        ("wide", &["65536"]),
        ("bounded", &["65536"]),
    ] {
        let path = images.join(image);
        for bytes in heaps {
            let outcome = start(target, &path, &[bytes]);
            holds(&outcome, CHECKS + 1, &format!("{image}, {bytes} bytes"));
        }
        stops_at_misuse(target, &path, &["65536"]);
    }
}

#[test]
fn firmware_for_a_cortex_m4_passes_its_checks() {
    passes("thumbv7em-none-eabihf");
}

#[test]
fn firmware_for_arm_without_compare_and_swap_passes_its_checks() {
    passes("thumbv6m-none-eabi");
}

#[test]
fn firmware_for_riscv_passes_its_checks() {
    passes("riscv64gc-unknown-none-elf");
}

#[test]
fn firmware_for_riscv_without_compare_and_swap_passes_its_checks() {
    passes("riscv32imc-unknown-none-elf");
}

#[test]
fn every_run_of_an_image_is_the_same() {
    let target = "thumbv7em-none-eabihf";
    let image = build(PACKAGE, target, &[]).join("mini");
    let runs: Vec<String> = (0..2).map(|_| start(target, &image, &["65536"]).out).collect();
    assert_eq!(runs[0], runs[1]);
}

#[test]
fn a_module_grows_its_memory_and_passes_its_checks() {
    let target = "wasm32-unknown-unknown";
    let module = build("ace-firmware-wasm", target, &[]).join("module.wasm");
    holds(&start(target, &module, &[]), CHECKS + 1, "module");
    stops_at_misuse(target, &module, &[]);
}

#[test]
fn a_firmware_on_embassy_runs() {
    let target = "thumbv7em-none-eabihf";
    let image = build("ace-firmware-embassy", target, &[]).join("embassy");
    let outcome = start(target, &image, &[]);
    assert_eq!(outcome.code, 0, "{}", said(&outcome));
}

#[test]
fn the_smallest_heap_has_no_more_code_than_talc_and_little_static_memory() {
    let costs = costs();
    let of = |name| costs.iter().find(|cost| cost.image == name).expect("an image");
    let (micro, talc) = (of("ace_micro"), of("talc"));
    assert!(micro.code <= talc.code, "no more than talc: {costs:#?}");
    assert!(micro.statics <= MICRO_STATICS, "{costs:#?}");
}
