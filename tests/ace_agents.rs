//! `ace agents`: the documents it writes, that the same arguments give the same bytes, and that what makes
//! no sense is refused with a sentence.

use ace_alloc_tests::product::product;
use ace_alloc_tests::programs::{Outcome, Scratch, run};
use std::fs;
use std::process::Command;

const POLICIES: [&str; 9] =
    ["ace", "lru", "random", "naive", "scalesim", "ewma", "hedge", "robust", "oracle"];
const FIGURES: [&str; 8] = [
    "time_over_bound",
    "bytes_over_min",
    "stall",
    "wasted_prefetch",
    "p50_ms",
    "p99_ms",
    "peak_device",
    "throughput",
];
const MOONCAKE: &str = "{\"timestamp\": 0, \"input_length\": 600, \"output_length\": 9, \"hash_ids\": [1, 2]}\n\
                        {\"timestamp\": 3000, \"input_length\": 1500, \"output_length\": 9, \"hash_ids\": [1, 3, 4]}\n";
const AZURE: &str = "TIMESTAMP,ContextTokens,GeneratedTokens\n\
                     2030-01-01 00:00:00.0000000,500,20\n\
                     2030-01-01 00:00:04.5000000,700,30\n";

fn agents(words: &[&str]) -> Outcome {
    run(Command::new(&product().ace).arg("agents").args(words))
}

/// A comparison that takes a moment only.
fn compare(words: &[&str]) -> Outcome {
    let small = ["compare", "--agents", "50", "--steps", "20", "--seeds", "1-2"];
    agents(&[&small[..], words].concat())
}

/// The objects of `{"rows":[{...},{...}]}`, each with its names and values as they are written.
fn rows(json: &str) -> Vec<Vec<(String, String)>> {
    let inner =
        json.trim_end().strip_prefix("{\"rows\":[{").and_then(|rest| rest.strip_suffix("}]}"));
    let inner = inner.unwrap_or_else(|| panic!("no rows: {json}"));
    let pair = |pair: &str| {
        let (name, value) = pair.split_once(':').unwrap_or_else(|| panic!("no pair: {pair}"));
        (name.trim_matches('"').to_owned(), value.to_owned())
    };
    inner.split("},{").map(|row| row.split(',').map(pair).collect()).collect()
}

#[test]
fn compare_prints_a_row_of_numbers_for_each_policy_and_nothing_else() {
    let classes = ["independent", "interaction", "path", "diffusion", "zipf"];
    let hints = ["natural", "exact", "noisy", "inverted", "adversarial", "none"];
    let pairs = classes.map(|class| (class, "exact")).into_iter();
    for (class, hints) in pairs.chain(hints.map(|hints| ("path", hints))) {
        let words = ["--workload", class, "--hints", hints, "--memory", "40%", "--json", "-"];
        let outcome = compare(&words);
        assert_eq!((outcome.code, &*outcome.err), (0, ""), "{class} {hints}");
        let rows = rows(&outcome.out);
        assert_eq!(rows.len(), POLICIES.len(), "{}", outcome.out);
        for (row, policy) in rows.iter().zip(POLICIES) {
            let names: Vec<&str> = row.iter().map(|(name, _)| &**name).collect();
            assert_eq!(names, [&["policy"], &FIGURES[..]].concat());
            assert_eq!(row[0].1, format!("\"{policy}\""));
            for (name, value) in &row[1..] {
                let number: f64 = value.parse().expect(name);
                let least = if name.contains("_over_") { 1.0 } else { 0.0 };
                let share = name == "stall" || name == "wasted_prefetch";
                assert!(number >= least && (!share || number <= 1.0), "{policy} {name} {value}");
            }
        }
    }
}

#[test]
fn the_same_arguments_give_the_same_bytes_and_another_seed_gives_others() {
    let of_seeds = |seeds| {
        let words = ["compare", "--workload", "interaction", "--hints", "noisy", "--agents", "50"];
        let outcome = agents(&[&words[..], &["--seeds", seeds, "--json", "-"]].concat());
        assert_eq!(outcome.code, 0, "{}", outcome.err);
        outcome.out
    };
    let once = of_seeds("1-2");
    assert_eq!(of_seeds("1-2"), once);
    assert_ne!(of_seeds("3-4"), once);
}

