//! Owns the clock: CLOCK_MONOTONIC in nanoseconds, and sleep.

use std::ptr;

const SECOND: u64 = 1_000_000_000;

/// Now, in nanoseconds since an arbitrary start that all threads share.
pub fn now_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a timespec that the call fills; CLOCK_MONOTONIC always exists on Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * SECOND + time.tv_nsec as u64
}

/// Sleeps until that time of [`now_ns`]; allocates nothing.
pub fn sleep_until(ns: u64) {
    let time =
        libc::timespec { tv_sec: (ns / SECOND) as libc::time_t, tv_nsec: (ns % SECOND) as i64 };
    let (clock, absolute) = (libc::CLOCK_MONOTONIC, libc::TIMER_ABSTIME);
    // SAFETY: `time` is a valid timespec, and no remaining time is asked for. A signal's EINTR starts it
    // anew.
    while unsafe { libc::clock_nanosleep(clock, absolute, &time, ptr::null_mut()) } == libc::EINTR {
    }
}

/// Sleeps for so many milliseconds; allocates nothing.
pub fn sleep_ms(ms: u64) {
    sleep_until(now_ns() + ms * 1_000_000);
}
