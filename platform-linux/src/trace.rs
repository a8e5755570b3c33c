//! What ACE sees and decides, a JSON object a line (`ACE_TRACE`). Floor: adapter.
//!
//! The first line says who and how; then each turn that has orders writes one, and others at most every
//! `SAMPLE_MS`, so that a line can be drawn through them: what happened in turns without a line is in the
//! next one's counts. `libace_alloc.so` adds a last line when the program exits.
//!
//! Nothing is allocated and nobody waits: the text is collected in a static buffer by whoever takes the
//! turn. The descriptor is the library's own; a program may close those that it does not know and open
//! others under their numbers, so before each line it is compared with the file that was opened, and a
//! trace that lost its file ends. A forked child writes nothing.

mod line;

use crate::{FdWriter, FutexLock, HEAP, clock, file::File, options};
use ace_alloc::ace::Turn;
use core::{
    fmt::Write,
    sync::atomic::{AtomicI32, Ordering},
};
use line::Since;
use lock_api::{Mutex, RawMutex};

/// Milliseconds between lines of turns that have no orders, at least.
const SAMPLE_MS: u64 = 100;
/// Descriptors below are left to the program.
const FD_FLOOR: i32 = 512;
/// A line with many orders; a longer one is written in parts.
const LINE_BYTES: usize = 32 << 10;
const CANNOT: &str =
    "ace-alloc: the file of ACE_TRACE can't be written, or is not an ordinary file\n";

/// The process that writes; 0: none.
static WRITER: AtomicI32 = AtomicI32::new(0);
/// All zeros while there is none, so that it costs no byte of the library.
static TRACE: Mutex<FutexLock, Trace> = Mutex::from_raw(FutexLock::INIT, Trace::NONE);

struct Trace {
    /// Device and number of the file.
    identity: (u64, u64),
    begin_ms: u64,
    wrote_ms: u64,
    turns: u64,
    since: Since,
    out: FdWriter<LINE_BYTES>,
}

impl Trace {
    const NONE: Self = Self {
        identity: (0, 0),
        begin_ms: 0,
        wrote_ms: 0,
        turns: 0,
        since: Since::NONE,
        out: FdWriter::new(0),
    };

    /// Hands the line over, if the descriptor is still the trace's. `false`: the trace has ended.
    fn finish_line(&mut self) -> bool {
        let alive = File::identity(self.out.fd()) == Some(self.identity) && self.out.flush();
        if !alive {
            self.out.discard();
            WRITER.store(0, Ordering::Relaxed);
        }
        alive
    }
}

/// Whether this process writes a trace. The child of a fork does not.
pub(crate) fn is_on() -> bool {
    let writer = WRITER.load(Ordering::Relaxed);
    // SAFETY: getpid has no preconditions.
    writer != 0 && writer == unsafe { libc::getpid() }
}

/// Begins the trace that the options ask for.
pub(crate) fn begin() {
    let Some(path) = options::trace_path() else { return };
    let file = File::create(path, libc::O_APPEND | libc::O_NOCTTY | libc::O_NONBLOCK);
    let identified = file.and_then(|file| Some((File::identity(file.fd())?, file)));
    let Some((identity, file)) = identified else {
        let mut warning = FdWriter::<128>::new(libc::STDERR_FILENO);
        let _ = warning.write_str(CANNOT);
        return;
    };
    let Some(mut trace) = TRACE.try_lock() else { return };
    trace.identity = identity;
    trace.out.redirect(file.moved_above(FD_FLOOR).leak());
    trace.begin_ms = clock::now_ms().unwrap_or(0);
    let _ = line::write_head(&mut trace.out);
    // SAFETY: getpid has no preconditions.
    WRITER.store(unsafe { libc::getpid() }, Ordering::Relaxed);
    trace.finish_line();
}

/// A turn was taken.
pub(crate) fn on_turn(turn: &Turn<'_>) {
    if !is_on() {
        return;
    }
    let Some(mut guard) = TRACE.try_lock() else { return };
    let trace = &mut *guard;
    trace.turns += 1;
    trace.since.add(turn.seen);
    let now = turn.seen.now_ms;
    let is_dull = turn.orders.is_empty() && trace.wrote_ms != 0;
    if is_dull && now < trace.wrote_ms + SAMPLE_MS {
        return;
    }
    trace.wrote_ms = now;
    let ms = now.saturating_sub(trace.begin_ms);
    let _ = line::write_turn(&mut trace.out, (trace.turns, ms), turn, &trace.since);
    trace.since = Since::NONE;
    trace.finish_line();
}

/// The program exits: writes the last line of a trace.
pub fn end() {
    if !is_on() {
        return;
    }
    let stats = HEAP.stats();
    // A tender may be at a line; but who exits from a signal handler may have been at one itself.
    let patiently = || {
        clock::sleep_ms(1);
        TRACE.try_lock()
    };
    let Some(mut guard) = TRACE.try_lock().or_else(|| (0..100).find_map(|_| patiently())) else {
        return;
    };
    let trace = &mut *guard;
    let ms = clock::now_ms().unwrap_or(0).saturating_sub(trace.begin_ms);
    let _ = line::write_end(&mut trace.out, (trace.turns, ms), &stats);
    trace.finish_line();
    WRITER.store(0, Ordering::Relaxed);
}
