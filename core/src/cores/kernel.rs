//! What a heap of CPUs asks of the kernel. Floor: roof.

use crate::platform::Misuse;

/// What a [`crate::CoreHeap`] asks of the kernel.
///
/// # Safety
/// From the beginning to the end of a call of the heap:
/// * the caller stays on its CPU, [`Self::current`] tells the number of that CPU, and no other CPU has it;
/// * no other caller of the same kind (interrupt handler or not, as [`Self::in_interrupt`] tells) calls the heap on
///   that CPU: neither another thread by preemption, nor an interrupt handler that does not say that it is one.
///
/// Whoever can't promise this otherwise turns preemption or interrupts off in [`Self::enter`] and on in
/// [`Self::leave`].
pub unsafe trait CoreId: 'static {
    /// Number of the CPU that the caller runs on, from 0. CPUs beyond the heap's `CORES` are served under a lock.
    /// On the hot path: `#[inline(always)]`, and a register read at best.
    fn current() -> usize;

    /// Whether the caller is an interrupt handler. Such callers never wait for anybody.
    #[inline(always)]
    fn in_interrupt() -> bool {
        false
    }

    /// Called before the heap is entered; what it returns is handed to [`Self::leave`]. Calls nest: who is asked for
    /// memory inside of one ([`crate::CoreHeap::with_oom`]) claims it by another, so `enter` may be called again before
    /// `leave` was. What it switches off it counts, or says in what it returns whether it was off before.
    #[inline(always)]
    fn enter() -> usize {
        0
    }

    /// Called after the heap was left.
    #[inline(always)]
    fn leave(entered: usize) {
        let _ = entered;
    }

    /// Milliseconds since any fixed moment, if there is a clock that costs little: see
    /// [`crate::Platform::now_ms`]. With a clock, slow paths take turns of ACE when they are due: one in 20
    /// milliseconds, and one at once where memory ran out or comes back too soon. The call that does takes some 20,000
    /// instructions longer, and what the turn carries out (purges, visits) on top. Without one, who has an idle loop
    /// takes turns there ([`crate::CoreHeap::turn`]).
    fn now_ms() -> Option<u64> {
        None
    }

    /// A program's mistake that the heap noticed: see [`crate::Platform::misuse`]. A lock of the heap may be
    /// held, so neither this nor a panic handler that it reaches may call the heap.
    ///
    /// If it returns, the faulty call has no effect, with two exceptions. Where free memory of a spare
    /// region was overwritten, the heap panics, since it can't go on. And what a handler frees there while
    /// the lock is taken is looked at later: if it is no live block, two words there were overwritten, and
    /// other blocks that handlers left at that time may be lost.
    ///
    /// # Panics
    /// Always, unless a kernel has its own way.
    fn misuse(misuse: Misuse) {
        panic!("{:#x}: {}", misuse.address, misuse.kind.reason())
    }
}
