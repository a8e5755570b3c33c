//! Owns the description of the machine that stands in every report; no names, no addresses.

use std::time::{Duration, Instant};
use std::{fs, thread};

use serde::Serialize;

/// What a reader needs to compare two reports.
#[derive(Serialize)]
pub struct Machine {
    pub cpu: String,
    pub cpus: usize,
    pub memory_mib: u64,
    pub arch: &'static str,
    pub kernel: String,
    pub os: String,
    pub transparent_hugepages: String,
    /// Runnable processes over the last minute before the start: others' work, mostly.
    pub load: f64,
}

impl Machine {
    /// Asks the kernel; what it does not tell is "unknown" or 0.
    pub fn read() -> Self {
        let memory = field("/proc/meminfo", "MemTotal:");
        let thp = line("/sys/kernel/mm/transparent_hugepage/enabled");
        Self {
            cpu: field("/proc/cpuinfo", "model name\t:"),
            cpus: std::thread::available_parallelism().map_or(0, usize::from),
            memory_mib: memory.trim_end_matches(" kB").parse::<u64>().unwrap_or(0) / 1024,
            arch: std::env::consts::ARCH,
            kernel: line("/proc/sys/kernel/osrelease"),
            os: field("/etc/os-release", "PRETTY_NAME=").trim_matches('"').to_owned(),
            load: line("/proc/loadavg")
                .split(' ')
                .next()
                .and_then(|l| l.parse().ok())
                .unwrap_or(0.0),
            transparent_hugepages: chosen(&thp).to_owned(),
        }
    }

    /// One line for people.
    pub fn describe(&self) -> String {
        format!(
            "{} ({} CPUs, {}), {} MiB, {}, Linux {}, THP {}, load {:.1}",
            self.cpu,
            self.cpus,
            self.arch,
            self.memory_mib,
            self.os,
            self.kernel,
            self.transparent_hugepages,
            self.load
        )
    }
}

/// Returns when at least nine tenths of the CPU time of a twentieth of a second went unused, or when
/// the patience is over.
pub fn wait_until_idle(patience: Duration) {
    let start = Instant::now();
    while start.elapsed() < patience {
        let [idle, all] = cpu_ticks();
        thread::sleep(Duration::from_millis(50));
        let [idle_later, all_later] = cpu_ticks();
        if 10 * (idle_later - idle) >= 9 * (all_later - all) {
            return;
        }
    }
}

/// CPU time since boot, in ticks: idle, and altogether.
fn cpu_ticks() -> [u64; 2] {
    let times = Vec::from_iter(
        field("/proc/stat", "cpu ").split_whitespace().filter_map(|tick| tick.parse::<u64>().ok()),
    );
    // user nice system idle iowait irq softirq steal; guests are part of user.
    [times.get(3).copied().unwrap_or(0), times.iter().take(8).sum()]
}

/// The first line of a file.
fn line(path: &str) -> String {
    field(path, "")
}

/// What follows `start` on the first line that begins with it.
fn field(path: &str, start: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(start));
    value.map_or("unknown", str::trim).to_owned()
}

/// The word in brackets, as in `always [madvise] never`.
fn chosen(text: &str) -> &str {
    text.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map_or("unknown", |(w, _)| w)
}
