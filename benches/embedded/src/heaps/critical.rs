//! Owns embedded-alloc's two heaps, and the critical section that they ask for.

use super::heap;
use std::sync::atomic::{AtomicBool, Ordering};

static LLFF: embedded_alloc::LlffHeap = embedded_alloc::LlffHeap::empty();
static TLSF: embedded_alloc::TlsfHeap = embedded_alloc::TlsfHeap::empty();

heap! {
    /// Linked list, first fit.
    Llff, shared: true, &mut &LLFF, |arena| {
        // SAFETY: the arena is ours alone, and this is the first call.
        unsafe { LLFF.init(arena.start.expose_provenance(), arena.bytes) };
        Ok(())
    }
}
heap! {
    /// Two-level segregated fit.
    Tlsf, shared: true, &mut &TLSF, |arena| {
        // SAFETY: the arena is ours alone, and this is the first call.
        unsafe { TLSF.init(arena.start.expose_provenance(), arena.bytes) };
        Ok(())
    }
}

/// The cheapest critical section that a machine with several cores can have: a spin lock. These heaps
/// never nest it. (On one core it would be two instructions that mask interrupts.)
struct Section;

critical_section::set_impl!(Section);

static TAKEN: AtomicBool = AtomicBool::new(false);

// SAFETY: between `acquire` and `release` of one thread no other one returns from `acquire`.
unsafe impl critical_section::Impl for Section {
    unsafe fn acquire() -> critical_section::RawRestoreState {
        while TAKEN.swap(true, Ordering::Acquire) {
            while TAKEN.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        }
    }

    unsafe fn release((): critical_section::RawRestoreState) {
        TAKEN.store(false, Ordering::Release);
    }
}
