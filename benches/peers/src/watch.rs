//! Owns the watcher: a child process that notes this process's resident set every 10 ms.
//!
//! A thread would be part of what is measured: allocators count their threads and wake at their calls.
//! The child is made by a bare `clone`, so that no allocator's fork handler runs; it calls no
//! allocator, and all it shares with us is one mapping for what it notes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::{mem, ptr};

use crate::clock;

/// Nanoseconds between two samples.
const INTERVAL: u64 = 10_000_000;
/// Samples that are kept: almost three minutes of them, longer than any worker may run.
const CAPACITY: usize = 1 << 14;

/// Resident KiB at a time.
struct Sample {
    ns: AtomicU64,
    kib: AtomicU64,
}

/// What the child writes and the worker reads; zero bytes are an empty one.
struct Log {
    written: AtomicU64,
    samples: [Sample; CAPACITY],
}

/// The watcher of this process, for as long as it lives.
pub struct Watch {
    log: &'static Log,
    /// `/proc/self/statm`, opened here: it speaks of this process in the child, too.
    statm: libc::c_int,
    child: libc::pid_t,
}

impl Watch {
    /// Begins to watch. For the main thread, before there are others.
    pub fn start() -> Result<Self, String> {
        // SAFETY: the path is a C string; nothing else is read.
        let statm =
            unsafe { libc::open(c"/proc/self/statm".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
        if statm < 0 {
            return Err("cannot open /proc/self/statm".to_owned());
        }
        let log = shared_log()?;
        // SAFETY: getpid has no preconditions.
        let parent = unsafe { libc::getpid() };
        // SAFETY: a clone without flags is a fork: the child goes on with a copy of this thread's stack
        // and calls only what needs no lock and no memory (`observe`).
        let child = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
        match child {
            0 => observe(log, statm, parent),
            child if child > 0 => Ok(Self { log, statm, child: child as libc::pid_t }),
            _ => Err("cannot start the watcher".to_owned()),
        }
    }

    /// The resident set now, in KiB, asked for by the caller itself.
    pub fn resident_kib(&self) -> u64 {
        resident_kib(self.statm)
    }

    /// Since when, without a break until now, the resident set has been at most `limit_kib`; not
    /// earlier than `from` (ns). None: it is above, or there is no sample since `from`.
    pub fn lean_since(&self, from: u64, limit_kib: u64) -> Option<u64> {
        let back = self.samples().rev().take_while(|&(ns, kib)| ns >= from && kib <= limit_kib);
        back.last().map(|(ns, _)| ns)
    }

    /// The integral of the resident set over a time (ns, ns), in MiB × s.
    pub fn mib_seconds(&self, from: u64, to: u64) -> f64 {
        integral_kib_ns(self.samples(), from, to) / (1024.0 * 1e9)
    }

    /// The mean resident set over a time, in KiB.
    pub fn mean_kib(&self, from: u64, to: u64) -> f64 {
        integral_kib_ns(self.samples(), from, to) / to.saturating_sub(from).max(1) as f64
    }

    /// All samples (ns, KiB), the oldest first.
    fn samples(&self) -> impl DoubleEndedIterator<Item = (u64, u64)> + Clone {
        // Acquire: pairs with the Release in `observe`; the samples below are written.
        let written = self.log.written.load(Ordering::Acquire) as usize;
        let relaxed = |value: &AtomicU64| value.load(Ordering::Relaxed);
        self.log.samples[..written.min(CAPACITY)]
            .iter()
            .map(move |s| (relaxed(&s.ns), relaxed(&s.kib)))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // SAFETY: the child is ours and not waited for yet, so its number is no one else's; the file is
        // ours. The log stays mapped: nothing that borrows it can dangle.
        unsafe {
            libc::kill(self.child, libc::SIGKILL);
            libc::waitpid(self.child, ptr::null_mut(), 0);
            libc::close(self.statm);
        }
    }
}

/// Each sample holds until the next; the first also for what was before it.
fn integral_kib_ns(samples: impl Iterator<Item = (u64, u64)> + Clone, from: u64, to: u64) -> f64 {
    let ends = samples.clone().map(|(ns, _)| ns).skip(1).chain([u64::MAX]);
    let mut begin = 0;
    let mut sum = 0.0;
    for ((_, kib), end) in samples.zip(ends) {
        let held = end.min(to).saturating_sub(begin.max(from));
        sum += kib as f64 * held as f64;
        begin = end;
    }
    sum
}

/// An empty log that a child will share.
fn shared_log() -> Result<&'static Log, String> {
    // SAFETY: a fresh anonymous mapping touches nothing that exists.
    let log = unsafe {
        libc::mmap(
            ptr::null_mut(),
            mem::size_of::<Log>(),
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if log == libc::MAP_FAILED {
        return Err("no memory for the watcher's log".to_owned());
    }
    // SAFETY: the mapping is page aligned, as large as a Log, zero, which is a Log of atomics, and never
    // unmapped.
    Ok(unsafe { &*log.cast::<Log>() })
}

/// The child's life: it ends with its parent, at the latest.
fn observe(log: &Log, statm: libc::c_int, parent: libc::pid_t) -> ! {
    // SAFETY: plain system calls on numbers. The parent's pipes are closed, for a reader waits until the
    // last writer has gone.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        for stream in 0..3 {
            libc::close(stream);
        }
        if libc::getppid() != parent {
            libc::_exit(0);
        }
    }
    let mut next = clock::now_ns();
    for (written, sample) in (1..).zip(&log.samples) {
        sample.kib.store(resident_kib(statm), Ordering::Relaxed);
        sample.ns.store(clock::now_ns(), Ordering::Relaxed);
        // Release: pairs with the Acquire in `samples`; the sample is written.
        log.written.store(written, Ordering::Release);
        next += INTERVAL;
        clock::sleep_until(next);
    }
    // SAFETY: ends this process without its parent's exit handlers.
    unsafe { libc::_exit(0) }
}

/// The second field of a statm file, in KiB; 0 if the kernel does not tell. Allocates nothing.
fn resident_kib(statm: libc::c_int) -> u64 {
    let mut text = [0u8; 128];
    // SAFETY: the buffer is as long as the call is told.
    let read = unsafe { libc::pread(statm, text.as_mut_ptr().cast(), text.len(), 0) };
    let mut fields = text[..read.max(0) as usize].split(|&byte| byte == b' ');
    let digits = fields.nth(1).unwrap_or_default();
    let pages = digits.iter().fold(0, |pages, digit| pages * 10 + u64::from(digit - b'0'));
    // SAFETY: sysconf has no preconditions; the page size is always known.
    pages * unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as u64 / 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_holds_until_the_next_one() {
        let samples = || [(100, 10), (200, 20), (300, 0)].into_iter();
        assert_eq!(integral_kib_ns(samples(), 100, 300), 100.0 * 10.0 + 100.0 * 20.0);
        assert_eq!(integral_kib_ns(samples(), 150, 250), 50.0 * 10.0 + 50.0 * 20.0);
        assert_eq!(integral_kib_ns(samples(), 0, 50), 500.0, "the first holds for what was before");
        assert_eq!(integral_kib_ns(samples(), 250, 1000), 50.0 * 20.0);
        assert_eq!(integral_kib_ns([].into_iter(), 0, 100), 0.0);
    }

    #[test]
    fn the_watcher_sees_memory_come() {
        let watch = Watch::start().expect("a child can be started");
        let begin = clock::now_ns();
        let before = watch.resident_kib();
        let block = std::hint::black_box(vec![1u8; 64 << 20]);
        let limit = before + (32 << 10);
        assert!(watch.resident_kib() > limit);
        let from = clock::now_ns();
        while watch.samples().next_back().is_none_or(|(ns, _)| ns < from) {
            std::thread::yield_now();
        }
        assert_eq!(watch.lean_since(begin, limit), None);
        assert!(watch.lean_since(begin, u64::MAX).is_some());
        assert!(watch.mean_kib(begin, clock::now_ns()) > 0.0);
        drop(block);
    }
}
