//! The lock of a kernel whose interrupt handlers allocate: while it is held, its CPU is not interrupted.

use crate::interrupts;
use core::{
    hint::spin_loop,
    sync::atomic::{AtomicBool, Ordering},
};
use lock_api::{GuardNoSend, RawMutex};

/// See the module's documentation.
#[derive(Debug)]
pub struct InterruptLock {
    taken: AtomicBool,
    /// Whether the holder could be interrupted before. The holder's alone.
    interruptible: AtomicBool,
}

// SAFETY: who finds `taken` unset and sets it is alone until it unsets it.
unsafe impl RawMutex for InterruptLock {
    type GuardMarker = GuardNoSend;

    #[expect(
        clippy::declare_interior_mutable_const,
        reason = "an initial value, copied into each lock"
    )]
    const INIT: Self =
        Self { taken: AtomicBool::new(false), interruptible: AtomicBool::new(false) };

    fn lock(&self) {
        // Who waits can be interrupted.
        while !self.try_lock() {
            spin_loop();
        }
    }

    fn try_lock(&self) -> bool {
        let interruptible = interrupts::disable();
        let free = !self.taken.swap(true, Ordering::Acquire);
        if free {
            self.interruptible.store(interruptible, Ordering::Relaxed);
        } else if interruptible {
            interrupts::enable();
        }
        free
    }

    unsafe fn unlock(&self) {
        let interruptible = self.interruptible.load(Ordering::Relaxed);
        self.taken.store(false, Ordering::Release);
        if interruptible {
            interrupts::enable();
        }
    }
}
