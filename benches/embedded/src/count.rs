//! Owns the exact count of instructions of single calls, under valgrind.
//!
//! A virtual machine has no performance counters, and stepping through a program takes ten microseconds an
//! instruction. Valgrind's tool lackey writes a line for each instruction and each access to memory. The
//! replay marks the calls in that stream by writing words at an address where nothing else is. (Valgrind
//! leaves out reads that nobody needs.)

use crate::replay::{Call, Watcher};
use std::env;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::ptr;
use std::sync::atomic::{Ordering, compiler_fence};

/// Where the marks are: above what programs of today's kernels are given.
const PLACE: usize = 0x5EED_0000_0000;
/// Which word is written: before a call of this kind, or after any.
const ALLOC: usize = 0;
const FREE: usize = 8;
const REALLOC: usize = 16;
const END: usize = 24;
/// Instructions of calls, and of the loop around them, after which counting stops: some ten seconds.
const ENOUGH: u64 = 30_000_000;

/// Marks the calls of a replay that runs under valgrind.
pub struct Marker {
    words: *mut u8,
}

impl Marker {
    /// Maps the words, and marks a call of nothing: what the marks themselves cost.
    pub fn new() -> Result<Self, String> {
        // SAFETY: the kernel is asked to give this place only if it is free.
        let words = unsafe {
            libc::mmap(
                ptr::without_provenance_mut(PLACE),
                4096,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE,
                -1,
                0,
            )
        };
        if words.addr() != PLACE {
            return Err("the marks' place is taken".to_owned());
        }
        let mut marker = Self { words: words.cast() };
        marker.call(Call::Alloc, || ());
        Ok(marker)
    }

    #[inline(always)]
    fn mark(&self, word: usize) {
        compiler_fence(Ordering::SeqCst);
        // SAFETY: `new` mapped these words.
        unsafe { self.words.wrapping_add(word).cast::<u64>().write_volatile(0) };
        compiler_fence(Ordering::SeqCst);
    }
}

impl Watcher for Marker {
    #[inline(always)]
    fn call<R>(&mut self, call: Call, work: impl FnOnce() -> R) -> R {
        self.mark(match call {
            Call::Alloc => ALLOC,
            Call::Free => FREE,
            Call::Realloc => REALLOC,
        });
        let result = work();
        self.mark(END);
        result
    }
}

/// Runs this program under valgrind with these words; the instructions of each call it marks.
pub fn run(words: &[&str]) -> Result<Vec<(Call, u64)>, String> {
    let program = env::current_exe().map_err(|e| format!("where am I? {e}"))?;
    let mut valgrind = Command::new("valgrind");
    // The log is the standard error, where a worker that does well says nothing.
    valgrind.args(["--tool=lackey", "--basic-counts=no", "--trace-mem=yes", "--log-fd=2"]);
    valgrind.arg(program).args(words).stdin(Stdio::null()).stdout(Stdio::null());
    let spawned = valgrind.stderr(Stdio::piped()).spawn();
    let mut child = spawned.map_err(|e| format!("valgrind can't be started: {e}"))?;
    let log = child.stderr.take().ok_or("no log")?;
    let read = read(BufReader::with_capacity(1 << 20, log));
    // Whether it ended or was read far enough.
    let _ = child.kill();
    child.wait().map_err(|e| format!("valgrind was lost: {e}"))?;
    match read {
        Ok(calls) if calls.is_empty() => Err("valgrind showed no call".to_owned()),
        other => other,
    }
}

/// Counts the lines of instructions between the marks. The first call is of nothing.
fn read(mut log: impl BufRead) -> Result<Vec<(Call, u64)>, String> {
    let (mut calls, mut line) = (Vec::new(), Vec::new());
    let (mut open, mut steps, mut nothing, mut all) = (None, 0_u64, None, 0);
    while all < ENOUGH {
        line.clear();
        let end = log.read_until(b'\n', &mut line);
        if end.map_err(|e| format!("valgrind's log can't be read: {e}"))? == 0 {
            break;
        }
        if line.starts_with(b"I ") {
            steps += 1;
            // What comes before the first call makes the trace.
            all += u64::from(nothing.is_some());
            continue;
        }
        let Some(word) = marked(&line) else { continue };
        match (word, open.take()) {
            (END, Some(call)) => match nothing {
                None => nothing = Some(steps),
                Some(marks) => calls.push((call, steps.saturating_sub(marks))),
            },
            (END, None) => return Err("a call ended that did not begin".to_owned()),
            (begin, _) => {
                open = Some(match begin {
                    ALLOC => Call::Alloc,
                    FREE => Call::Free,
                    _ => Call::Realloc,
                });
                steps = 0;
            }
        }
    }
    Ok(calls)
}

/// Which mark a line of the log is, as ` S 5eed00000008,8`.
fn marked(line: &[u8]) -> Option<usize> {
    let (address, _) = str::from_utf8(line).ok()?.strip_prefix(" S ")?.split_once(',')?;
    let word = usize::from_str_radix(address, 16).ok()?.checked_sub(PLACE)?;
    (word <= END).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The marks' own instructions stand in the first call.
    const LOG: &str = "==1== Lackey\nI  400000,3\n S 5eed00000000,8\nI  400003,4\n S 5eed00000018,8\n\
        I  1,1\n S 5eed00000000,8\nI  2,1\n S 1ffe,8\nI  3,1\n L 7000,8\nI  4,1\n S 5eed00000018,8\n\
        I  5,1\n S 5eed00000008,8\nI  6,1\n S 5eed00000018,8\n";

    #[test]
    fn instructions_are_counted_between_the_marks() {
        let calls = read(LOG.as_bytes()).expect("a log");
        assert_eq!(calls, [(Call::Alloc, 2), (Call::Free, 0)]);
        assert!(read(" S 5eed00000018,8\n".as_bytes()).is_err(), "an end without a beginning");
    }

    #[test]
    fn only_stores_to_the_four_words_are_marks() {
        assert_eq!(marked(b" S 5eed00000010,8\n"), Some(REALLOC));
        for line in [&b" L 5eed00000010,8\n"[..], b" S 5eed00000020,8\n", b" S 10,8\n", b" S \n"] {
            assert_eq!(marked(line), None, "{line:?}");
        }
    }
}
