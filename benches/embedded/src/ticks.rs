//! Owns the finest clock: the CPU's counter where it is known, else nanoseconds.

use ace_bench_peers::clock;

/// Ticks since some time; the work before it is done, the work after it has not begun.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub fn now() -> u64 {
    use std::arch::x86_64::{_mm_lfence, _rdtsc};
    // SAFETY: SSE2 and the counter are part of every x86-64.
    unsafe {
        _mm_lfence();
        let ticks = _rdtsc();
        _mm_lfence();
        ticks
    }
}

/// Nanoseconds since some time.
#[cfg(not(target_arch = "x86_64"))]
pub fn now() -> u64 {
    clock::now_ns()
}

/// Nanoseconds of a tick: compared with the clock over a fiftieth of a second.
pub fn nanoseconds() -> f64 {
    let (ticks, start) = (now(), clock::now_ns());
    while clock::now_ns() < start + 20_000_000 {}
    let (ticks, ns) = (now() - ticks, clock::now_ns() - start);
    ns as f64 / ticks as f64
}
