//! Owns `rss-empty`: what a program that does nothing keeps resident under each library.

use serde_json::json;

use crate::allocators::Library;
use crate::cli::Common;
use crate::machine::Machine;
use crate::rounds;
use crate::stats::median;
use crate::workshop::{Contestant, Workshop};
use crate::{report, table};

/// One library's medians in KiB.
struct Floor {
    name: &'static str,
    /// Without a call of malloc, and after one pair of malloc and free.
    untouched: f64,
    one_pair: f64,
}

/// Measures and reports; linked peers cannot take part, for the program is not theirs.
pub fn perform(common: &Common) -> Result<bool, String> {
    let workshop = Workshop::open(!common.workers.no_build)?;
    let program = workshop.worker("empty")?;
    let (contestants, left_out) = workshop.contestants(common, |allocator| {
        allocator.name == "glibc" || allocator.library != Library::Linked
    })?;
    let mut floors = Vec::new();
    for contestant in &contestants {
        let mut medians = [0.0; 2];
        for (value, arguments) in medians.iter_mut().zip([&[][..], &["malloc"][..]]) {
            let samples = (0..common.rounds)
                .map(|_| peak_kib(contestant, &program, arguments, common.workers.limit))
                .collect::<Result<Vec<f64>, String>>()?;
            *value = median(samples);
        }
        let [untouched, one_pair] = medians;
        floors.push(Floor { name: contestant.allocator.name, untouched, one_pair });
    }
    let machine = Machine::read();
    report::print(&(table::head(&machine, &left_out) + &text(&floors, common.rounds)), common);
    if let Some(path) = &common.csv {
        report::write(path, &csv(&floors))?;
    }
    if let Some(path) = &common.json {
        let rows = Vec::from_iter(floors.iter().map(|floor| {
            json!({
                "allocator": floor.name,
                "peak_rss_kib": floor.one_pair,
                "untouched_peak_rss_kib": floor.untouched,
            })
        }));
        let value = json!({ "bench": "rss-empty", "machine": machine, "rows": rows });
        report::write_json(path, &value)?;
    }
    Ok(true)
}

/// One run of the empty program: its VmHWM.
fn peak_kib(
    contestant: &Contestant,
    program: &std::path::Path,
    arguments: &[&str],
    limit: u32,
) -> Result<f64, String> {
    let status = rounds::output(rounds::command(contestant, program, limit).args(arguments))
        .map_err(|why| format!("{}: {why}", contestant.allocator.name))?;
    let value = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    value
        .and_then(|value| value.split_whitespace().next()?.parse().ok())
        .ok_or_else(|| "the kernel does not tell VmHWM".to_owned())
}

/// The table.
fn text(floors: &[Floor], rounds: u32) -> String {
    let heads = ["allocator", "no malloc", "one malloc", "over glibc"];
    let mut lines = vec![Vec::from(heads.map(str::to_owned))];
    let glibc = floors.iter().find(|floor| floor.name == "glibc").map(|floor| floor.one_pair);
    for floor in floors {
        lines.push(vec![
            floor.name.to_owned(),
            format!("{:.0}", floor.untouched),
            format!("{:.0}", floor.one_pair),
            glibc.map_or("-".to_owned(), |glibc| format!("{:+.0}", floor.one_pair - glibc)),
        ]);
    }
    format!("\nrss-empty, peak RSS in KiB, median of {rounds} runs\n{}", table::align(&lines))
}

/// The CSV.
fn csv(floors: &[Floor]) -> String {
    let mut text = "bench,allocator,untouched_peak_rss_kib,peak_rss_kib\n".to_owned();
    for floor in floors {
        text.push_str(&format!(
            "rss-empty,{},{},{}\n",
            floor.name, floor.untouched, floor.one_pair
        ));
    }
    text
}
