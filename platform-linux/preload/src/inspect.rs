//! malloc_trim, mallopt, mallinfo, malloc_info, malloc_stats: all of them about our heap.
//! Floor: adapter.

use crate::c_api::set_errno;
use ace_alloc_linux::{
    FdWriter, HEAP,
    core_heap::{
        Dial,
        stats::{BlockStats, Stats},
    },
};
use core::{
    ffi::{c_int, c_void},
    fmt::{self, Write},
};

/// Sums of a snapshot.
pub(crate) struct Sums {
    /// Blocks and bytes in the program's hands.
    pub(crate) live: BlockStats,
    /// Blocks and bytes in the threads' caches.
    pub(crate) cached: BlockStats,
}

impl Sums {
    pub(crate) fn of(stats: &Stats) -> Self {
        let (mut live, mut cached) = (BlockStats::default(), BlockStats::default());
        for class in &stats.classes {
            live.blocks += class.live_blocks as usize;
            live.bytes += class.live_blocks as usize * class.block_bytes as usize;
            cached.blocks += class.cached_blocks as usize;
            cached.bytes += class.cached_blocks as usize * class.block_bytes as usize;
        }
        live.blocks += stats.large.blocks + stats.huge.blocks;
        live.bytes += stats.large.bytes + stats.huge.bytes;
        Self { live, cached }
    }
}

/// Gives free memory back to the system and keeps `keep_bytes` of it. 1 if something was given back.
#[unsafe(no_mangle)]
pub extern "C" fn malloc_trim(keep_bytes: usize) -> c_int {
    c_int::from(HEAP.trim(keep_bytes) > 0)
}

/// 1 for the parameters of glibc's manual, 0 otherwise. `M_TRIM_THRESHOLD` sets how much free memory
/// may stay resident. The others tune mechanisms that this heap does not have (arenas, the top of the
/// program break, a threshold for mmap), so there is nothing to turn. `M_PERTURB` (fill blocks) is
/// refused, because it would not happen.
#[unsafe(no_mangle)]
pub extern "C" fn mallopt(parameter: c_int, value: c_int) -> c_int {
    const M_TRIM_THRESHOLD: c_int = -1;
    const ACCEPTED: [c_int; 7] = [1, -2, -3, -4, -5, -7, -8];
    if parameter == M_TRIM_THRESHOLD {
        // Negative: "never", as with glibc, which takes it for a huge unsigned number.
        let kib = u32::try_from(value).map_or(u32::MAX, |bytes| bytes / 1024);
        HEAP.dials().set(Dial::DirtyFloorKib, kib);
        return 1;
    }
    c_int::from(ACCEPTED.contains(&parameter))
}

/// The heap in the terms of glibc's manual.
#[unsafe(no_mangle)]
pub extern "C" fn mallinfo2() -> libc::mallinfo2 {
    let stats = HEAP.stats();
    let Sums { live, cached } = Sums::of(&stats);
    libc::mallinfo2 {
        arena: stats.committed_bytes,
        ordblks: cached.blocks,
        smblks: 0,
        hblks: stats.huge.blocks,
        hblkhd: stats.huge.bytes,
        usmblks: 0,
        fsmblks: cached.bytes,
        uordblks: live.bytes - stats.huge.bytes,
        fordblks: stats.committed_bytes.saturating_sub(live.bytes - stats.huge.bytes),
        keepcost: stats.dirty_bytes,
    }
}

/// [`mallinfo2`] in 31 bits: what is larger reads as the largest number.
#[unsafe(no_mangle)]
pub extern "C" fn mallinfo() -> libc::mallinfo {
    let wide = mallinfo2();
    let narrow = |value: usize| c_int::try_from(value).unwrap_or(c_int::MAX);
    libc::mallinfo {
        arena: narrow(wide.arena),
        ordblks: narrow(wide.ordblks),
        smblks: narrow(wide.smblks),
        hblks: narrow(wide.hblks),
        hblkhd: narrow(wide.hblkhd),
        usmblks: narrow(wide.usmblks),
        fsmblks: narrow(wide.fsmblks),
        uordblks: narrow(wide.uordblks),
        fordblks: narrow(wide.fordblks),
        keepcost: narrow(wide.keepcost),
    }
}

