//! COLD: a thread gets a heap. Takes the pool's lock. Floor: 2nd.

use super::{ATTACHED, Front, Local, RETIRED, ThreadHeap, front, heap_bytes, pace};
use crate::{
    arena::{Arena, Entry},
    platform::{Platform, Threads},
    pool::{Locked, Shared},
    ring::Event,
};

/// The record of heap `number`.
pub(super) fn heap_record<P: Platform>(arena: &Arena<P::Geometry>, number: u32) -> &ThreadHeap {
    let start = arena.heap_start::<P::Pages>(number, heap_bytes::<P::Geometry>());
    // SAFETY: A1, A2: the record was committed when its number was handed out, and is made of cells
    // and atomics for which zero is valid.
    unsafe { start.cast::<ThreadHeap>().as_ref() }
}

impl<'a, P: Platform> Local<'a, P> {
    /// The calling thread's heap; gives it one if it has none and may have one.
    pub fn attach(shared: &'a Shared<P>) -> Option<Self> {
        if let Some(local) = Self::current(shared) {
            return Some(local);
        }
        let front = front(shared);
        if front.state.get() == RETIRED {
            return None;
        }
        let heap = Self::begin_heap(shared, front)?;
        let local = Self { shared, arena: shared.arena()?, front, heap };
        // The hook may allocate; by now it is served by the heap that it will give up.
        if P::Threads::on_first_use() {
            return Some(local);
        }
        local.exit();
        None
    }

    fn begin_heap(shared: &'a Shared<P>, front: &Front) -> Option<&'a ThreadHeap> {
        let mut pool = shared.lock()?;
        let arena = pool.arena;
        let number = if let Some(number) = pool.idle_heaps.checked_sub(1) {
            pool.idle_heaps = heap_record::<P>(arena, number).next_idle.get();
            number
        } else {
            make_heap(&mut pool)?
        };
        pool.threads += 1;
        let heap = heap_record::<P>(arena, number);
        drop(pool);
        heap.begin(number);
        front.base.set(arena.base().addr().get());
        front.route.set(arena.route_table());
        front.live.set(arena.live_bias());
        front.units.set(shared.committed() as usize);
        front.own.set((number + Entry::FIRST_HEAP) << 8);
        front.heap.set(heap);
        front.countdown.set(pace::FIRST);
        front.state.set(ATTACHED);
        heap.turnstile.leave();
        shared.ring.push(Event::Began);
        Some(heap)
    }
}

/// Makes a heap record. `None`: no more of them, or the caller may not ask for pages.
fn make_heap<P: Platform>(pool: &mut Locked<'_, P>) -> Option<u32> {
    let (arena, number) = (pool.arena, pool.heaps_made);
    if number == arena.heap_count {
        return None;
    }
    if !Shared::<P>::may_wait() {
        pool.shared.handler_waits.set(1);
        return None;
    }
    arena.commit_heap(&pool.shared.pages, number, heap_bytes::<P::Geometry>()).ok()?;
    pool.heaps_made += 1;
    // Nobody visits a heap without a thread (F5).
    heap_record::<P>(arena, number).turnstile.try_enter();
    Some(number)
}

/// Makes a record for a handler that wanted one and could not make it.
pub fn make_for_handler<P: Platform>(shared: &Shared<P>) {
    if shared.handler_waits.get() == 0 {
        return;
    }
    if let Some(mut pool) = shared.lock() {
        shared.handler_waits.set(0);
        if let Some(number) = make_heap(&mut pool) {
            heap_record::<P>(pool.arena, number).next_idle.set(pool.idle_heaps);
            pool.idle_heaps = number + 1;
        }
    }
}
