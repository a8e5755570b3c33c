//! What `ACE_TRACE` and `ace run --trace` write: whole lines with every promised member, orders that lead
//! from the first dials to the last ones, and a program that does not notice.

use ace_alloc_tests::product::product;
use ace_alloc_tests::programs::{Outcome, Scratch, compile, preloaded, run};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

/// `tended falls` has turns, orders and an end, wherever it runs.
const DIALS: &str = "dirty_learned_kib=1048576";

/// The lines of a trace, each of which must be JSON.
fn lines(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).expect("a trace");
    assert!(text.ends_with('\n'), "the last line is whole");
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}"));
    text.lines().map(parse).collect()
}

/// Runs `tended falls` under `ace run --trace` with these variables.
fn traced(scratch: &Scratch, variables: &[(&str, &str)]) -> Vec<Value> {
    let file = scratch.path().join("trace.jsonl");
    let mut command = Command::new(&product().ace);
    command.args(["run", "--trace"]).arg(&file).arg("--").arg(compile("tended", scratch));
    command
        .env("ACE_PROFILE", "full")
        .env("ACE_DIALS", DIALS)
        .env("ACE_TENDER", "1")
        .envs(variables.iter().copied());
    let outcome = run(command.arg("falls"));
    assert_eq!((outcome.code, &*outcome.err), (0, ""), "{}", outcome.out);
    lines(&file)
}

fn assert_members(line: &Value, names: &[&str]) {
    for name in names {
        assert!(line.get(name).is_some(), "{name} in {line}");
    }
}

fn numbers(object: &Value) -> BTreeMap<String, u64> {
    let members = object.as_object().expect("an object").iter();
    members.map(|(name, value)| (name.clone(), value.as_u64().expect("a number"))).collect()
}

#[test]
fn every_line_has_what_is_promised() {
    let lines = traced(&Scratch::new("members"), &[]);
    let (head, rest) = lines.split_first().expect("a head");
    let (end, turns) = rest.split_last().expect("an end");
    assert_members(head, &["trace", "pid", "program", "version", "mode", "profile", "tender"]);
    assert_members(head, &["unix_ms", "page_bytes", "unit_bytes", "superslab_bytes", "dials"]);
    assert_eq!(head["mode"], "tune");
    assert_eq!(head["tender"], true);
    assert_eq!(numbers(&head["dials"])["dirty_learned_kib"], 1 << 20);
    assert!(!turns.is_empty());
    for turn in turns {
        assert_members(turn, &["turn", "pid", "ms", "by", "rss_bytes", "used_bytes", "events"]);
        assert_members(turn, &["dirty_bytes", "dirty_low_bytes", "committed_bytes", "threads"]);
        assert_members(turn, &["minor_faults", "span_ms", "denied", "dropped", "classes"]);
        for order in turn["orders"].as_array().expect("orders") {
            assert_members(order, &["act", "reason", "applied"]);
        }
    }
    assert_members(end, &["end", "pid", "ms", "rss_bytes", "minor_faults", "events", "dials"]);
    assert!(turns.iter().any(|turn| turn["by"] == "tender"));
    let pid = &head["pid"];
    assert!(rest.iter().all(|line| line["pid"] == *pid), "one process");
}

#[test]
fn time_goes_on_and_the_counts_of_the_lines_are_part_of_the_whole() {
    let lines = traced(&Scratch::new("counts"), &[]);
    let (end, turns) = lines[1..].split_last().expect("an end");
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    let (mut number, mut ms) = (0, 0);
    for turn in turns {
        assert!(turn["turn"].as_u64() > Some(number) && turn["ms"].as_u64() >= Some(ms), "{turn}");
        (number, ms) = (turn["turn"].as_u64().unwrap_or(0), turn["ms"].as_u64().unwrap_or(0));
        for (name, count) in numbers(&turn["events"]) {
            *sums.entry(name).or_default() += count;
        }
    }
    assert!(end["end"].as_u64() >= Some(number) && end["ms"].as_u64() >= Some(ms), "{end}");
    let whole = numbers(&end["events"]);
    for (name, sum) in sums {
        assert!(sum <= whole[&name], "{name}: {sum} in the lines, {} in all", whole[&name]);
    }
    assert!(whole["purged_bytes"] > 200 << 20, "{end}");
}

/// What a dial is called, and of which class it is.
type Name = (String, Option<u64>);

