//! Owns what the kernel says about this process's memory: `/proc/self/status` and `maps`.
//!
//! `getrusage` is not asked: its maximum starts at the size of the process that forked the worker.

use std::fs;

/// Largest resident set so far, in KiB.
pub fn peak_resident_kib() -> u64 {
    status_kib("VmHWM:")
}

/// Resident set now, in KiB.
pub fn resident_kib() -> u64 {
    status_kib("VmRSS:")
}

/// Does the file of this name have a mapping here?
pub fn is_mapped(file_name: &str) -> bool {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    maps.lines().any(|line| line.rsplit('/').next() == Some(file_name))
}

/// One field of the status file; 0 where the kernel does not tell.
fn status_kib(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let value = status.lines().find_map(|line| line.strip_prefix(field));
    value.and_then(|v| v.split_whitespace().next()).and_then(|v| v.parse().ok()).unwrap_or(0)
}
