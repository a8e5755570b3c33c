//! Promises of `gpu-check`, on the fake driver: it runs whole, its figures can be read, and a single bit
//! that a copy flips anywhere is found. Floor: garden.

use ace_alloc_tests::fake_cuda;
use serde_json::Value;
use std::process::{Command, Output};

/// Small enough for seconds.
const SMALL: &[&str] = &["--scale", "1024", "--agents", "16", "--steps", "16", "--rounds", "2"];
const AGENTS_ONLY: &[&str] = &["--skip", "pages,stalls,overlap", "--regimes", "link-bound"];
/// Kernels that run before the agents' first: one to load it, and five of each of two lengths.
const KERNELS_BEFORE: u32 = 11;

fn gpu_check(arguments: &[&str], options: &[(&str, String)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gpu-check"));
    // Only its path is needed: the state of the fake is that of the process.
    let fake = fake_cuda::load();
    command.arg("--driver").arg(fake.path()).args(SMALL).args(arguments);
    for (name, value) in options {
        command.env(format!("ACE_FAKE_CUDA_{name}"), value);
    }
    command.output().expect("gpu-check starts")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn figures(output: &Output) -> Value {
    assert!(output.status.success(), "{}: {}", output.status, said(output));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn it_runs_whole_and_its_figures_are_all_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("figures.json");
    let path = file.to_str().expect("a path in UTF-8");
    let output = gpu_check(&["--json", path, "--repeats", "3"], &[]);
    assert!(output.status.success(), "{}: {}", output.status, said(&output));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    for title in ["Link", "Small pinned copies", "Pages", "Unmapping", "Overlap", "compute-bound"] {
        assert!(text.contains(title), "no {title} in\n{text}");
    }
    let text = std::fs::read_to_string(&file).expect("the figures were written");
    let figures: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(figures["machine"]["device"], "ACE fake device");
    assert!(figures["link"]["pinned"][0]["inward"].as_f64() > Some(0.0));
    for step in ["create", "map_fresh", "access_fresh", "map_recycled", "unmap", "destroy"] {
        let median = &figures["pages"]["rows"][0][step]["median_us"];
        assert!(median.as_f64() > Some(0.0), "{step}");
    }
    assert!(figures["pages"]["group"]["access_at_once"]["median_us"].as_f64() > Some(0.0));
    assert!(figures["stalls"]["unmap_beside_kernel"]["count"].as_u64() >= Some(2));
    assert!(figures["overlap"]["efficiency"].as_f64() > Some(0.0));
    let tables = figures["agents"].as_array().expect("tables");
    assert_eq!(tables.len(), 2);
    for table in tables {
        let arms = table["arms"].as_array().expect("arms");
        let names: Vec<_> = arms.iter().map(|arm| arm["arm"].as_str().expect("a name")).collect();
        assert_eq!(names, ["resident", "naive", "lru", "scalesim", "ace"]);
        for arm in arms {
            assert!(arm["seconds"].as_f64() > Some(0.0), "{arm}");
            assert_eq!(arm["runs_seconds"].as_array().map(Vec::len), Some(3), "{arm}");
            assert_eq!(arm["runs_seconds"][1], arm["seconds"], "{arm}");
            assert!(arm["requests_per_second"].as_f64() > Some(0.0), "{arm}");
            assert!(arm["p99_ms"].as_f64() >= arm["p50_ms"].as_f64(), "{arm}");
            let copies = arm["arm"] != "resident";
            assert_eq!(arm["in_bytes"].as_u64() > Some(0), copies, "{arm}");
            assert_eq!(arm["out_bytes"].as_u64() > Some(0), copies, "{arm}");
            assert_eq!(arm["predicted_seconds"].as_f64() > Some(0.0), copies, "{arm}");
        }
    }
}

#[test]
fn json_can_go_to_stdout_alone() {
    let figures =
        figures(&gpu_check(&["--json", "-", "--skip", "pages,stalls,overlap,agents"], &[]));
    assert!(figures["link"]["both_ways"]["inward"].as_f64() > Some(0.0));
    for chapter in ["pages", "stalls", "overlap", "agents"] {
        assert!(figures[chapter].is_null(), "{chapter}");
    }
}

/// One bit of one copy, while the agents run in one arm, flips after so many of their kernels.
fn assert_found_in(arm: &str, after: u32) {
    let kernels = (KERNELS_BEFORE + after).to_string();
    let options = [("CORRUPT_COPY", "1".to_owned()), ("CORRUPT_AFTER_KERNELS", kernels)];
    let output = gpu_check(&[AGENTS_ONLY, &["--arms", arm]].concat(), &options);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{arm}, after {after} kernels: {text}");
    assert!(text.contains("contents differ: agent"), "{arm}, after {after} kernels: {text}");
}

#[test]
fn a_bit_that_flips_on_the_way_is_found_in_the_naive_arm() {
    (1..26).step_by(6).for_each(|after| assert_found_in("naive", after));
}

#[test]
fn a_bit_that_flips_on_the_way_is_found_when_the_engine_copies() {
    // Least recently used fetches nothing ahead, so that all that is copied is used.
    (1..26).step_by(6).for_each(|after| assert_found_in("lru", after));
}

#[test]
fn a_bit_that_flips_on_the_link_is_found() {
    // So small buffers are one chunk, sent and fetched six times: the last copies are looked at.
    for copy in ["11", "12"] {
        let output = gpu_check(&[], &[("CORRUPT_COPY", copy.to_owned())]);
        assert_eq!(output.status.code(), Some(1), "copy {copy}");
        assert!(said(&output).contains("contents differ"), "copy {copy}: {}", said(&output));
    }
}

#[test]
fn without_a_driver_or_a_device_it_says_so_and_ends_with_2() {
    let run = |arguments: &[&str], devices: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_gpu-check"))
            .args(arguments)
            .env("ACE_FAKE_CUDA_DEVICES", devices)
            .output()
            .expect("gpu-check starts");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", said(&output));
        said(&output)
    };
    let text = run(&["--driver", "/nowhere/libcuda.so.1"], "1");
    assert!(text.contains("`/nowhere/libcuda.so.1` can't be loaded"), "{text}");
    let fake = fake_cuda::load();
    let path = fake.path().to_str().expect("a path in UTF-8");
    let text = run(&["--driver", path], "0");
    assert!(text.contains("the driver finds no device"), "{text}");
    let text = run(&["--driver", path, "--device", "3"], "1");
    assert!(text.contains("there is no device 3"), "{text}");
}

#[test]
fn a_device_that_is_lost_on_the_way_ends_it_with_a_sentence() {
    let fail = [("FAIL", "cuLaunchKernel:20:719:lost".to_owned())];
    let output = gpu_check(
        &AGENTS_ONLY.iter().chain(&["--arms", "ace"]).copied().collect::<Vec<_>>(),
        &fail,
    );
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("the device is lost"), "{}", said(&output));
}

#[test]
fn states_that_do_not_fit_are_refused_with_advice() {
    let run = Command::new(env!("CARGO_BIN_EXE_gpu-check"))
        .args(["--driver", fake_cuda::load().path().to_str().expect("a path in UTF-8")])
        .args(AGENTS_ONLY)
        .args(["--agents", "60000", "--scale", "1"])
        .env("ACE_FAKE_CUDA_MEMORY_BYTES", (64 << 20).to_string())
        .output()
        .expect("gpu-check starts");
    assert_eq!(run.status.code(), Some(1), "{}", said(&run));
    assert!(said(&run).contains("choose a larger --scale"), "{}", said(&run));
}
