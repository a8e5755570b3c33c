//! What the soak showed: what was found, or that it was clean. Floor: tool.

use super::message::{Account, Held};
use crate::report::bytes;
use indicatif::HumanCount;
use std::{path::Path, time::Duration};

/// Bytes that may be live at the end beyond those at the start. Chosen: what the C library keeps for its
/// cached thread stacks is a few KiB; one lost chunk of 63 blocks of 1 KiB is as much as this.
const LIVE_SLACK: u64 = 64 << 10;
/// Likewise resident: tables, whose pages stay once they were used, and in proportion to the peak.
const RESIDENT_SLACK: u64 = 8 << 20;
const RESIDENT_SLACK_OF_PEAK: u64 = 16;

/// What the account says against the allocator.
pub fn leaks(account: &Account) -> Vec<String> {
    let Account { before, after, peak_resident_bytes, .. } = account;
    let mut found = Vec::new();
    let mut compare = |what: &str, before: u64, after: u64, slack: u64| {
        if after > before + slack {
            found.push(format!(
                "{} {what} after everything was freed and trimmed, {} at the start",
                bytes(after),
                bytes(before)
            ));
        }
    };
    compare("live", before.live_bytes, after.live_bytes, LIVE_SLACK);
    let slack = RESIDENT_SLACK + peak_resident_bytes / RESIDENT_SLACK_OF_PEAK;
    compare("resident", before.resident_bytes, after.resident_bytes, slack);
    found
}

/// The line of a soak without findings.
pub fn clean(account: &Account, library: &Path, took: Duration, stopped: bool) -> String {
    let Account { progress, peak_resident_bytes, before, after } = account;
    let held = |held: &Held| {
        format!("{} live, {} resident", bytes(held.live_bytes), bytes(held.resident_bytes))
    };
    format!(
        "soak: clean after {}{}: {} operations, {} blocks verified, {} threads, {} forks, peak RSS \
         {}; at the end {} (at the start {}); on {}",
        duration(took),
        if stopped { " (stopped early)" } else { "" },
        HumanCount(progress.operations),
        HumanCount(progress.verified),
        HumanCount(progress.threads),
        HumanCount(progress.forks),
        bytes(*peak_resident_bytes),
        held(after),
        held(before),
        library.display()
    )
}

/// The lines of a soak that found something.
pub fn broken(findings: &[String], library: &Path, took: Duration, seed: u64) -> String {
    let lines: String = findings.iter().map(|what| format!("soak: found: {what}\n")).collect();
    format!(
        "{lines}soak: {} broken after {} with seed {seed} on {}",
        match findings.len() {
            1 => "1 promise".to_owned(),
            many => format!("{many} promises"),
        },
        duration(took),
        library.display()
    )
}

fn duration(time: Duration) -> String {
    match time.as_secs() {
        0..100 => format!("{:.1} s", time.as_secs_f64()),
        seconds => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}
