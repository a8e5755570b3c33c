//! `ace run`: input, output, exit codes and signals pass through; what can't be run is refused with a
//! sentence; the report is written.

use ace_alloc_tests::product::product;
use ace_alloc_tests::programs::{Outcome, Scratch, program, run, under_ace};
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

fn shell(script: &str) -> Outcome {
    run(under_ace("sh").args(["-c", script]))
}

#[test]
fn output_and_exit_code_pass_through() {
    let outcome = shell("echo out; echo err >&2; exit 7");
    assert_eq!((outcome.code, &*outcome.out, &*outcome.err), (7, "out\n", "err\n"));
}

#[test]
fn input_passes_through() {
    let mut command = under_ace("cat");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("ace runs");
    child.stdin.take().expect("piped").write_all(b"through\n").expect("cat reads");
    let output = child.wait_with_output().expect("cat ends");
    assert_eq!(output.stdout, b"through\n");
    assert!(output.status.success());
}

#[test]
fn a_signal_that_ends_the_program_shows() {
    assert_eq!(shell("kill -TERM $$").code, 128 + libc::SIGTERM);
    assert_eq!(shell("kill -KILL $$").code, 128 + libc::SIGKILL);
}

#[test]
fn the_program_has_the_library_and_so_have_its_children() {
    let outcome = shell("grep -c libace_alloc.so /proc/self/maps /proc/$$/maps");
    assert_eq!(outcome.code, 0, "{}{}", outcome.out, outcome.err);
    assert!(!outcome.out.contains(":0"), "{}", outcome.out);
}

#[test]
fn a_missing_program_is_refused_with_a_sentence() {
    for missing in ["no-such-program-anywhere", "/no/such/program"] {
        let outcome = run(&mut under_ace(missing));
        assert_ne!(outcome.code, 0);
        assert!(outcome.err.contains(missing), "{}", outcome.err);
        assert_eq!(outcome.out, "");
    }
}

#[test]
fn a_static_program_is_refused_with_a_sentence() {
    let scratch = Scratch::new("static");
    let source = scratch.write("static.c", "int main(void) { return 0; }\n");
    let made = scratch.path().join("static-program");
    let mut cc = Command::new(program("cc", "gcc libc6-dev"));
    assert_eq!(run(cc.args(["-static", "-o"]).arg(&made).arg(source)).code, 0, "cc -static");
    let outcome = run(&mut under_ace(&made));
    assert_ne!(outcome.code, 0, "a static program can't take the library");
    assert!(outcome.err.contains("static"), "{}", outcome.err);
}

#[test]
fn the_report_is_written_as_json_and_the_exit_code_kept() {
    let scratch = Scratch::new("report");
    let file = scratch.path().join("report.json");
    let mut command = Command::new(&product().ace);
    command.arg("run").arg(format!("--report={}", file.display()));
    let outcome = run(command.args(["--", "sh", "-c", "exit 3"]));
    assert_eq!(outcome.code, 3, "{}{}", outcome.out, outcome.err);
    let report = fs::read_to_string(&file).expect("the report");
    assert!(report.trim_start().starts_with('{') && report.trim_end().ends_with('}'), "{report}");
    let mut command = Command::new(&product().ace);
    let outcome = run(command.args(["run", "--report", "--", "sh", "-c", "echo hello"]));
    assert_eq!(outcome.code, 0);
    assert!(outcome.out.starts_with("hello\n"), "{}", outcome.out);
    assert!(format!("{}{}", outcome.out, outcome.err).len() > 100, "a report for the reader");
}
