//! What one turn sees: levels of the moment, and what happened since the last turn. Floor: garden.

use crate::{size_class::SizeClass, stats::Events};

/// See the module's documentation.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Milliseconds since some fixed moment.
    pub now_ms: u64,
    /// Milliseconds since the last turn; 0 at the first.
    pub span_ms: u64,
    /// What WARM and COLD did since the last turn, of all threads that told.
    pub events: Events,
    /// The same for each class; indexed by class number.
    pub classes: [ClassSeen; SizeClass::COUNT],
    /// Blocks that the geometry gives a magazine of each class; 0: the class is not served.
    pub rooms: [u8; SizeClass::COUNT],
    /// Blocks that a magazine of any class may hold.
    pub slots: u8,
    /// Bytes of a superslab.
    pub superslab_bytes: usize,
    /// How things stand.
    pub levels: Levels,
    /// Threads that got a heap since the last turn.
    pub began: u32,
    /// Threads that gave one up.
    pub ended: u32,
    /// Threads that look asleep and hold something that could be taken from them.
    pub asleep: u32,
    /// Requests that found no memory.
    pub denied: u32,
    /// Units by which the heap grew.
    pub grown_units: u32,
    /// Events that found the ring full or busy. Counts are not lost with them.
    pub dropped: u32,
}

impl Seen {
    /// Less than this is too short for rates, in milliseconds: a coarse clock moves by 4.
    const SHORT_MS: u64 = 5;

    /// Whether so little time has passed that rates mean nothing.
    #[must_use]
    pub const fn is_short(&self) -> bool {
        self.span_ms < Self::SHORT_MS
    }

    /// Nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            now_ms: 0,
            span_ms: 0,
            events: Events::NONE,
            classes: [ClassSeen { refills: 0, overflows: 0, parcels: 0, sent: 0 };
                SizeClass::COUNT],
            rooms: [0; SizeClass::COUNT],
            slots: 0,
            superslab_bytes: 0,
            levels: Levels::NONE,
            began: 0,
            ended: 0,
            asleep: 0,
            denied: 0,
            grown_units: 0,
            dropped: 0,
        }
    }

    /// Blocks that a parcel may carry: a chunk's worth, at least one.
    #[must_use]
    pub fn chunk_blocks(&self) -> usize {
        usize::from(self.slots / 2).max(1)
    }
}

impl Default for Seen {
    fn default() -> Self {
        Self::new()
    }
}

/// What one class did since the last turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClassSeen {
    /// Magazines that were found empty.
    pub refills: u32,
    /// Magazines that were found full.
    pub overflows: u32,
    /// Parcels that were sent to other threads.
    pub parcels: u32,
    /// Blocks in them.
    pub sent: u32,
}

/// How things stand, as the pool knows it without counting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Levels {
    /// Bytes of the range that are committed for blocks.
    pub committed_bytes: u64,
    /// Bytes in use by slabs (whole slabs, however full) and large blocks.
    pub used_bytes: u64,
    /// Free bytes that may still hold memory of the system.
    pub dirty_bytes: u64,
    /// The least that `dirty_bytes` was since the last turn: what nobody needed meanwhile.
    pub dirty_low_bytes: u64,
    /// Bytes of huge blocks, which have mappings of their own.
    pub huge_bytes: u64,
    /// Resident bytes of the process, where the host can tell.
    pub rss_bytes: Option<u64>,
    /// Superslabs that serve.
    pub live: u32,
    /// Superslabs that are emptying themselves.
    pub draining: u32,
    /// Times that one began to empty itself, and that one had to serve again before it was empty,
    /// since the heap began.
    pub drained: u32,
    /// See `drained`.
    pub revived: u32,
    /// Superslabs that the system was asked to back with huge pages.
    pub promoted: u32,
    /// Free units of those that serve, in thousandths of their units.
    pub room_permille: u32,
    /// Threads that hold a heap.
    pub threads: u32,
}

impl Levels {
    /// An empty heap.
    pub const NONE: Self = Self {
        committed_bytes: 0,
        used_bytes: 0,
        dirty_bytes: 0,
        dirty_low_bytes: 0,
        huge_bytes: 0,
        rss_bytes: None,
        live: 0,
        draining: 0,
        drained: 0,
        revived: 0,
        promoted: 0,
        room_permille: 0,
        threads: 0,
    };
}
