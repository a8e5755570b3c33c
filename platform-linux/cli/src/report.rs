//! What the library reported at the program's end, as a table and as JSON. Floor: tool.

use crate::child::Ended;
use serde::{Deserialize, Serialize};
use std::{fmt::Write, fs, io, os::unix::process::ExitStatusExt, path::Path, process::ExitStatus};

/// The document of `preload/src/report.rs`.
#[derive(Debug, Deserialize, Serialize)]
pub struct Library {
    report: u32,
    pid: u32,
    program: String,
    peak_rss_kib: u64,
    threads: u32,
    live: Blocks,
    cached: Blocks,
    large: Blocks,
    huge: Blocks,
    reserved_bytes: u64,
    committed_bytes: u64,
    dirty_bytes: u64,
    superslabs: Superslabs,
    ledger: Ledger,
    /// `None`: this library does not count calls.
    calls: Option<Calls>,
    events: Events,
    classes: Vec<Class>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
struct Blocks {
    blocks: u64,
    bytes: u64,
}

#[derive(Debug, Default, Deserialize, Serialize)]
struct Superslabs {
    live: u32,
    draining: u32,
    promoted: u32,
    released: u32,
    drained: u32,
    revived: u32,
}

/// Bytes by use; their sum is what is mapped.
#[derive(Debug, Default, Deserialize, Serialize)]
struct Ledger {
    mapped_bytes: u64,
    slab_bytes: u64,
    warm_bytes: u64,
    chunk_bytes: u64,
    unused_bytes: u64,
    large_bytes: u64,
    free_bytes: u64,
    huge_bytes: u64,
    metadata_bytes: u64,
    /// 1: the library's own counters agree with its walk over the heap.
    balanced: u8,
}

impl Ledger {
    fn in_words(&self) -> String {
        let free = self.free_bytes + self.unused_bytes;
        let parts = [
            ("slabs", self.slab_bytes),
            ("warm", self.warm_bytes),
            ("chunks", self.chunk_bytes),
            ("large", self.large_bytes),
            ("huge", self.huge_bytes),
            ("free", free),
            ("tables", self.metadata_bytes),
        ];
        let sum: u64 = parts.iter().map(|&(_, part)| part).sum();
        let balanced = self.balanced == 1 && sum == self.mapped_bytes;
        let verdict = if balanced { "balanced" } else { "DOES NOT BALANCE" };
        let parts = parts.map(|(name, part)| format!("{} {name}", bytes(part)));
        format!("{verdict}: {} mapped = {}", bytes(self.mapped_bytes), parts.join(" + "))
    }
}

#[derive(Debug, Default, Deserialize, Serialize)]
struct Calls {
    malloc: u64,
    calloc: u64,
    realloc_moved: u64,
    aligned: u64,
    free: u64,
    magazine_requests: u64,
}

#[derive(Debug, Default, Deserialize, Serialize)]
struct Events {
    refills: u64,
    refilled_blocks: u64,
    depot_hits: u64,
    overflows: u64,
    flushed_blocks: u64,
    warm_hits: u64,
    warm_misses: u64,
    remote_sent: u64,
    remote_drained: u64,
    pool_frees: u64,
    adopted_slabs: u64,
    purges: u64,
    purged_bytes: u64,
    refaulted_bytes: u64,
    strays: u64,
}

impl Library {
    /// Share of the requests for a magazine's block that did not have to wait for a refill.
    fn magazine_hit_rate(&self) -> Option<f64> {
        let requests = self.calls.as_ref()?.magazine_requests;
        share(requests.saturating_sub(self.events.refills), requests)
    }