/// A short account of the heap on standard error.
#[unsafe(no_mangle)]
pub extern "C" fn malloc_stats() {
    let stats = HEAP.stats();
    let mut out = FdWriter::<512>::new(libc::STDERR_FILENO);
    let _ = write_stats(&mut out, &stats);
}

fn write_stats(out: &mut impl Write, stats: &Stats) -> fmt::Result {
    let Sums { live, cached } = Sums::of(stats);
    writeln!(out, "ACE-Alloc:")?;
    writeln!(out, "in use        {:>14} bytes in {} blocks", live.bytes, live.blocks)?;
    writeln!(out, "cached        {:>14} bytes in {} blocks", cached.bytes, cached.blocks)?;
    writeln!(out, "of these huge {:>14} bytes in {} blocks", stats.huge.bytes, stats.huge.blocks)?;
    writeln!(out, "committed     {:>14} bytes", stats.committed_bytes)?;
    writeln!(out, "free, dirty   {:>14} bytes", stats.dirty_bytes)?;
    writeln!(out, "threads       {:>14}", stats.threads)
}

/// Writes the heap as XML, in the shape of glibc's `malloc_info`. `options` must be 0.
///
/// # Safety
/// `stream` is an open stream.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn malloc_info(options: c_int, stream: *mut libc::FILE) -> c_int {
    if options != 0 {
        set_errno(libc::EINVAL);
        return -1;
    }
    let stats = HEAP.stats();
    c_int::from(write_info(&mut Stream(stream), &stats).is_err()).wrapping_neg()
}

fn write_info(out: &mut impl Write, stats: &Stats) -> fmt::Result {
    let Sums { live, cached } = Sums::of(stats);
    writeln!(out, "<malloc version=\"1\">\n<heap nr=\"0\">\n<sizes>")?;
    for class in stats.classes.iter().filter(|class| class.slabs > 0) {
        let bytes = class.block_bytes;
        writeln!(
            out,
            "<size from=\"{bytes}\" to=\"{bytes}\" total=\"{}\" count=\"{}\"/>",
            u64::from(bytes) * class.cached_blocks,
            class.cached_blocks
        )?;
    }
    writeln!(out, "</sizes>")?;
    for (kind, BlockStats { blocks, bytes }) in
        [("fast", cached), ("rest", BlockStats { blocks: 0, bytes: stats.dirty_bytes })]
    {
        writeln!(out, "<total type=\"{kind}\" count=\"{blocks}\" size=\"{bytes}\"/>")?;
    }
    let BlockStats { blocks, bytes } = stats.huge;
    writeln!(out, "<total type=\"mmap\" count=\"{blocks}\" size=\"{bytes}\"/>")?;
    writeln!(out, "<system type=\"current\" size=\"{}\"/>", stats.committed_bytes + bytes)?;
    writeln!(out, "<aspace type=\"total\" size=\"{}\"/>", stats.reserved_bytes + bytes)?;
    writeln!(out, "<used count=\"{}\" size=\"{}\"/>\n</heap>\n</malloc>", live.blocks, live.bytes)
}

/// A stream of the C library. It may allocate its buffer: no lock of ours is held meanwhile.
struct Stream(*mut libc::FILE);

impl Write for Stream {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let bytes: *const c_void = text.as_ptr().cast();
        // SAFETY: an open stream (contract of malloc_info) and a valid slice.
        match unsafe { libc::fwrite(bytes, 1, text.len(), self.0) } {
            wrote if wrote == text.len() => Ok(()),
            _ => Err(fmt::Error),
        }
    }
}
