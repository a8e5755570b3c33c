//! The fronts of a kernel's CPUs, and the platform that a [`super::CoreHeap`] makes of them. Floor: roof.

use super::CoreId;
use crate::{
    geometry::Geometry,
    pages::PageProvider,
    platform::{Misuse, Platform, Threads},
    tiny::Front,
};
use core::{marker::PhantomData, ptr::NonNull};
use lock_api::RawMutex;

/// A front for each CPU, and one for its interrupt handlers. CPUs without a front of their own are served by
/// the shared pool.
pub struct Fronts<C, const CORES: usize> {
    calls: [Front; CORES],
    handlers: [Front; CORES],
    beyond: Front,
    cores: PhantomData<fn() -> C>,
}

// SAFETY: the promise of `CoreId`: of one front there is one user at a time, and what one CPU wrote there it reads.
// `beyond` is retired: nobody writes to it.
unsafe impl<C, const CORES: usize> Sync for Fronts<C, CORES> {}

// SAFETY: by the promise of `CoreId`, who runs on a CPU is not interrupted by another caller of the same kind, and
// interrupt handlers have fronts of their own. The fronts lie in the heap, which does not move while it is used.
unsafe impl<C: CoreId, const CORES: usize> Threads for Fronts<C, CORES> {
    const INIT: Self = Self {
        calls: [const { Front::EMPTY }; CORES],
        handlers: [const { Front::EMPTY }; CORES],
        beyond: Front::RETIRED,
        cores: PhantomData,
    };

    #[inline(always)]
    fn front(&self) -> NonNull<Front> {
        let fronts = if C::in_interrupt() { &self.handlers } else { &self.calls };
        NonNull::from(fronts.get(C::current()).unwrap_or(&self.beyond))
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