/// Carries an order out on `dials`, which say what it must find.
fn carry_out(order: &Value, dials: &mut BTreeMap<Name, u64>) {
    assert_eq!(order["applied"], true, "{order}");
    let (from, to) = (order["from"].as_u64(), order["to"].as_u64());
    let dial = || order["dial"].as_str().expect("a dial").to_owned();
    let name = match order["act"].as_str().expect("an act") {
        "set" => (dial(), None),
        "set_class" => (dial(), order["class_bytes"].as_u64()),
        _ => return assert!(from.is_none() && to.is_none(), "{order}"),
    };
    let known = dials.insert(name.clone(), to.expect("a value"));
    // Dials of classes begin at 0.
    assert_eq!(known.or(name.1.map(|_| 0)), from, "{order}");
}

#[test]
fn the_orders_lead_from_the_first_dials_to_the_last() {
    let lines = traced(&Scratch::new("replay"), &[]);
    let (end, turns) = lines[1..].split_last().expect("an end");
    let named = |dials: &Value| -> BTreeMap<Name, u64> {
        numbers(dials).into_iter().map(|(name, value)| ((name, None), value)).collect()
    };
    let mut dials = named(&lines[0]["dials"]);
    let mut before = dials.clone();
    let mut orders = 0;
    for turn in turns {
        let of_turn = turn["orders"].as_array().expect("orders");
        if !of_turn.is_empty() {
            before.clone_from(&dials);
        }
        of_turn.iter().for_each(|order| carry_out(order, &mut dials));
        orders += of_turn.len();
    }
    assert!(orders > 0, "what was kept in vain was noticed");
    let learned = ("dirty_learned_kib".to_owned(), None);
    assert!(dials[&learned] < 1 << 20);
    for (name, value) in named(&end["dials"]) {
        // What the last turn ordered may not have been carried out when the program ended.
        assert!([dials[&name], before[&name]].contains(&value), "{name:?} ends at {value}");
    }
}

#[test]
fn mode_observe_decides_and_carries_nothing_out() {
    let scratch = Scratch::new("observe");
    let file = scratch.path().join("trace.jsonl");
    let mut command = preloaded(compile("tended", &scratch));
    command.env("ACE_DIALS", DIALS).env("ACE_MODE", "observe").env("ACE_TRACE", &file);
    // "stays" looks for no tender.
    assert_eq!(run(command.arg("stays")).code, 0);
    let lines = lines(&file);
    assert_eq!(lines[0]["mode"], "observe");
    let (end, turns) = lines[1..].split_last().expect("an end");
    assert!(!turns.is_empty());
    let mut orders = turns.iter().flat_map(|turn| turn["orders"].as_array().expect("orders"));
    assert!(orders.all(|order| order["applied"] == false));
    assert_eq!(end["dials"], lines[0]["dials"]);
}

#[test]
fn mode_off_takes_no_turn() {
    let scratch = Scratch::new("off");
    let file = scratch.path().join("trace.jsonl");
    let mut command = preloaded(compile("tended", &scratch));
    command.env("ACE_DIALS", DIALS).env("ACE_MODE", "off").env("ACE_TENDER", "1");
    assert_eq!(run(command.env("ACE_TRACE", &file).arg("stays")).code, 0);
    let lines = lines(&file);
    assert_eq!(lines.len(), 2, "a head and an end");
    assert_eq!((&lines[0]["mode"], &lines[1]["end"]), (&Value::from("off"), &Value::from(0)));
}

/// The dials that a program begins with under `env -i NAME=VALUE…`, and what is said about the values.
fn first_dials(settings: &[&str]) -> (Value, Outcome) {
    let scratch = Scratch::new("dials");
    let file = scratch.path().join("trace.jsonl");
    let mut command = Command::new("env");
    command.arg("-i").arg(format!("LD_PRELOAD={}", product().library.display()));
    command.args(settings).arg(format!("ACE_TRACE={}", file.display())).arg("true");
    let outcome = run(&mut command);
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    (lines(&file).swap_remove(0), outcome)
}

#[test]
fn single_dials_win_over_the_profile_in_whichever_order_they_are_set() {
    let mut settings =
        ["ACE_DIALS=warm_max=5,refill_max=9", "ACE_PROFILE=conservative", "ACE_DIRTY_LIMIT=7m"];
    for _ in 0..2 {
        let (head, outcome) = first_dials(&settings);
        let dials = numbers(&head["dials"]);
        assert_eq!((&head["profile"], &*outcome.err), (&Value::from("conservative"), ""));
        assert_eq!((dials["warm_max"], dials["refill_max"]), (5, 9));
        assert_eq!(dials["dirty_floor_kib"], 7 << 10);
        assert_eq!(dials["dirty_permille"], 20, "the profile's");
        settings.reverse();
    }
}

