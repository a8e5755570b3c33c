//! The kernel's locks. [`InterruptLock`] keeps interrupts away while it is held, for a heap that is locked in
//! every call. [`NotedLock`] does not: it is for a heap whose interrupt handlers never wait, and only notes that it
//! is held, so that handlers can tell what they have interrupted.

use crate::{cpu, interrupts};
use ace_alloc::SpinLock;
use core::{
    hint::spin_loop,
    sync::atomic::{AtomicBool, Ordering},
};
use lock_api::{GuardNoSend, RawMutex};

/// Its holder is not interrupted.
#[derive(Debug)]
pub struct InterruptLock {
    taken: AtomicBool,
    /// Whether the holder could be interrupted before. The holder's alone.
    interruptible: AtomicBool,
}

// SAFETY: who finds `taken` unset and sets it is alone until it unsets it.
unsafe impl RawMutex for InterruptLock {
    type GuardMarker = GuardNoSend;

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

/// Its holder can be interrupted by who wants it too, and must then not wait.
#[derive(Debug)]
pub struct NotedLock(SpinLock);

// SAFETY: as the lock inside.
unsafe impl RawMutex for NotedLock {
    type GuardMarker = GuardNoSend;

    const INIT: Self = Self(SpinLock::INIT);

    fn lock(&self) {
        // By its path: the lock has methods of its own that hand out guards.
        RawMutex::lock(&self.0);
        cpu::this().took_lock();
    }

    fn try_lock(&self) -> bool {
        let taken = RawMutex::try_lock(&self.0);
        if taken {
            cpu::this().took_lock();
        }
        taken
    }

    unsafe fn unlock(&self) {
        cpu::this().left_lock();
        // SAFETY: the caller holds it.
        unsafe { RawMutex::unlock(&self.0) };
    }
}
