//! `gpu-check`: what a real GPU does, and what the engine makes of it. Floor: garden.
//!
//! ```text
//!  main       the chapters, one after the other
//!  agents     the agents' workload in several arms, every byte checked
//!  report     tables and JSON
//!  pages stalls link overlap    one chapter each
//!  bench      the device, its kernel, progress
//!  memory     device and pinned memory, copies that are waited for
//!  machine    what the figures were measured on
//!  contents   what states hold; the host's model of the kernel
//!  args failure figures         used by all
//!  interpreter                  PTX on the host: a test that kernel and model agree
//! ```
//!
//! It links no CUDA: the driver is looked for at run time, as in the product.

mod agents;
mod args;
mod bench;
mod contents;
mod failure;
mod figures;
#[cfg(test)]
mod interpreter;
mod link;
mod machine;
mod memory;
mod overlap;
mod pages;
mod report;
mod stalls;

use args::{Args, Chapter};
use bench::Bench;
use clap::Parser;
use failure::Failure;
use indicatif::ProgressBar;
use link::Link;
use machine::Machine;
use report::Report;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = Args::parse();
    match check(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("gpu-check: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

fn check(args: &Args) -> Result<(), Failure> {
    let mut bench = Bench::open(args, ProgressBar::new(0))?;
    let machine = Machine::find(&mut bench)?;
    let link = link::measure(&mut bench, args)?;
    let mut pages = None;
    if args.has(Chapter::Pages) {
        pages = Some(pages::measure(&mut bench, args)?);
    }
    let mut stalls = None;
    if args.has(Chapter::Stalls) {
        stalls = Some(stalls::measure(&mut bench, args)?);
    }
    let mut overlap = None;
    if args.has(Chapter::Overlap) {
        overlap = Some(overlap::measure(&mut bench, args, Link::best(&link.pinned).0)?);
    }
    let mut agents = None;
    if args.has(Chapter::Agents) {
        let speeds = agents::Speeds { link: &link, pages: pages.as_ref() };
        agents = Some(agents::measure(&mut bench, args, &speeds)?);
    }
    drop(bench);
    let report = Report { machine, link, pages, stalls, overlap, agents };
    if args.writes_json_only() {
        print!("{}", report.json()?);
        return Ok(());
    }
    print!("{}", report.in_words());
    args.json.as_ref().map_or(Ok(()), |path| report.save(path))
}
