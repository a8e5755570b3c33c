//! What CPUs do: the same work at the same time, and nothing.

use crate::{
    boot::CPUS,
    cpu,
    heap::{Caller, HEAP},
    lock::NotedLock,
};
use ace_alloc::{CoreHeap, PageProvider, SpinLock, geometry::Small};
use core::{
    arch::asm,
    hint::spin_loop,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
};
use lock_api::Mutex;

/// The work of a round, by number of the CPU.
type Work = fn(usize);

static WORK: Mutex<SpinLock, Option<Work>> = Mutex::new(None);
/// Rounds that were called for, and rounds that each CPU has done.
static ROUND: AtomicUsize = AtomicUsize::new(0);
static DONE: [AtomicUsize; CPUS] = [const { AtomicUsize::new(0) }; CPUS];
static TURNS: AtomicU64 = AtomicU64::new(0);

/// Runs `work` on all CPUs at the same time, with the number of the CPU; returns when all have done it. For
/// CPU 0.
pub fn on_all(work: Work) {
    *WORK.lock() = Some(work);
    let round = ROUND.fetch_add(1, Ordering::Release) + 1;
    take_part();
    while DONE.iter().any(|done| done.load(Ordering::Acquire) != round) {
        spin_loop();
    }
}

/// The life of the other CPUs.
pub fn serve() -> ! {
    loop {
        if !take_part() {
            idle();
        }
    }
}

/// Takes part in the round, if there is a new one.
fn take_part() -> bool {
    let number = cpu::this().number();
    let round = ROUND.load(Ordering::Acquire);
    if DONE[number].load(Ordering::Relaxed) == round {
        return false;
    }
    let work = *WORK.lock();
    if let Some(work) = work {
        work(number);
    }
    DONE[number].store(round, Ordering::Release);
    true
}

/// All CPUs wait for each other here, so that what follows begins at the same time.
pub fn meet() {
    static ARRIVED: AtomicUsize = AtomicUsize::new(0);
    let arrived = ARRIVED.fetch_add(1, Ordering::AcqRel) + 1;
    let all = arrived.next_multiple_of(CPUS);
    while ARRIVED.load(Ordering::Acquire) < all {
        spin_loop();
    }
}

/// What a CPU does when there is nothing to do: a turn of ACE, then sleep until the next interrupt.
pub fn idle() {
    idle_for(&HEAP);
}

/// Likewise, with a turn of another heap.
pub fn idle_for<S: PageProvider>(heap: &CoreHeap<Caller, CPUS, Small, NotedLock, S>) {
    heap.turn(cpu::now_ms());
    TURNS.fetch_add(1, Ordering::Relaxed);
    // SAFETY: interrupts are enabled, so the timer wakes the CPU.
    unsafe { asm!("hlt", options(nomem, nostack)) };
}

/// Turns of ACE so far that idle CPUs have called for.
pub fn turns() -> u64 {
    TURNS.load(Ordering::Relaxed)
}
