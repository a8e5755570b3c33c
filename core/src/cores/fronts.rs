//! The fronts of a kernel's CPUs, and the platform that a [`super::CoreHeap`] makes of them. Floor: roof.

use super::CoreId;
use crate::{
    geometry::Geometry,
    pages::PageProvider,
    platform::{Misuse, Platform, Threads},
    sync::{AtomicBool, Ordering},
    tiny::Front,
};
use core::{marker::PhantomData, ptr::NonNull, sync::atomic::compiler_fence};
use lock_api::RawMutex;

/// A front for each CPU, and one for its interrupt handlers. CPUs without a front of their own are served by
/// the shared pool.
pub struct Fronts<C, const CORES: usize> {
    calls: [Front; CORES],
    handlers: [Front; CORES],
    beyond: Front,
    /// Whether a handler is at its front, by CPU.
    busy: [AtomicBool; CORES],
    cores: PhantomData<fn() -> C>,
}

// SAFETY: the promise of `CoreId`: of one front there is one user at a time, and what one CPU wrote there it reads.
// `beyond` is retired: nobody writes to it.
unsafe impl<C, const CORES: usize> Sync for Fronts<C, CORES> {}

impl<C: CoreId, const CORES: usize> Fronts<C, CORES> {
    /// The front of a caller that is no interrupt handler.
    #[inline(always)]
    pub(super) fn of_call(&self) -> &Front {
        self.calls.get(C::current()).unwrap_or(&self.beyond)
    }

    /// The calling handler's right to its front. `None`: it has interrupted another that is there.
    pub(super) fn sit(&self) -> Option<Seat<'_>> {
        let busy = self.busy.get(C::current());
        if busy.is_some_and(|busy| busy.load(Ordering::Relaxed)) {
            return None;
        }
        // A handler that comes between these two steps is gone after it.
        busy.inspect(|busy| busy.store(true, Ordering::Relaxed));
        // Only this CPU looks: it is enough that the compiler keeps what is done at the front inside.
        compiler_fence(Ordering::SeqCst);
        Some(Seat { busy })
    }
}

/// See [`Fronts::sit`].
pub(super) struct Seat<'a> {
    busy: Option<&'a AtomicBool>,
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        compiler_fence(Ordering::SeqCst);
        self.busy.inspect(|busy| busy.store(false, Ordering::Relaxed));
    }
}

// SAFETY: by the promise of `CoreId`, who runs on a CPU is not interrupted by another caller that is no handler.
// Handlers have fronts of their own, and use them only while they sit there (`CoreHeap`). The fronts lie in the heap, which does not move while it is used.
unsafe impl<C: CoreId, const CORES: usize> Threads for Fronts<C, CORES> {
    const INIT: Self = Self {
        calls: [const { Front::EMPTY }; CORES],
        handlers: [const { Front::EMPTY }; CORES],
        beyond: Front::RETIRED,
        busy: [const { AtomicBool::new(false) }; CORES],
        cores: PhantomData,
    };

    const MOST: u32 = 2 * CORES as u32;

    #[inline(always)]
    fn front(&self) -> NonNull<Front> {
        NonNull::from(if C::in_interrupt() {
            self.handlers.get(C::current()).unwrap_or(&self.beyond)
        } else {
            self.of_call()
        })
    }

    fn on_first_use() -> bool {
        true
    }
}

/// The platform of a [`super::CoreHeap`].
pub struct Cores<C, const CORES: usize, G, L, S> {
    kernel: PhantomData<fn() -> C>,
    shape: PhantomData<(G, L, S)>,
}

impl<C, const CORES: usize, G, L, S> Platform for Cores<C, CORES, G, L, S>
where
    C: CoreId,
    G: Geometry,
    L: RawMutex + 'static,
    S: PageProvider + 'static,
{
    type Geometry = G;
    type Pages = S;
    type Threads = Fronts<C, CORES>;
    type Lock = L;

    const INTERRUPTS: bool = true;

    #[inline(always)]
    fn may_wait() -> bool {
        !C::in_interrupt()
    }

    fn now_ms() -> Option<u64> {
        C::now_ms()
    }

    fn misuse(misuse: Misuse) {
        C::misuse(misuse);
    }
}
