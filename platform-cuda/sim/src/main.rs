//! Prints what each policy makes of each workload: `cargo run --release -p ace-alloc-cuda-sim [SEED...]`.

use ace_alloc_cuda_sim::{
    Machine, Outcome,
    run::{arms, run},
    workload::{Size, all},
};

fn print_table(
    title: &str,
    seeds: &[u64],
    machine: fn(u64) -> Machine,
    figure: fn(&Outcome) -> f64,
) {
    println!("\n{title}, mean of seeds {seeds:?}");
    let names: Vec<&str> = arms(0).iter().map(|(name, _)| *name).collect();
    println!("| workload | {} |", names.join(" | "));
    println!("|{}", "---|".repeat(names.len() + 1));
    let count = all(Size::USUAL, 0).len();
    for at in 0..count {
        let mut sums = vec![0.0; names.len()];
        let mut name = "";
        for seed in seeds {
            let trace = &all(Size::USUAL, *seed)[at];
            name = trace.name;
            for (sum, (arm_name, arm)) in sums.iter_mut().zip(arms(*seed)) {
                let truth = trace.with_truth();
                let trace = if arm_name == "oracle" { &truth } else { trace };
                let outcome = run(trace, machine(trace.percent_bytes(25)), arm);
                *sum += figure(&outcome) / seeds.len() as f64;
            }
        }
        let figures: Vec<String> = sums.iter().map(|sum| format!("{sum:.2}")).collect();
        println!("| {name} | {} |", figures.join(" | "));
    }
}

fn main() {
    let seeds: Vec<u64> = std::env::args().skip(1).filter_map(|seed| seed.parse().ok()).collect();
    let seeds = if seeds.is_empty() { vec![7, 11, 23] } else { seeds };
    print_table("time / bound, link-bound", &seeds, Machine::link_bound, Outcome::time_ratio);
    print_table(
        "bytes / least bytes, link-bound",
        &seeds,
        Machine::link_bound,
        Outcome::bytes_ratio,
    );
    print_table("time / bound, compute-bound", &seeds, Machine::compute_bound, Outcome::time_ratio);
}
