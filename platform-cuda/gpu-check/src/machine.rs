//! What the measurements were made on. Floor: ground.

use crate::{bench::Bench, failure::Failure};
use ace_alloc_cuda::device::Device;
use serde::Serialize;
use std::{fs, thread};

/// The attributes that are shown, by their numbers in the driver's header; a driver may not know one.
const ATTRIBUTES: [(&str, i32); 8] = [
    ("multiprocessors", 16),
    ("clock_khz", 13),
    ("memory_clock_khz", 36),
    ("memory_bus_bits", 37),
    ("l2_cache_bytes", 38),
    ("copy_engines", 40),
    ("compute_capability_major", 75),
    ("compute_capability_minor", 76),
];

#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    pub device: String,
    /// The CUDA that the driver is for, as in 12.8.
    pub driver_cuda: String,
    /// The driver's own version; `None` where the system does not tell.
    pub driver_version: Option<String>,
    pub memory_bytes: u64,
    pub free_bytes: u64,
    pub granularity_bytes: u64,
    pub attributes: Vec<Attribute>,
    pub host: Host,
    /// Of this program.
    pub version: &'static str,
}

#[derive(Clone, Debug, Serialize)]
pub struct Attribute {
    pub name: &'static str,
    pub value: i32,
}

#[derive(Clone, Debug, Serialize)]
pub struct Host {
    pub processor: String,
    pub threads: usize,
    pub memory_bytes: u64,
    pub available_bytes: u64,
    pub kernel: String,
}

/// What a file of the system says; nothing if it is not there.
fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The rest of the first line that begins so, after its colon.
fn field(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

impl Host {
    pub fn find() -> Self {
        let (processors, memory) = (read("/proc/cpuinfo"), read("/proc/meminfo"));
        let bytes = |name| {
            let number = field(&memory, name).and_then(|kib| kib.split(' ').next()?.parse().ok());
            number.unwrap_or(0u64) * 1024
        };
        let unknown = || "unknown".to_owned();
        let kernel = read("/proc/sys/kernel/osrelease");
        Self {
            processor: field(&processors, "model name").unwrap_or_else(unknown),
            threads: thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: bytes("MemTotal"),
            available_bytes: bytes("MemAvailable").min(cgroup_left()),
            kernel: Some(kernel.trim().to_owned())
                .filter(|it| !it.is_empty())
                .unwrap_or_else(unknown),
        }
    }
}

/// What a container may still take of the host's memory.
fn cgroup_left() -> u64 {
    let number = |path| read(path).trim().parse::<u64>().ok();
    let most = number("/sys/fs/cgroup/memory.max");
    let used = number("/sys/fs/cgroup/memory.current").unwrap_or(0);
    most.map_or(u64::MAX, |most| most.saturating_sub(used))
}

impl Machine {
    pub fn find(bench: &mut Bench) -> Result<Self, Failure> {
        let memory = bench.device.memory()?;
        let cuda = bench.library().version()?;
        let attribute = |(name, number)| {
            let value = bench.device.attribute(number).ok()?;
            Some(Attribute { name, value })
        };
        Ok(Self {
            device: bench.device.name()?,
            driver_cuda: format!("{}.{}", cuda / 1000, cuda % 1000 / 10),
            driver_version: field(&read("/proc/driver/nvidia/version"), "NVRM version"),
            memory_bytes: memory.total_bytes,
            free_bytes: memory.free_bytes,
            granularity_bytes: bench.device.granularity(),
            attributes: ATTRIBUTES.into_iter().filter_map(attribute).collect(),
            host: Host::find(),
            version: env!("CARGO_PKG_VERSION"),
        })
    }
}
