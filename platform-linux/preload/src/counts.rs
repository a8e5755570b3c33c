//! How often each function of the C API was called, in the library that counts. Floor: adapter.
//!
//! `libace_alloc.so` is built without the feature `counted`: nothing of this page is in it. A second
//! build of the same source, `libace_alloc_counted.so` (package `ace-alloc-counted`), counts; `ace run
//! --report` loads that one. HOT itself counts in neither.
//!
//! A count is a relaxed addition to one of a few cache lines, chosen by the address of the thread's
//! front: a thread always finds the same line, usually alone, and there is no thread-local of its own.

use ace_alloc_linux::{
    LinuxThreads,
    core_heap::{
        Threads,
        geometry::{Geometry, Host},
        size_class::SizeClass,
    },
};
use core::{
    array,
    sync::atomic::{AtomicU64, Ordering},
};

/// Whether this library counts.
pub(crate) const COUNTED: bool = cfg!(feature = "counted");

/// What was called.
#[derive(Clone, Copy)]
pub(crate) enum Call {
    /// malloc, and realloc of NULL.
    Malloc,
    /// calloc.
    Calloc,
    /// realloc, where the block moved.
    ReallocMoved,
    /// Any of the functions that take an alignment.
    Aligned,
    /// free of a block, and realloc to size 0.
    Free,
}

impl Call {
    const KINDS: usize = 5;
}

/// All counts, as far as other threads' have arrived.
#[derive(Clone, Copy)]
pub(crate) struct Calls {
    pub(crate) malloc: u64,
    pub(crate) calloc: u64,
    pub(crate) realloc_moved: u64,
    pub(crate) aligned: u64,
    pub(crate) free: u64,
    /// Those that wanted a block of a size class: a magazine had it, or was refilled for it.
    pub(crate) magazine_requests: u64,
}

impl Calls {
    /// `None` in the library that counts nothing.
    pub(crate) fn so_far() -> Option<Self> {
        if !COUNTED {
            return None;
        }
        let [malloc, calloc, realloc_moved, aligned, free, magazine_requests] =
            array::from_fn(|count| {
                let of_shard = |shard: &Shard| shard.0[count].load(Ordering::Relaxed);
                SHARDS.iter().map(of_shard).sum()
            });
        Some(Self { malloc, calloc, realloc_moved, aligned, free, magazine_requests })
    }
}

/// A cache line: the kinds of [`Call`], then requests of magazines.
#[repr(align(64))]
struct Shard([AtomicU64; Call::KINDS + 1]);

/// 64 lines: chosen, one page. Threads that meet in one only wait for it now and then.
const SHARD_BITS: u32 = 6;
static SHARDS: [Shard; if COUNTED { 1 << SHARD_BITS } else { 0 }] =
    [const { Shard([const { AtomicU64::new(0) }; Call::KINDS + 1]) }; _];

/// Counts a call that wants `bytes` bytes.
#[inline(always)]
pub(crate) fn wanted(call: Call, bytes: usize) {
    if COUNTED {
        add(call, bytes <= Host::CLASS_MAX);
    }
}

/// Counts a call that wants `bytes` bytes aligned to `align`, a power of two.
#[inline(always)]
pub(crate) fn wanted_aligned(align: usize, bytes: usize) {
    if COUNTED {
        let class = SizeClass::aligned(bytes, align.max(16));
        add(Call::Aligned, class.is_some_and(|class| class.bytes() <= Host::CLASS_MAX));
    }
}

/// Counts a free of a block.
#[inline(always)]
pub(crate) fn freed() {
    if COUNTED {
        add(Call::Free, false);
    }
}

fn add(call: Call, of_magazine: bool) {
    // Fibonacci hashing: fronts of threads lie a stack's size apart, so their low bits are alike.
    let front = LinuxThreads::INIT.front().addr().get() as u64;
    let shard = front.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (u64::BITS - SHARD_BITS);
    if let Some(Shard(counts)) = SHARDS.get(shard as usize) {
        // Relaxed: the counts guard nothing, and the report is written after the program's last line.
        counts[call as usize].fetch_add(1, Ordering::Relaxed);
        if of_magazine {
            counts[Call::KINDS].fetch_add(1, Ordering::Relaxed);
        }
    }
}
