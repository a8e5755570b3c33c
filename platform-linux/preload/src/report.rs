//! The JSON report at the program's end (`ACE_REPORT`). Floor: adapter.
//!
//! Written by the process that loaded the library, when it calls `exit` or returns from `main`; a
//! forked child that exits writes nothing (its pid is another one), so it can't overwrite its parent's.
//! Raw numbers only: shares are for who reads them, because floating-point text costs 16 KiB of code.
//! From the stack, straight to the descriptor: the heap is only read.

use crate::{counts::Calls, inspect::Sums};
use ace_alloc_linux::{
    FdWriter, File, HEAP, KeepErrno,
    core_heap::{
        ledger::Ledger,
        stats::{BlockStats, Stats},
    },
    json::{self, write_numbers, write_object},
    options,
};
use core::{
    fmt::{self, Write},
    sync::atomic::{AtomicI32, Ordering},
};

/// The process that loaded the library, if it is to write a report.
static WRITER: AtomicI32 = AtomicI32::new(0);

pub(crate) fn at_load() {
    if options::report_path().is_some() {
        // SAFETY: getpid has no preconditions.
        WRITER.store(unsafe { libc::getpid() }, Ordering::Relaxed);
    }
}

pub(crate) fn at_exit() {
    let writer = WRITER.load(Ordering::Relaxed);
    // SAFETY: getpid has no preconditions.
    if writer == 0 || writer != unsafe { libc::getpid() } {
        return;
    }
    let _errno = KeepErrno::new();
    let stats = HEAP.stats();
    let Some(file) = options::report_path().and_then(|path| File::create(path, libc::O_TRUNC))
    else {
        let mut line = FdWriter::<512>::new(libc::STDERR_FILENO);
        let _ = writeln!(line, "ace-alloc: the file of ACE_REPORT can't be written");
        return;
    };
    let mut out = FdWriter::<512>::new(file.fd());
    let _ = write_report(&mut out, &stats, writer);
}

fn write_report(out: &mut impl Write, stats: &Stats, pid: i32) -> fmt::Result {
    let Sums { live, cached } = Sums::of(stats);
    write!(out, "{{\"report\":1,\"pid\":{pid},\"program\":")?;
    json::write_program(out)?;
    let superslabs = stats.superslabs;
    for (name, number) in [
        ("peak_rss_kib", peak_rss_kib()),
        ("threads", stats.threads.into()),
        ("reserved_bytes", stats.reserved_bytes as u64),
        ("committed_bytes", stats.committed_bytes as u64),
        ("dirty_bytes", stats.dirty_bytes as u64),
    ] {
        write!(out, ",\"{name}\":{number}")?;
    }
    for (name, BlockStats { blocks, bytes }) in
        [("live", live), ("cached", cached), ("large", stats.large), ("huge", stats.huge)]
    {
        write_numbers(out, name, &[("blocks", blocks as u64), ("bytes", bytes as u64)])?;
    }
    let superslabs = [
        ("live", superslabs.live.into()),
        ("draining", superslabs.draining.into()),
        ("promoted", superslabs.promoted.into()),
        ("released", superslabs.released.into()),
        ("drained", superslabs.drained.into()),
        ("revived", superslabs.revived.into()),
    ];
    write_numbers(out, "superslabs", &superslabs)?;
    write_ledger(out, &HEAP.ledger())?;
    write_calls(out)?;
    write_events(out, stats)?;
    write_classes(out, stats)?;
    writeln!(out, "}}")
}

/// Where every byte is. Other threads may still run, so what is audited is what holds at any time.
#[inline(never)]
fn write_ledger(out: &mut impl Write, ledger: &Ledger) -> fmt::Result {
    let uses = ledger.uses;
    let bytes = [
        ("mapped_bytes", ledger.mapped_bytes()),
        ("slab_bytes", uses.slabs),
        ("warm_bytes", uses.warm),
        ("chunk_bytes", uses.chunks),
        ("unused_bytes", uses.reserved + uses.unused + uses.draining),
        ("large_bytes", uses.large),
        ("free_bytes", uses.free + uses.huge_table),
        ("huge_bytes", ledger.huge.bytes),
        ("metadata_bytes", ledger.metadata_bytes),
        ("balanced", usize::from(ledger.audit_units().is_ok())),
    ];
    write_numbers(out, "ledger", &bytes.map(|(name, bytes)| (name, bytes as u64)))
}

fn write_calls(out: &mut impl Write) -> fmt::Result {
    let Some(calls) = Calls::so_far() else { return out.write_str(",\"calls\":null") };
    let named = [
        ("malloc", calls.malloc),
        ("calloc", calls.calloc),
        ("realloc_moved", calls.realloc_moved),
        ("aligned", calls.aligned),
        ("free", calls.free),
        ("magazine_requests", calls.magazine_requests),
    ];
    write_numbers(out, "calls", &named)
}

fn write_events(out: &mut impl Write, stats: &Stats) -> fmt::Result {
    let events = stats.events;
    let named = [
        ("refills", events.refills),
        ("refilled_blocks", events.refilled_blocks),
        ("depot_hits", events.depot_hits),
        ("overflows", events.overflows),
        ("flushed_blocks", events.flushed_blocks),
        ("warm_hits", events.warm_hits),
        ("warm_misses", events.warm_misses),
        ("remote_sent", events.remote_sent),
        ("remote_drained", events.remote_drained),
        ("pool_frees", events.pool_frees),
        ("adopted_slabs", events.adopted_slabs),
        ("purges", events.purges),
        ("purged_bytes", events.purged_bytes),
        ("refaulted_bytes", events.refaulted_bytes),
        ("strays", events.strays),
    ];
    write_numbers(out, "events", &named)
}

fn write_classes(out: &mut impl Write, stats: &Stats) -> fmt::Result {
    out.write_str(",\"classes\":")?;
    let mut before = '[';
    for class in stats.classes.iter().filter(|class| class.slabs > 0 || class.live_blocks > 0) {
        out.write_char(before)?;
        before = ',';
        let numbers = [
            ("block_bytes", class.block_bytes.into()),
            ("slabs", class.slabs.into()),
            ("live_blocks", class.live_blocks),
            ("cached_blocks", class.cached_blocks),
        ];
        write_object(out, &numbers)?;
    }
    out.write_str(if before == '[' { "[]" } else { "]" })
}

/// The largest resident set of this program. From `VmHWM`, which begins anew at exec, where `getrusage`
/// goes on with the parent's.
fn peak_rss_kib() -> u64 {
    let mut text = [0; 4096];
    File::read(c"/proc/self/status", &mut text)
        .split(|&byte| byte == b'\n')
        .filter_map(|line| line.strip_prefix(b"VmHWM:"))
        .filter_map(|rest| rest.trim_ascii().strip_suffix(b" kB"))
        .find_map(|kib| core::str::from_utf8(kib).ok()?.parse().ok())
        .unwrap_or_else(rusage_peak_kib)
}

fn rusage_peak_kib() -> u64 {
    // SAFETY: rusage is plain numbers; all zeros is one of its values.
    let mut usage: libc::rusage = unsafe { core::mem::zeroed() };
    // SAFETY: a valid place.
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) };
    u64::try_from(usage.ru_maxrss).unwrap_or(0)
}
