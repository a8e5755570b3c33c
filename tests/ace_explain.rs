//! `ace explain`: the account of a recorded trace (but for the policies' sentences), its JSON and its
//! drawing; and what it says about files that are cut off, foreign or empty.
//!
//! `ACE_BLESS=1` writes the account anew.

use ace_alloc::ace::Reason;
use ace_alloc_tests::house;
use ace_alloc_tests::product::product;
use ace_alloc_tests::programs::{Outcome, Scratch, run};
use serde_json::Value;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn recorded() -> PathBuf {
    house::root().join("tests/explain/recorded.jsonl")
}

fn explain(file: &Path, arguments: &[&str]) -> Outcome {
    run(Command::new(&product().ace).arg("explain").arg(file).args(arguments))
}

/// Explains a file with this text.
fn explain_text(text: &str) -> Outcome {
    let scratch = Scratch::new("explain");
    explain(&scratch.write("trace.jsonl", text), &[])
}

#[test]
fn the_account_of_a_recorded_trace_is_the_one_that_was_agreed_on() {
    let outcome = explain(&recorded(), &[]);
    assert_eq!((outcome.code, &*outcome.err), (0, ""));
    // The sentences are the policies': here only that each reason has its own.
    let account = Reason::ALL
        .iter()
        .fold(outcome.out, |account, reason| account.replace(reason.sentence(), reason.code()));
    let golden = house::root().join("tests/explain/recorded.txt");
    if env::var_os("ACE_BLESS").is_some() {
        fs::write(&golden, &account).expect("the account can be written");
    }
    let agreed = fs::read_to_string(golden).expect("the account");
    assert_eq!(account, agreed, "ACE_BLESS=1 writes it anew");
}

#[test]
fn the_json_holds_what_the_account_says() {
    let outcome = explain(&recorded(), &["--json"]);
    let story: Value = serde_json::from_str(&outcome.out).expect("JSON");
    for member in ["program", "phases", "decisions", "reasons", "totals", "dials", "notes"] {
        assert!(story.get(member).is_some(), "{member} in {story}");
    }
    let orders: u64 = fs::read_to_string(recorded())
        .expect("the trace")
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .map(|line| line["orders"].as_array().map_or(0, |orders| orders.len() as u64))
        .sum();
    assert_eq!(story["totals"]["orders"], orders);
    assert_eq!(story["whole"], true);
    let reasons = story["reasons"].as_array().expect("reasons");
    assert_eq!(reasons.iter().filter_map(|reason| reason["orders"].as_u64()).sum::<u64>(), orders);
}

#[test]
fn the_drawing_names_its_curves_its_reasons_and_its_dials() {
    let scratch = Scratch::new("drawing");
    let file = scratch.path().join("timeline.svg");
    let outcome = explain(&recorded(), &["--svg", &file.display().to_string()]);
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    let drawing = fs::read_to_string(file).expect("a drawing");
    assert!(drawing.starts_with("<svg") && drawing.trim_end().ends_with("</svg>"));
    for word in ["resident", "in use", "given back", "seconds", "unneeded", "dirty_learned_kib"] {
        assert!(drawing.contains(word), "{word}");
    }
}

#[test]
fn a_trace_that_is_cut_off_anywhere_is_explained_as_far_as_it_goes_or_refused() {
    let whole = fs::read(recorded()).expect("the trace");
    let head = whole.iter().position(|&byte| byte == b'\n').expect("a head") + 1;
    let step = whole.len() / 40;
    for cut in (0..whole.len()).step_by(step).chain([head - 1, head, head + 1, whole.len() - 1]) {
        let scratch = Scratch::new("cut");
        let file = scratch.path().join("cut.jsonl");
        fs::write(&file, &whole[..cut]).expect("a file");
        let outcome = explain(&file, &[]);
        if cut + 1 < head {
            assert_eq!((outcome.code, &*outcome.out), (125, ""), "cut at {cut}");
            assert_eq!(outcome.err.lines().count(), 1, "cut at {cut}: {}", outcome.err);
        } else {
            assert_eq!((outcome.code, &*outcome.err), (0, ""), "cut at {cut}");
            // A line that lacks no more than its end is whole.
            let is_cut = whole[cut - 1] != b'\n' && whole[cut] != b'\n';
            assert_eq!(outcome.out.contains("cut off"), is_cut, "cut at {cut}: {}", outcome.out);
        }
    }
}

#[test]
fn what_is_no_trace_is_refused_with_a_sentence() {
    for (text, why) in [
        ("", "empty"),
        ("hello\n", "not a trace"),
        ("{\"report\":1,\"pid\":1}\n", "not a trace"),
        ("{\"turn\":1,\"pid\":1,\"ms\":5}\n", "not a trace"),
        ("[]\nnull\n\0\n", "not a trace"),
    ] {
        let outcome = explain_text(text);
        assert_eq!((outcome.code, &*outcome.out), (125, ""), "{text:?}");
        assert!(outcome.err.contains(why) && outcome.err.lines().count() == 1, "{}", outcome.err);
    }
    let outcome = explain(Path::new("/no/such/trace"), &[]);
    assert!(outcome.code == 125 && outcome.err.contains("/no/such/trace"), "{}", outcome.err);
    assert_eq!(explain(&recorded(), &["--pid", "999999999"]).code, 125);
}

#[test]
fn a_trace_of_another_version_is_explained_as_far_as_it_is_known() {
    let outcome = explain_text(
        "{\"trace\":2,\"pid\":7,\"program\":\"new\",\"novelty\":[1,{}]}\n\
         {\"turn\":1,\"pid\":7,\"ms\":10,\"orders\":[{\"act\":\"dance\",\"reason\":\"joy\",\"applied\":true}]}\n\
         not JSON\n\
         {\"turn\":2,\"pid\":7,\"ms\":900,\"used_bytes\":1e99}\n\
         {\"turn\":3,\"pid\":7,\"ms\":1000,\"used_bytes\":9000000}\n",
    );
    assert_eq!((outcome.code, &*outcome.err), (0, ""));
    for words in ["dance", "joy", "2 lines were left out", "line 3", "newer version"] {
        assert!(outcome.out.contains(words), "{words} in {}", outcome.out);
    }
}

#[test]
fn a_program_that_took_no_turn_is_said_to_have_taken_none() {
    let head = "{\"trace\":1,\"pid\":7,\"program\":\"short\",\"mode\":\"tune\"}\n";
    let outcome = explain_text(head);
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    assert!(outcome.out.contains("took 0 turns"), "{}", outcome.out);
    let scratch = Scratch::new("short");
    let file = scratch.write("trace.jsonl", head);
    let outcome = explain(&file, &["--svg", "-"]);
    assert!(outcome.code == 125 && outcome.err.contains("nothing to draw"), "{}", outcome.err);
}

#[test]
fn of_several_programs_the_busiest_is_explained_and_the_others_are_named() {
    let text = "{\"trace\":1,\"pid\":7,\"program\":\"first\"}\n\
                {\"trace\":1,\"pid\":8,\"program\":\"second\"}\n\
                {\"turn\":1,\"pid\":8,\"ms\":10}\n{\"turn\":2,\"pid\":8,\"ms\":300}\n";
    let outcome = explain_text(text);
    assert!(outcome.out.starts_with("ACE on second (process 8)"), "{}", outcome.out);
    assert!(outcome.out.contains("1 more program"), "{}", outcome.out);
    let scratch = Scratch::new("several");
    let outcome = explain(&scratch.write("trace.jsonl", text), &["--pid", "7"]);
    assert!(outcome.out.starts_with("ACE on first (process 7)"), "{}", outcome.out);
}
