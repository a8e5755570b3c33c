//! A snapshot of what a heap holds and did, for reports and tests. Floor: window.
//!
//! Counts of other threads are read while they run: each number is true of some recent moment, the
//! sum of them need not be.

use crate::size_class::SizeClass;

/// Snapshot of a heap; see [`crate::Heap::stats`].
#[derive(Clone, Copy, Debug)]
pub struct Stats {
    /// Per size class, indexed by class number.
    pub classes: [ClassStats; SizeClass::COUNT],
    /// Blocks above the largest class, inside the reserved range.
    pub large: BlockStats,
    /// Blocks mapped one by one from the provider.
    pub huge: BlockStats,
    /// Slow-path events of all threads, living and dead.
    pub events: Events,
    /// Superslabs by tier.
    pub superslabs: Superslabs,
    /// Address space reserved, in bytes (metadata included).
    pub reserved_bytes: usize,
    /// Bytes of the reserved range that are committed for blocks.
    pub committed_bytes: usize,
    /// Free bytes that may still hold memory of the system (not yet purged).
    pub dirty_bytes: usize,
    /// Threads that hold a heap now.
    pub threads: u32,
}

/// Count and size of blocks in use.
#[derive(Clone, Copy, Debug, Default)]
pub struct BlockStats {
    /// Blocks in use.
    pub blocks: usize,
    /// Bytes in use (usable size).
    pub bytes: usize,
}

/// One size class in a snapshot.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClassStats {
    /// Size of a block in bytes.
    pub block_bytes: u32,
    /// Slabs of this class.
    pub slabs: u32,
    /// Blocks in the program's hands.
    pub live_blocks: u64,
    /// Blocks in magazines, depots and chunks: free, but not back in their slab.
    pub cached_blocks: u64,
}

/// Slow-path events since the heap began. HOT counts nothing, so what it served is not here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Events {
    /// An empty magazine was refilled (each one is a malloc that missed).
    pub refills: u64,
    /// Blocks that refills brought into magazines.
    pub refilled_blocks: u64,
    /// Refills that a chunk of the thread's own depot served.
    pub depot_hits: u64,
    /// A full magazine spilled its older half (each one is a free that missed).
    pub overflows: u64,
    /// Blocks that went from magazines and chunks back into slabs.
    pub flushed_blocks: u64,
    /// A slab was wanted and the warm pool had one, or a run of units for one.
    pub warm_hits: u64,
    /// A slab was wanted and a superslab had to be searched for.
    pub warm_misses: u64,
    /// Blocks sent home to another thread's heap.
    pub remote_sent: u64,
    /// Blocks that came home from other threads.
    pub remote_drained: u64,
    /// Blocks freed into slabs of the shared pool (their thread is gone, or had no heap).
    pub pool_frees: u64,
    /// Slabs taken over from threads that are gone.
    pub adopted_slabs: u64,
    /// Calls that gave pages back to the system.
    pub purges: u64,
    /// Bytes given back by them.
    pub purged_bytes: u64,
    /// Bytes that were given back and then taken into use again: their pages come back one fault at
    /// a time. Memory that was never in use is not counted.
    pub refaulted_bytes: u64,
    /// Blocks freed for another thread while not even a page for a parcel was to be had: they went
    /// home one by one.
    pub strays: u64,
}

/// Superslabs by tier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Superslabs {
    /// Serve new slabs.
    pub live: u32,
    /// Nearly empty: serve none, so that they can be released.
    pub draining: u32,
    /// Of both, those that the system was asked to back with huge pages.
    pub promoted: u32,
    /// Handed back to the span allocator since the heap began.
    pub released: u32,
    /// Times that one began to drain since the heap began.
    pub drained: u32,
    /// Times that a draining one had to serve again because nobody else had room.
    pub revived: u32,
}
