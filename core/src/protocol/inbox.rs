//! Freed blocks on their way home to the heap that owns them. Verbs: send, drain. Floor: lift.
//!
//! What is sent is an *item*: a number at or above [`FIRST_ITEM`] that names something which can
//! hold a link: a chunk of blocks, or a block that found no chunk to travel in.
//!
//! One word: 0 = closed (the heap has no thread; also what fresh memory reads), 1 = open and empty,
//! otherwise the newest item; older ones follow through [`Links`].
//!
//! | who | may |
//! |---|---|
//! | any thread | `send`: push an item that it alone holds, while the inbox is open |
//! | the owner, or a visitor in its stead | `drain` (take all) |
//! | the owner | `open`, `close` (take all and refuse what comes later) |
//!
//! Invariant: an item that was sent is drained or returned by `close` exactly once; none is
//! stranded, because closing and taking are one step. Whoever finds the inbox closed still holds
//! its item and routes the blocks anew: they belong to somebody else by now.

use crate::sync::{AtomicUsize, Ordering};

/// No item; the end of a list.
pub const NO_ITEM: usize = 0;
const CLOSED: usize = 0;
const OPEN: usize = 1;
/// The smallest number that an item may have: the two below are states of the word.
pub const FIRST_ITEM: usize = 2;

/// Where the links of items are kept.
pub trait Links {
    /// Stores the item that follows `item`. Only the holder of `item` calls this.
    fn set_next(&self, item: usize, next: usize);
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Inbox {
    word: AtomicUsize,
}

impl Inbox {
    /// A closed inbox.
    #[must_use]
    pub fn closed() -> Self {
        Self { word: AtomicUsize::new(CLOSED) }
    }

    /// Lets items in. The caller has just become the owner.
    pub fn open(&self) {
        // Release: pairs with the Acquire of `send`; a sender that finds the inbox open also sees
        // the heap behind it set up.
        self.word.store(OPEN, Ordering::Release);
    }

    /// Hands an item over. `false`: the inbox is closed and the caller keeps the item.
    pub fn send(&self, item: usize, links: &impl Links) -> bool {
        let mut head = self.word.load(Ordering::Acquire);
        loop {
            if head == CLOSED {
                return false;
            }
            links.set_next(item, if head == OPEN { NO_ITEM } else { head });
            // Release: pairs with the Acquire of `drain` and `close`; publishes the item's content
            // and its link. Acquire on failure: the new head may say that the inbox was closed.
            match self.word.compare_exchange_weak(head, item, Ordering::Release, Ordering::Acquire)
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

    /// Takes all items, newest first; [`NO_ITEM`] if there are none. Owner or visitor.
    pub fn drain(&self) -> usize {
        if self.is_empty() {
            return NO_ITEM;
        }
        // Acquire: pairs with the Release of `send`.
        let head = self.word.swap(OPEN, Ordering::Acquire);
        if head == OPEN { NO_ITEM } else { head }
    }

    /// Takes all items and lets no more in. Owner only, before it gives the heap up.
    pub fn close(&self) -> usize {
        // Acquire: as in `drain`. Release: pairs with the Acquire of a `send` that finds the inbox
        // closed and routes its blocks anew; it must see who owns them now.
        let head = self.word.swap(CLOSED, Ordering::AcqRel);
        if head <= OPEN { NO_ITEM } else { head }
    }
}
