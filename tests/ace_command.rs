//! The `ace` command: what it refuses and with which exit code, what it forwards, what its reports say.
//!
//! Here and not in `ace`'s own package: a test there would build `libace_alloc.so` a second time, for
//! unwinding, over the one that `ace` has.

use ace_alloc_tests::product::product;
use ace_alloc_tests::programs::{Outcome, Scratch, compile, program, run, under_ace};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// An executable file with these bytes.
fn executable(scratch: &Scratch, name: &str, bytes: &[u8]) -> PathBuf {
    let path = scratch.path().join(name);
    fs::write(&path, bytes).expect("a file in the scratch folder");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("our own file");
    path
}

fn bash() -> PathBuf {
    // Not `sh`: dash ends by _exit, which runs no exit handlers and so leaves no report.
    program("bash", "bash")
}

fn assert_refused(program: &Path, code: i32, why: &str) {
    let outcome = run(&mut under_ace(program));
    let shown = program.display();
    assert_eq!(outcome.code, code, "{shown}: {}", outcome.err);
    assert!(outcome.err.contains(why), "{shown}: {}", outcome.err);
    assert_eq!(outcome.err.lines().count(), 1, "one sentence: {}", outcome.err);
}

const PT_LOAD: u32 = 1;
const PT_INTERP: u32 = 3;
const THIS_MACHINE: u16 = if cfg!(target_arch = "x86_64") { 62 } else { 183 };

/// An ELF header with program headers of these types.
fn elf(class: u8, machine: u16, headers: &[u32]) -> Vec<u8> {
    let mut bytes = b"\x7fELF".to_vec();
    bytes.extend([class, 1, 1, 0]);
    bytes.resize(64, 0);
    bytes[18..20].copy_from_slice(&machine.to_le_bytes());
    bytes[32..40].copy_from_slice(&64_u64.to_le_bytes());
    bytes[54..56].copy_from_slice(&56_u16.to_le_bytes());
    bytes[56..58].copy_from_slice(&u16::try_from(headers.len()).expect("few").to_le_bytes());
    for kind in headers {
        let mut header = [0; 56];
        header[..4].copy_from_slice(&kind.to_le_bytes());
        bytes.extend(header);
    }
    bytes
}

#[test]
fn elf_files_that_can_not_take_the_library_are_refused() {
    let scratch = Scratch::new("elf");
    let fixed = executable(&scratch, "fixed", &elf(2, THIS_MACHINE, &[PT_LOAD, PT_LOAD]));
    assert_refused(&fixed, 126, "statically linked");
    let other = executable(&scratch, "other", &elf(2, 40, &[PT_INTERP]));
    assert_refused(&other, 126, "another machine");
    let narrow = executable(&scratch, "narrow", &elf(1, THIS_MACHINE, &[PT_INTERP]));
    assert_refused(&narrow, 126, "another machine");
    let whole = elf(2, THIS_MACHINE, &[PT_LOAD, PT_INTERP]);
    for cut in [4, 5, 19, 33, 60, 64, 100, 150, whole.len() - 1] {
        let broken = executable(&scratch, &format!("cut-{cut}"), &whole[..cut]);
        assert_refused(&broken, 126, "");
    }
}

#[test]
fn scripts_are_judged_by_what_runs_them() {
    let scratch = Scratch::new("scripts");
    let fixed = executable(&scratch, "fixed", &elf(2, THIS_MACHINE, &[PT_LOAD]));
    let script = |name: &str, text: &str| executable(&scratch, name, text.as_bytes());
    assert_refused(&script("static", &format!("#!{}\n", fixed.display())), 126, "statically");
    assert_refused(&script("orphan", "#!/no/such/interpreter\n"), 126, "/no/such/interpreter");
    assert_refused(
        &script("env", "#!/usr/bin/env -S A=1 no-such-program\n"),
        126,
        "no-such-program",
    );
    for good in ["#!/bin/sh -e\necho fine\n", "#!/usr/bin/env bash\necho fine\n", "echo fine\n"] {
        let outcome = run(&mut under_ace(script("good", good)));
        assert_eq!((outcome.code, &*outcome.out), (0, "fine\n"), "{good}: {}", outcome.err);
    }
}

#[test]
fn what_is_no_program_is_refused() {
    let scratch = Scratch::new("refusals");
    assert_refused(&executable(&scratch, "noise", b"\0\x01\x02"), 126, "neither");
    assert_refused(&scratch.write("text", "not executable"), 126, "not executable");
    assert_refused(scratch.path(), 126, "folder");
    assert_refused(&scratch.path().join("absent"), 127, "absent");
    assert_refused(Path::new("no-such-program-anywhere"), 127, "PATH");
    assert_refused(Path::new(""), 127, "");
}

#[test]
fn a_library_that_is_named_and_not_there_is_trouble_of_ace_itself() {
    let outcome = run(under_ace("true").env("ACE_LIBRARY", "/no/such/library"));
    assert_eq!(outcome.code, 125);
    assert!(outcome.err.contains("/no/such/library"), "{}", outcome.err);
}

#[test]
fn a_library_that_is_preloaded_anyway_stays() {
    let mut command = under_ace("sh");
    let outcome = run(command.env("LD_PRELOAD", "libdl.so.2").args(["-c", "echo $LD_PRELOAD"]));
    assert!(outcome.out.contains("libace_alloc.so:libdl.so.2"), "{}", outcome.out);
}

#[test]
fn a_signal_to_ace_reaches_the_program() {
    let script = "trap 'echo caught; exit 5' TERM; kill -TERM $PPID; while :; do sleep 0.05; done";
    let mut command = Command::new(&product().ace);
    let outcome = run(command.args(["run", "--report"]).arg(bash()).args(["-c", script]));
    assert_eq!((outcome.code, &*outcome.out), (5, "caught\n"), "{}", outcome.err);
}

