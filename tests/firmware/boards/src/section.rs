//! The critical section of a board with one core, which counts the interrupts that it keeps waiting.
//! Floor: the part for the processor.

use crate::processor;
use core::sync::atomic::{AtomicU32, Ordering};
use critical_section::RawRestoreState;

static CAUGHT: AtomicU32 = AtomicU32::new(0);

struct Section;
critical_section::set_impl!(Section);

// SAFETY: with interrupts masked nobody else runs on the only core.
unsafe impl critical_section::Impl for Section {
    unsafe fn acquire() -> RawRestoreState {
        processor::mask()
    }

    unsafe fn release(unmask: RawRestoreState) {
        if unmask {
            if processor::timer_waits() {
                // A load and a store, because not all processors have more; nobody comes between them.
                CAUGHT.store(CAUGHT.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
            }
            // SAFETY: interrupts were not masked before the outermost section.
            unsafe { processor::unmask() };
        }
    }
}

/// How often the timer's interrupt had to wait for the end of a critical section.
pub fn caught() -> u32 {
    CAUGHT.load(Ordering::Relaxed)
}
