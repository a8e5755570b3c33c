//! The event ring: what threads tell ACE besides counts. Floor: window.
//!
//! Bounded, and nobody waits: an event that finds the ring full, or somebody at it, is dropped and
//! counted. Counts travel by the [`crate::meter::Board`], so a dropped event loses no number.

use crate::{
    protocol::{hatch::Hatch, turnstile::Turnstile},
    sync::AtomicU32,
};
use core::cell::UnsafeCell;
use heapless::Deque;

/// Events that the ring holds.
pub const RING: usize = 64;

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A thread got a heap.
    Began,
    /// A thread gave its heap up.
    Ended,
    /// The heap grew by this many units.
    Grew(u32),
    /// A request found no memory.
    Denied,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Ring {
    hatch: Hatch,
    events: UnsafeCell<Deque<Event, RING>>,
}

// SAFETY: the events are touched only through the hatch, by one at a time.
unsafe impl Sync for Ring {}

impl Ring {
    /// Empty.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            hatch: Hatch::of(Turnstile::of(AtomicU32::new(0)), AtomicU32::new(0)),
            events: UnsafeCell::new(Deque::new()),
        }
    }

    /// Tells ACE.
    pub fn push(&self, event: Event) {
        // SAFETY: at the hatch, where one is at a time.
        self.hatch.offer(|| unsafe { &mut *self.events.get() }.push_back(event).is_ok());
    }

    /// The oldest event; also `None` while somebody else is at the ring.
    pub fn pop(&self) -> Option<Event> {
        // SAFETY: as above.
        self.hatch.poll(|| unsafe { &mut *self.events.get() }.pop_front())
    }

    /// Events that were dropped since this was last asked.
    pub fn take_dropped(&self) -> u32 {
        self.hatch.take_dropped()
    }

    /// In the child of a fork: the events are dropped, for another thread may have been at them.
    ///
    /// # Safety
    /// There is one thread.
    pub unsafe fn restart(&self) {
        // SAFETY: nobody else is there, at the hatch or before it.
        unsafe { *self.events.get() = Deque::new() };
        self.hatch.reopen();
    }
}

impl Default for Ring {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_the_ring_full_is_dropped_and_counted() {
        let ring = Ring::new();
        for units in 0..RING as u32 + 3 {
            ring.push(Event::Grew(units));
        }
        assert_eq!(ring.take_dropped(), 3);
        assert_eq!(ring.take_dropped(), 0);
        for units in 0..RING as u32 {
            assert_eq!(ring.pop(), Some(Event::Grew(units)));
        }
        assert_eq!(ring.pop(), None);
        ring.push(Event::Began);
        assert_eq!(ring.pop(), Some(Event::Began), "it goes on after having been full");
    }
}
