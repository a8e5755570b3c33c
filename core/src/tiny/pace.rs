//! Pacing: what a thread does once in many slow events: tell ACE what it did, and empty caches that
//! it does not use when ACE asks for that. No clock and no turn here: the roof looks at those.
//! Floor: 2nd.

use super::{Front, Local};
use crate::{meter::ClassEvent, platform::Platform, size_class::SizeClass};

/// Slow events of a fresh thread until it first looks at the clock.
pub const FIRST: u32 = 64;

impl Front {
    /// Whether the countdown has ended. So it has, too, for a thread without a heap.
    #[inline(always)]
    pub fn is_tired(&self) -> bool {
        self.countdown.get() == 0
    }
}

impl<P: Platform> Local<'_, P> {
    /// Counts a slow event down. `true`: it was the last one before a pause.
    #[inline]
    pub fn tick(&self) -> bool {
        let left = self.front.countdown.get().saturating_sub(1);
        self.front.countdown.set(left);
        left == 0
    }

    /// The pause is over: `events` slow events until the next.
    pub fn rest(&self, events: u32) {
        self.front.countdown.set(events);
    }

    /// Notes what a class did.
    #[inline]
    pub(super) fn stir(&self, class: SizeClass, event: ClassEvent, more: u32) {
        self.heap.bins[class.index()].count(event, more);
        self.heap.stirred.set(self.heap.stirred.get() | 1 << class.index());
    }

    /// Adds to the board what it does not know yet.
    pub fn tell(&self) {
        let (heap, shared) = (self.heap, self.shared);
        let mut told = heap.told.get();
        shared.board.tell(heap.meter.counts(), &mut told);
        heap.told.set(told);
        let mut stirred = heap.stirred.replace(0);
        while stirred != 0 {
            let class = SizeClass::new(stirred.trailing_zeros() as usize);
            stirred &= stirred - 1;
            let bin = self.bin(class);
            bin.unused.set(false);
            shared.board.tell_class(class, core::array::from_fn(|event| bin.untold[event].take()));
        }
    }

    /// Heeds a request to empty unused caches, if there is a new one.
    pub fn heed(&self) {
        let trims = self.shared.seat.trims();
        if self.heap.trims.replace(trims) != trims {
            self.trim_unused();
        }
    }

    /// Empties the caches of classes that were not used since this was last done.
    fn trim_unused(&self) {
        let Some(_stay) = self.enter() else { return };
        self.send_all();
        for class in SizeClass::all() {
            if self.bin(class).unused.replace(true) {
                self.flush_class(class);
            }
        }
    }
}