#[test]
fn figures_go_where_they_are_sent() {
    let scratch = Scratch::new("agents");
    let file = |name: &str| scratch.path().join(name).to_string_lossy().into_owned();
    let (json, csv, svg) = (file("rows.json"), file("rows.csv"), file("policies.svg"));
    let outcome = compare(&["--json", &json, "--csv", &csv, "--svg", &svg]);
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    for policy in POLICIES {
        assert!(outcome.out.lines().any(|line| line.starts_with(policy)), "{}", outcome.out);
    }
    let read = |path| fs::read_to_string(path).expect("a file");
    assert_eq!(rows(&read(&json)).len(), POLICIES.len());
    let table = read(&csv);
    assert_eq!(table.lines().next().expect("a header"), ["policy", &FIGURES.join(",")].join(","));
    assert_eq!(table.lines().count(), 1 + POLICIES.len());
    assert!(table.lines().all(|line| line.split(',').count() == 1 + FIGURES.len()), "{table}");
    let drawing = read(&svg);
    assert!(drawing.starts_with("<svg") && drawing.trim_end().ends_with("</svg>"));
    assert!(POLICIES.iter().all(|policy| drawing.contains(&format!("\n{policy}\n"))), "{drawing}");
}

#[test]
fn a_sweep_has_rows_for_each_value_and_drawings_in_a_folder() {
    for (sweep, column, points, drawing) in [
        ("agents=20,40,60", "agents", 3, "throughput-by-agents.svg"),
        ("memory=10%..100%", "memory_percent", 10, "throughput-by-memory.svg"),
        ("memory=5GB,10GB", "memory_bytes", 2, "time-by-memory.svg"),
        ("ratio=0.5,2", "ratio", 2, "bytes-by-ratio.svg"),
    ] {
        let scratch = Scratch::new("sweep");
        let folder = scratch.path().to_string_lossy().into_owned();
        let policies = ["--policies", "ace,lru", "--json", "-", "--svg", &folder];
        let outcome = compare(&[&["--memory", "60%", "--sweep", sweep], &policies[..]].concat());
        assert_eq!(outcome.code, 0, "{sweep}: {}", outcome.err);
        let rows = rows(&outcome.out);
        assert_eq!(rows.len(), 2 * points, "{sweep}");
        assert!(
            rows.iter().all(|row| row[0].0 == column && row[1].0 == "policy"),
            "{}",
            outcome.out
        );
        let drawing = fs::read_to_string(scratch.path().join(drawing)).expect(drawing);
        assert!(drawing.contains("polyline"), "{sweep}: {drawing}");
    }
}

#[test]
fn a_sweep_of_agents_says_how_many_a_policy_sustains() {
    let sweep = ["--sweep", "agents=50,100,200", "--agents", "100", "--memory", "25%"];
    let outcome =
        agents(&[&["compare", "--seeds", "1", "--policies", "lru,ace"], &sweep[..]].concat());
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    let (_, table) = outcome.out.split_once("at the throughput of lru:\n\n").expect("a table");
    let mut lines = table.lines();
    let head = lines.next().expect("a head");
    assert_eq!(head.split_whitespace().collect::<Vec<_>>(), ["requests/s", "lru", "ace"]);
    let mut level = f64::INFINITY;
    for (line, agents) in lines.zip([50, 100, 200]) {
        let words: Vec<&str> = line.split_whitespace().filter(|word| *word != ">=").collect();
        let throughput: f64 = words[0].parse().expect("a throughput");
        assert!(throughput < level, "more agents, less throughput: {table}");
        level = throughput;
        assert_eq!(words[1], agents.to_string());
        let sustained: u32 = words[2].parse().expect("a number of agents");
        assert!(sustained >= agents, "right predictions sustain no fewer: {table}");
    }
    assert!(!compare(&["--policies", "lru,ace"]).out.contains("sustains"));
}

#[test]
fn simulate_reports_one_run() {
    let outcome = agents(&["simulate", "--workload", "path", "--policy", "lru", "--seed", "3"]);
    assert_eq!((outcome.code, &*outcome.err), (0, ""));
    for word in ["lru", "path", "seed 3", "times the bound", "requests/s", "p99", "peak memory"] {
        assert!(outcome.out.contains(word), "{word}: {}", outcome.out);
    }
}

#[test]
fn real_traces_are_replayed() {
    let scratch = Scratch::new("replay");
    for (format, text) in [("mooncake", MOONCAKE), ("azure", AZURE)] {
        let file = scratch.write(format, text).to_string_lossy().into_owned();
        let words = ["replay", "--format", format, &file, "--seeds", "1", "--memory", "1GB"];
        let outcome = agents(&[&words[..], &["--json", "-"]].concat());
        assert_eq!(outcome.code, 0, "{}", outcome.err);
        assert_eq!(rows(&outcome.out).len(), POLICIES.len());
        let outcome = agents(&[&words[..], &["--hints", "exact", "--policies", "ace"]].concat());
        assert!(outcome.out.contains("exact hints: 2 requests"), "{}", outcome.out);
    }
}