#[test]
fn a_value_that_makes_no_sense_costs_a_line_and_the_default_is_used() {
    let (usual, _) = first_dials(&[]);
    for setting in [
        "ACE_MODE=fast",
        "ACE_PROFILE=Full",
        "ACE_TENDER=yes",
        "ACE_MEMORY_WEIGHT=1001",
        "ACE_DIALS=no_such=1",
    ] {
        let (head, outcome) = first_dials(&[setting]);
        let name = setting.split('=').next().expect("a name");
        assert_eq!(outcome.err.lines().count(), 1, "{}", outcome.err);
        assert!(outcome.err.contains(name), "{}", outcome.err);
        for member in ["mode", "profile", "tender", "dials"] {
            assert_eq!(head[member], usual[member], "{setting}");
        }
    }
}

/// Runs a shell script under `ace run --trace FILE`.
fn shell(file: &Path, script: &str) -> Outcome {
    let mut command = Command::new(&product().ace);
    command.args(["run", "--trace"]).arg(file);
    run(command.args(["--", "sh", "-c", script]))
}

#[test]
fn a_program_ends_with_a_trace_as_it_ends_without() {
    let scratch = Scratch::new("codes");
    let file = scratch.path().join("trace.jsonl");
    let outcome = shell(&file, "echo out; echo err >&2; exit 7");
    assert_eq!((outcome.code, &*outcome.out, &*outcome.err), (7, "out\n", "err\n"));
    assert_eq!(shell(&file, "kill -TERM $$").code, 128 + libc::SIGTERM);
    assert_eq!(lines(&file)[0]["trace"], 1, "and the trace begins anew each time");
    let mut command = Command::new(&product().ace);
    let report = scratch.path().join("report.json");
    command.args(["run", "--trace"]).arg(&file).arg(format!("--report={}", report.display()));
    assert_eq!(run(command.args(["--", "ls", "/no/such/file"])).code, 2);
    assert!(fs::read_to_string(report).is_ok_and(|text| text.contains("\"exit_code\": 2")));
    assert_eq!(lines(&file)[0]["trace"], 1);
}

#[test]
fn programs_that_are_started_write_too_and_forked_children_do_not() {
    let scratch = Scratch::new("family");
    let file = scratch.path().join("trace.jsonl");
    // The shell forks for the parentheses and starts `ls`.
    assert_eq!(shell(&file, "(true); ls / >/dev/null; exit 0").code, 0);
    let heads: Vec<_> =
        lines(&file).into_iter().filter(|line| line.get("trace").is_some()).collect();
    let programs: Vec<_> = heads.iter().filter_map(|head| head["program"].as_str()).collect();
    assert_eq!(programs, ["sh", "ls"]);
    let own = scratch.path().join("of-%p.jsonl");
    assert_eq!(shell(&own, "ls / >/dev/null; exit 0").code, 0);
    let files = fs::read_dir(scratch.path()).expect("a folder").flatten();
    let of = files.filter(|file| file.file_name().to_string_lossy().starts_with("of-")).count();
    assert_eq!(of, 2, "a file each");
}

#[test]
fn a_trace_never_goes_into_a_file_that_the_program_opened() {
    let scratch = Scratch::new("closed");
    let (file, other) = (scratch.path().join("trace.jsonl"), scratch.path().join("other"));
    let other_path = other.display().to_string();
    // Puts a file of its own under every number, as who closes what it does not know and goes on.
    let script = "import os, sys\n\
                  own = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)\n\
                  for fd in range(3, 1024):\n    if fd != own: os.dup2(own, fd)\n\
                  for _ in range(40): rows = [bytes(600) for _ in range(20000)]; del rows\n";
    let script = scratch.write("close.py", script);
    let mut command = Command::new(&product().ace);
    command.args(["run", "--trace"]).arg(&file).args(["--", "python3"]);
    let outcome = run(command.arg(script).arg(&other_path));
    assert_eq!((outcome.code, &*outcome.err), (0, ""));
    assert_eq!(fs::metadata(other).expect("the program's file").len(), 0);
    assert_eq!(lines(&file)[0]["trace"], 1);
}

#[test]
fn a_trace_that_can_not_be_written_is_said_so() {
    let scratch = Scratch::new("nowhere");
    let outcome = shell(&scratch.path().join("no/such/folder"), "exit 0");
    assert_eq!(outcome.code, 125);
    assert!(outcome.err.contains("no/such/folder"), "{}", outcome.err);
    let mut command = preloaded("true");
    let outcome = run(command.env("ACE_TRACE", "/dev/null"));
    assert_eq!(outcome.code, 0);
    assert!(
        outcome.err.contains("ACE_TRACE") && outcome.err.lines().count() == 1,
        "{}",
        outcome.err
    );
}