    /// Share of wanted slabs that the warm pool had.
    fn warm_hit_rate(&self) -> Option<f64> {
        share(self.events.warm_hits, self.events.warm_hits + self.events.warm_misses)
    }
}

/// `None` of nothing.
#[expect(clippy::cast_precision_loss, reason = "shown with four digits")]
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[derive(Debug, Deserialize, Serialize)]
struct Class {
    block_bytes: u64,
    slabs: u64,
    live_blocks: u64,
    cached_blocks: u64,
}

/// The whole report.
#[derive(Debug, Serialize)]
pub struct Document {
    #[serde(flatten)]
    library: Option<Library>,
    /// The file name of the library.
    library_file: String,
    /// `None` where calls were not counted, or there was none.
    magazine_hit_rate: Option<f64>,
    /// `None` where no slab was wanted.
    warm_hit_rate: Option<f64>,
    /// Why the library wrote nothing.
    missing: Option<String>,
    seconds: f64,
    exit_code: Option<i32>,
    signal: Option<i32>,
    /// As the kernel counted it: at least what `ace` itself had before it became the program.
    kernel_peak_rss_kib: u64,
    /// Programs that the program started, and that ran on the library as well.
    others: Vec<Other>,
}

#[derive(Debug, Serialize)]
struct Other {
    pid: u32,
    program: String,
    peak_rss_kib: u64,
}

/// Reads what the library wrote into `folder` when the program and those it started ended.
pub fn collect(folder: &Path, library_path: &Path, ended: &Ended, seconds: f64) -> Document {
    let (library, missing) = match read(&folder.join(ended.pid.to_string()), ended.status) {
        Ok(library) => (Some(library), None),
        Err(why) => (None, Some(why)),
    };
    let mut others: Vec<Other> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| serde_json::from_slice::<Library>(&fs::read(entry.path()).ok()?).ok())
        .filter(|other| other.pid != ended.pid)
        .map(|Library { pid, program, peak_rss_kib, .. }| Other { pid, program, peak_rss_kib })
        .collect();
    others.sort_by_key(|other| other.pid);
    let library_file = library_path.file_name().unwrap_or_default().display().to_string();
    Document {
        library_file,
        magazine_hit_rate: library.as_ref().and_then(Library::magazine_hit_rate),
        warm_hit_rate: library.as_ref().and_then(Library::warm_hit_rate),
        library,
        missing,
        seconds,
        exit_code: ended.status.code(),
        signal: ended.status.signal(),
        kernel_peak_rss_kib: ended.peak_rss_kib,
        others,
    }
}

fn read(file: &Path, status: ExitStatus) -> Result<Library, String> {
    let text = fs::read(file).map_err(|error| match (error.kind(), status.signal()) {
        (io::ErrorKind::NotFound, Some(signal)) => {
            format!("the program was ended by signal {signal}")
        }
        (io::ErrorKind::NotFound, None) => {
            // Some shells end so; the C library then runs no exit handlers.
            "the program ended by _exit, or the loader could not load the library".to_owned()
        }
        _ => format!("what the library wrote can't be read: {error}"),
    })?;
    serde_json::from_slice(&text).map_err(|error| format!("what the library wrote: {error}"))
}

/// The report as JSON, one line a member.
pub fn json(document: &Document) -> String {
    let mut text = serde_json::to_string_pretty(document).unwrap_or_default();
    text.push('\n');
    text
}

/// The report for people.
pub fn table(document: &Document) -> String {
    let mut out = String::new();
    // Writing to a String can't fail.
    let _ = match &document.library {
        Some(library) => write_summary(&mut out, document, library)
            .and_then(|()| write_others(&mut out, &document.others))
            .and_then(|()| write_classes(&mut out, library)),
        None => write_missing(&mut out, document)
            .and_then(|()| write_others(&mut out, &document.others)),
    };
    out
}

fn write_missing(out: &mut String, document: &Document) -> std::fmt::Result {
    let why = document.missing.as_deref().unwrap_or_default();
    writeln!(out, "\nACE-Alloc: no report of its heap: {why}; {:.2} s", document.seconds)?;
    writeln!(out, "  {:<18} {}", "peak RSS", bytes(document.kernel_peak_rss_kib * 1024))
}

fn write_others(out: &mut String, others: &[Other]) -> std::fmt::Result {
    let Some(most) = others.iter().map(|other| other.peak_rss_kib).max() else { return Ok(()) };
    let (name, count) = ("other processes", others.len());
    writeln!(out, "  {name:<18} {count}, peak RSS up to {}", bytes(most * 1024))
}