#[test]
fn a_bad_line_of_a_trace_is_named_by_its_number() {
    let scratch = Scratch::new("bad");
    let good = "{\"timestamp\": 0, \"input_length\": 6, \"output_length\": 9, \"hash_ids\": []}\n";
    for (format, text, why) in [
        (
            "mooncake",
            format!("{good}{{\"timestamp\": 1}}\n"),
            "line 2: this is no Mooncake request",
        ),
        ("mooncake", good.replace("6", "-6"), "line 1: input_length is -6"),
        ("mooncake", String::new(), "there are no requests in the trace"),
        ("azure", format!("{AZURE}2030-01-01 00:00:03.0,1,1\n"), "line 4: time runs backwards"),
        (
            "azure",
            format!("{AZURE}2030-01-01 00:00:09.0,one,1\n"),
            "line 4: ContextTokens is 'one'",
        ),
        (
            "azure",
            AZURE.replace("Generated", ""),
            "line 1: the header has no column GeneratedTokens",
        ),
        ("azure", String::new(), "there are no requests in the trace"),
    ] {
        let file = scratch.write("trace", &text).to_string_lossy().into_owned();
        let outcome = agents(&["replay", "--format", format, &file, "--json", "-"]);
        assert_eq!((outcome.code, &*outcome.out), (125, ""), "{text}: {}", outcome.err);
        assert!(outcome.err.contains(why), "{text}: {}", outcome.err);
        assert!(
            outcome.err.contains("trace") && outcome.err.lines().count() == 1,
            "{}",
            outcome.err
        );
    }
    let outcome = agents(&["replay", "--format", "azure", "/no/such/file"]);
    assert_eq!(outcome.code, 125);
    assert!(outcome.err.contains("/no/such/file"), "{}", outcome.err);
}

#[test]
fn options_that_make_no_sense_are_refused_with_a_sentence() {
    for (words, why) in [
        (["--workload", "chess"], "independent"),
        (["--hints", "perfect"], "adversarial"),
        (["--policies", "ace,best"], "scalesim"),
        (["--agents", "0"], "0 is not in 1..=100000"),
        (["--steps", "0"], "0 is not in 1..=100000"),
        (["--memory", "0%"], "from 1% to 100%"),
        (["--memory", "much"], "as in 80GB"),
        (["--seeds", "5-1"], "run backwards"),
        (["--seeds", "1,1"], "named twice"),
        (["--seeds", "all"], "is no seed"),
        (["--link", "25GB"], "as in 25GB/s"),
        (["--compute", "0ms"], "as in 4ms"),
        (["--machine", "fast"], "compute-bound"),
        (["--sweep", "agents"], "as in agents=100,400,1000"),
        (["--sweep", "seeds=1,2"], "can't be swept"),
        (["--sweep", "agents=400..100"], "does not go upward"),
        (["--sweep", "memory=10%,5GB"], "percentages, or none"),
        (["--sweep", "ratio=0"], "no ratio from"),
    ] {
        let outcome = agents(&[&["compare"], &words[..]].concat());
        assert_eq!((outcome.code, &*outcome.out), (2, ""), "{words:?}: {}", outcome.err);
        assert!(outcome.err.contains(why), "{words:?}: {}", outcome.err);
    }
}

#[test]
fn what_can_not_be_done_is_refused_with_a_sentence() {
    for (words, why) in [
        (&["--memory", "1MB"][..], "0.001 GB of memory are too little"),
        (&["--json", "-", "--csv", "-"], "can't both go to standard output"),
        (&["--svg", "/no/such/folder"], "neither a file ending in .svg nor a folder"),
        (&["--json", "/no/such/folder/rows.json"], "can't be written"),
        (&["--sweep", "ratio=1,2", "--compute", "4ms"], "leave --compute out"),
        (&["--agents", "1", "--steps", "1", "--memory", "1GB"], "no requests"),
    ] {
        let outcome = agents(&[&["compare"], words].concat());
        assert_eq!(outcome.code, 125, "{words:?}: {}", outcome.err);
        assert!(outcome.err.contains(why), "{words:?}: {}", outcome.err);
        assert_eq!(outcome.err.lines().count(), 1, "{}", outcome.err);
    }
    let outcome = agents(&["replay", "--format", "azure", "x", "--sweep", "agents=1,2"]);
    assert_eq!(outcome.code, 125);
    assert!(outcome.err.contains("--sweep can't vary them"), "{}", outcome.err);
}
