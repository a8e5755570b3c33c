//! How far the soak is, for whoever watches standard error: a bar on a terminal, else a line now and
//! then. Floor: tool.

use super::message::Progress;
use crate::report::bytes;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use std::{
    io::{self, IsTerminal},
    time::{Duration, Instant},
};

const LINE_EVERY: Duration = Duration::from_secs(30);

/// See the module's documentation.
pub struct Watch {
    begin: Instant,
    length: Duration,
    bar: Option<ProgressBar>,
    next_line: Instant,
}

impl Watch {
    /// Watches from now on.
    pub fn new(length: Duration) -> Self {
        let begin = Instant::now();
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(seconds(length));
            // The template is ours; the default would do as well.
            if let Ok(style) = ProgressStyle::with_template("soak {bar:30} {pos}/{len} s {msg}") {
                bar.set_style(style);
            }
            bar
        });
        Self { begin, length, bar, next_line: begin + LINE_EVERY }
    }

    /// Shows the state of the moment.
    pub fn show(&mut self, progress: &Progress) {
        let passed = self.begin.elapsed();
        match &self.bar {
            Some(bar) => {
                bar.set_position(seconds(passed.min(self.length)));
                bar.set_message(words(progress));
            }
            None if Instant::now() >= self.next_line => {
                self.next_line += LINE_EVERY;
                eprintln!("soak: after {} s: {}", seconds(passed), words(progress));
            }
            None => {}
        }
    }

    /// Takes the bar away; how long it was watched.
    pub fn end(self) -> Duration {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
        self.begin.elapsed()
    }
}

fn seconds(time: Duration) -> u64 {
    time.as_secs()
}

fn words(progress: &Progress) -> String {
    let Progress { operations, live_bytes, resident_bytes, threads, forks, .. } = progress;
    format!(
        "{} operations, {} live, {} resident, {} threads, {} forks",
        HumanCount(*operations),
        bytes(*live_bytes),
        bytes(*resident_bytes),
        HumanCount(*threads),
        HumanCount(*forks)
    )
}