fn write_summary(out: &mut String, document: &Document, library: &Library) -> std::fmt::Result {
    let seconds = document.seconds;
    let Library { events, superslabs, .. } = library;
    writeln!(out, "\nACE-Alloc: {} (process {}), {seconds:.2} s", library.program, library.pid)?;
    let mut row = |name: &str, value: String| writeln!(out, "  {name:<18} {value}");
    row("peak RSS", bytes(library.peak_rss_kib * 1024))?;
    row(
        "in use at exit",
        format!(
            "{} in {} blocks ({} large, {} huge)",
            bytes(library.live.bytes),
            library.live.blocks,
            library.large.blocks,
            library.huge.blocks
        ),
    )?;
    row(
        "free at exit",
        format!(
            "{} in threads' caches, {} not yet given back, {} committed in all",
            bytes(library.cached.bytes),
            bytes(library.dirty_bytes),
            bytes(library.committed_bytes)
        ),
    )?;
    row("ledger", library.ledger.in_words())?;
    row("calls", calls(document, library))?;
    row("magazine hits", magazine_hits(document, library))?;
    let wanted = events.warm_hits + events.warm_misses;
    row("warm-pool hits", format!("{} of {wanted} slabs", rate(document.warm_hit_rate)))?;
    row(
        "remote frees",
        format!(
            "{} sent home, {} arrived, {} into the shared pool",
            events.remote_sent, events.remote_drained, events.pool_frees
        ),
    )?;
    row(
        "superslabs",
        format!(
            "{} live, {} draining, {} on huge pages; {} began to drain, {} served again, {} released",
            superslabs.live,
            superslabs.draining,
            superslabs.promoted,
            superslabs.drained,
            superslabs.revived,
            superslabs.released
        ),
    )?;
    row(
        "given back",
        format!(
            "{} in {} purges, of which {} came back",
            bytes(events.purged_bytes),
            events.purges,
            bytes(events.refaulted_bytes)
        ),
    )
}

fn calls(document: &Document, library: &Library) -> String {
    let Some(calls) = &library.calls else {
        return format!("not counted by {}", document.library_file);
    };
    let Calls { malloc, calloc, realloc_moved, aligned, free, .. } = calls;
    format!(
        "{malloc} malloc, {calloc} calloc, {realloc_moved} realloc that moved, {aligned} aligned, \
         {free} free (counted by {}, which is a little slower)",
        document.library_file
    )
}

fn magazine_hits(document: &Document, library: &Library) -> String {
    let Events { refills, depot_hits, overflows, .. } = library.events;
    let hits = match &library.calls {
        Some(calls) => {
            format!("{} of {} requests", rate(document.magazine_hit_rate), calls.magazine_requests)
        }
        None => format!("not counted by {}", document.library_file),
    };
    format!(
        "{hits} ({refills} refills, {depot_hits} of them from the depot, {overflows} overflows)"
    )
}

fn write_classes(out: &mut String, library: &Library) -> std::fmt::Result {
    let mut classes: Vec<&Class> = library.classes.iter().collect();
    classes.sort_by_key(|class| class.block_bytes);
    if classes.is_empty() {
        return Ok(());
    }
    let headings = ["block", "slabs", "live", "live bytes", "cached"];
    let [block, slabs, live, live_bytes, cached] = headings;
    writeln!(out, "  {block:>9} {slabs:>7} {live:>10} {live_bytes:>11} {cached:>10}")?;
    for class in classes {
        writeln!(
            out,
            "  {:>9} {:>7} {:>10} {:>11} {:>10}",
            class.block_bytes,
            class.slabs,
            class.live_blocks,
            bytes(class.live_blocks * class.block_bytes),
            class.cached_blocks
        )?;
    }
    Ok(())
}

fn rate(rate: Option<f64>) -> String {
    rate.map_or_else(|| "none wanted,".to_owned(), |rate| format!("{:.2} %", rate * 100.0))
}

/// A number of bytes for people.
#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
pub fn bytes(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..0x10_0000 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        0x10_0000..0x4000_0000 => format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)),
        _ => format!("{:.2} GiB", bytes as f64 / f64::from(1 << 30)),
    }
}
