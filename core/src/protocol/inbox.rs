//! Chunks of freed blocks on their way home to the heap that owns them. Verbs: send, drain.
//! Floor: lift.
//!
//! One word: 0 = closed (the heap has no thread; also what fresh memory reads), 1 = open and empty,
//! otherwise the number of the newest chunk; older ones follow through [`Links`].
//!
//! | who | may |
//! |---|---|
//! | any thread | `send`: push a chunk that it alone holds, while the inbox is open |
//! | the owner | `open`, `drain` (take all), `close` (take all and refuse what comes later) |
//!
//! Invariant: a chunk that was sent is drained or returned by `close` exactly once; none is stranded,
//! because closing and taking are one step. Whoever finds the inbox closed still holds its chunk and
//! routes the blocks anew: they belong to somebody else by now.

use crate::sync::{AtomicU32, Ordering};

/// Number of a chunk. The two lowest numbers are taken by the states of the word.
pub type ChunkId = u32;

/// No chunk; the end of a list.
pub const NO_CHUNK: ChunkId = 0;
const CLOSED: u32 = 0;
const OPEN: u32 = 1;
/// The smallest number that a chunk may have.
pub const FIRST_CHUNK: ChunkId = 2;

/// Where the links of chunks are kept.
pub trait Links {
    /// Stores the chunk that follows `chunk`. Only the holder of `chunk` calls this.
    fn set_next(&self, chunk: ChunkId, next: ChunkId);
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Inbox {
    word: AtomicU32,
}

impl Inbox {
    /// A closed inbox.
    #[must_use]
    pub fn closed() -> Self {
        Self { word: AtomicU32::new(CLOSED) }
    }

    /// Lets chunks in. The caller has just become the owner.
    pub fn open(&self) {
        // Release: pairs with the Acquire of `send`; a sender that finds the inbox open also sees the
        // heap behind it set up.
        self.word.store(OPEN, Ordering::Release);
    }

    /// Hands a chunk over. `false`: the inbox is closed and the caller keeps the chunk.
    pub fn send(&self, chunk: ChunkId, links: &impl Links) -> bool {
        let mut head = self.word.load(Ordering::Acquire);
        loop {
            if head == CLOSED {
                return false;
            }
            links.set_next(chunk, if head == OPEN { NO_CHUNK } else { head });
            // Release: pairs with the Acquire of `drain` and `close`; publishes the chunk's blocks and
            // its link. Acquire on failure: the new head may say that the inbox was closed.
            match self.word.compare_exchange_weak(head, chunk, Ordering::Release, Ordering::Acquire)
            {
                Ok(_) => return true,
                Err(now) => head = now,
            }
        }
    }

    /// Whether there is something to drain; a hint.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.word.load(Ordering::Relaxed) <= OPEN
    }

    /// Takes all chunks, newest first; [`NO_CHUNK`] if there are none. Owner only.
    pub fn drain(&self) -> ChunkId {
        if self.is_empty() {
            return NO_CHUNK;
        }
        // Acquire: pairs with the Release of `send`.
        let head = self.word.swap(OPEN, Ordering::Acquire);
        if head == OPEN { NO_CHUNK } else { head }
    }

    /// Takes all chunks and lets no more in. Owner only, before it gives the heap up.
    pub fn close(&self) -> ChunkId {
        // Acquire: as in `drain`. Release: pairs with the Acquire of a `send` that finds the inbox closed
        // and routes its blocks anew; it must see who owns them now.
        let head = self.word.swap(CLOSED, Ordering::AcqRel);
        if head <= OPEN { NO_CHUNK } else { head }
    }
}