/// Runs bash with a report to a file; the outcome and the file.
fn reported(script: &str) -> (Outcome, String) {
    let scratch = Scratch::new("reported");
    let file = scratch.path().join("report.json");
    let mut command = Command::new(&product().ace);
    command.arg("run").arg(format!("--report={}", file.display()));
    let outcome = run(command.arg(bash()).args(["-c", script]));
    (outcome, fs::read_to_string(file).expect("a report"))
}

#[test]
fn the_report_is_of_the_program_and_names_what_it_started() {
    let (outcome, report) = reported("(exit 1); ls / >/dev/null; exit 3");
    assert_eq!((outcome.code, &*outcome.err), (3, ""));
    for member in ["\"exit_code\": 3", "\"signal\": null", "\"missing\": null", "/bash\""] {
        assert!(report.contains(member), "{member} in {report}");
    }
    assert!(report.contains("\"program\": \"ls\""), "{report}");
    let others = report.matches("\"program\":").count() - 1;
    assert_eq!(others, 1, "a forked child writes none: {report}");
}

#[test]
fn a_program_that_dies_leaves_a_report_of_its_end() {
    let (outcome, report) = reported("kill -KILL $$");
    assert_eq!(outcome.code, 128 + libc::SIGKILL);
    assert!(report.contains("\"signal\": 9") && report.contains("ended by signal 9"), "{report}");
}

#[test]
fn the_report_for_people_names_its_numbers() {
    let mut command = Command::new(&product().ace);
    let outcome = run(command.args(["run", "--report"]).arg(bash()).args(["-c", "exit 0"]));
    for name in [
        "peak RSS",
        "in use at exit",
        "balanced: ",
        "counted by libace_alloc_counted.so",
        "little slower",
        "magazine hits",
        "warm-pool hits",
        "remote frees",
        "superslabs",
    ] {
        assert!(outcome.err.contains(name), "{name} in {}", outcome.err);
    }
}

/// The number behind `"name": ` in a report.
fn number(report: &str, name: &str) -> f64 {
    let member = format!("\"{name}\": ");
    let (_, value) = report.split_once(&member).unwrap_or_else(|| panic!("{name} in {report}"));
    let end = value.find([',', '\n']).unwrap_or(value.len());
    value[..end].parse().unwrap_or_else(|_| panic!("{name} is a number in {report}"))
}

/// Runs `c/calls.c` with a report to a file, which is returned.
fn report_of_calls(library: Option<&Path>) -> String {
    let scratch = Scratch::new("calls");
    let (made, file) = (compile("calls", &scratch), scratch.path().join("report.json"));
    let mut command = Command::new(&product().ace);
    command.arg("run").arg(format!("--report={}", file.display())).arg(made);
    if let Some(library) = library {
        command.env("ACE_LIBRARY", library);
    }
    let outcome = run(&mut command);
    assert_eq!((outcome.code, &*outcome.err), (0, ""));
    fs::read_to_string(file).expect("a report")
}

#[test]
fn a_report_counts_the_calls_of_the_program() {
    let report = report_of_calls(None);
    // What `calls.c` does; the C library's own start may add a few.
    for (name, calls) in [
        ("malloc", 100_020),
        ("calloc", 350),
        ("realloc_moved", 50),
        ("aligned", 200),
        ("free", 100_570),
        // Neither the 20 blocks of 1 MiB nor the 100 aligned ones of 128 KiB.
        ("magazine_requests", 100_500),
    ] {
        let (counted, calls) = (number(&report, name), f64::from(calls));
        assert!((calls..calls + 40.0).contains(&counted), "{name}: {counted}, not {calls}");
    }
    let rate = number(&report, "magazine_hit_rate");
    assert!(rate > 0.9 && rate < 1.0, "{rate}");
}

#[test]
fn a_library_that_does_not_count_is_said_to_count_nothing() {
    let report = report_of_calls(Some(&product().library));
    for member in ["\"calls\": null", "\"magazine_hit_rate\": null", "\": \"libace_alloc.so\""] {
        assert!(report.contains(member), "{member} in {report}");
    }
    let mut command = Command::new(&product().ace);
    command.env("ACE_LIBRARY", &product().library).args(["run", "--report"]);
    let outcome = run(command.arg(bash()).args(["-c", "exit 0"]));
    assert!(outcome.err.contains("not counted by libace_alloc.so"), "{}", outcome.err);
}

#[test]
fn only_a_report_run_has_the_library_that_counts() {
    let script = "grep -o 'libace_alloc[a-z_]*.so' /proc/self/maps | sort -u";
    let outcome = run(under_ace("sh").args(["-c", script]));
    assert_eq!(outcome.out, "libace_alloc.so\n", "{}", outcome.err);
    let mut command = Command::new(&product().ace);
    let outcome = run(command.args(["run", "--report", "sh", "-c", script]));
    assert_eq!(outcome.out, "libace_alloc_counted.so\n", "{}", outcome.err);
    let help = run(Command::new(&product().ace).args(["run", "--help"]));
    assert!(help.out.contains("counts calls"), "{}", help.out);
}

#[test]
fn a_report_goes_where_the_environment_says() {
    let scratch = Scratch::new("environment");
    let mut command = under_ace(bash());
    command.env("ACE_REPORT", scratch.path().join("of-%p-100%"));
    let outcome = run(command.args(["-c", "echo $$; exit 0"]));
    let file = scratch.path().join(format!("of-{}-100%", outcome.out.trim()));
    let report = fs::read_to_string(&file).expect("a report");
    assert!(report.starts_with("{\"report\":1,\"pid\":") && report.ends_with("]}\n"), "{report}");
}
