//! A hatch before a bounded store: things are put in and taken out by whoever finds it free, and
//! what finds it busy or the store full is dropped and counted. Verbs: offer, poll. Floor: lift.
//!
//! | who | may |
//! |---|---|
//! | any thread | `offer`, `poll`, `take_dropped` |
//!
//! Invariant: the store is touched by one at a time, who sees all that was done to it before. Of
//! what is offered, each thing is put in once or counted as dropped once. Nobody waits.

use crate::{
    protocol::turnstile::Turnstile,
    sync::{AtomicU32, Ordering},
};

/// See the module's documentation.
#[derive(Debug)]
pub struct Hatch {
    door: Turnstile,
    dropped: AtomicU32,
}

impl Hatch {
    /// A hatch that nobody is at, and a count of zero.
    #[must_use]
    pub const fn of(door: Turnstile, dropped: AtomicU32) -> Self {
        Self { door, dropped }
    }

    /// Lets `put` put something into the store; `put` says whether there was room.
    pub fn offer(&self, put: impl FnOnce() -> bool) {
        if self.door.try_enter() {
            let done = put();
            self.door.leave();
            if done {
                return;
            }
        }
        // Relaxed: a count.
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// Lets `take` take something out of the store; nothing while somebody else is at it.
    pub fn poll<T>(&self, take: impl FnOnce() -> Option<T>) -> Option<T> {
        if !self.door.try_enter() {
            return None;
        }
        let taken = take();
        self.door.leave();
        taken
    }

    /// How many things were dropped since this was last asked.
    pub fn take_dropped(&self) -> u32 {
        // Relaxed: a count; the swap loses none.
        self.dropped.swap(0, Ordering::Relaxed)
    }

    /// In the child of a fork: whoever was at the hatch is gone.
    pub fn reopen(&self) {
        self.door.leave();
    }
}
