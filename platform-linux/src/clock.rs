//! The clock that the heap learns by, and sleep. Floor: adapter.

use core::ptr;

/// Milliseconds since boot, at the grain of the kernel's tick. No system call: the kernel's page answers.
pub(crate) fn now_ms() -> Option<u64> {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a valid place for the answer.
    if unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &raw mut now) } != 0 {
        return None;
    }
    let seconds = u64::try_from(now.tv_sec).ok()?;
    let nanos = u64::try_from(now.tv_nsec).ok()?;
    Some(seconds * 1000 + nanos / 1_000_000)
}

/// Sleeps so long, or until a signal comes.
pub(crate) fn sleep_ms(ms: u64) {
    let time = libc::timespec {
        tv_sec: (ms / 1000).cast_signed(),
        tv_nsec: (ms % 1000 * 1_000_000).cast_signed(),
    };
    // SAFETY: a valid time.
    unsafe { libc::nanosleep(&raw const time, ptr::null_mut()) };
}
