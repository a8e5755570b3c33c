//! The event ring: what threads tell ACE besides counts. Floor: window.
//!
//! Bounded, and nobody waits: an event that finds the ring full, or somebody at it, is dropped and counted.
//! Counts travel by the [`crate::meter::Board`], so a dropped event loses no number.

use crate::{
    protocol::turnstile::Turnstile,
    sync::{AtomicU32, Ordering},
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
    door: Turnstile,
    dropped: AtomicU32,
    events: UnsafeCell<Deque<Event, RING>>,
}

// SAFETY: the events are touched only by who is inside the turnstile.
unsafe impl Sync for Ring {}

impl Ring {
    /// Empty.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            door: Turnstile::of(AtomicU32::new(0)),
            dropped: AtomicU32::new(0),
            events: UnsafeCell::new(Deque::new()),
        }
    }

    fn inside<T>(&self, work: impl FnOnce(&mut Deque<Event, RING>) -> T) -> Option<T> {
        self.door.try_enter().then(|| {
            // SAFETY: the turnstile lets one in at a time, and `work` can't reach the ring again.
            let done = work(unsafe { &mut *self.events.get() });
            self.door.leave();
            done
        })
    }

    /// Tells ACE.
    pub fn push(&self, event: Event) {
        if self.inside(|events| events.push_back(event).is_ok()) != Some(true) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The oldest event; also `None` while somebody else is at the ring.
    pub fn pop(&self) -> Option<Event> {
        self.inside(Deque::pop_front).flatten()
    }

    /// In the child of a fork: events that another thread was at are dropped.
    ///
    /// # Safety
    /// There is one thread.
    pub unsafe fn restart(&self) {
        // SAFETY: nobody else is there, inside or outside.
        unsafe { *self.events.get() = Deque::new() };
        self.door.leave();
    }

    /// Events that were dropped since this was last asked.
    pub fn take_dropped(&self) -> u32 {
        self.dropped.swap(0, Ordering::Relaxed)
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

    #[test]
    fn who_finds_somebody_inside_drops_its_event() {
        let ring = Ring::new();
        ring.inside(|_| {
            ring.push(Event::Began);
            assert_eq!(ring.pop(), None);
        });
        assert_eq!(ring.take_dropped(), 1);
        assert_eq!(ring.pop(), None);
    }
}
