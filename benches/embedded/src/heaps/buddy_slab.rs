//! Owns buddy-slab-allocator: a slab cache for each core, pages from a buddy allocator behind a lock.

use super::{CORES, heap};
use ax_sync::interface::{AcquireResult, ContextState, LockMetadata, SpinOps};
use buddy_slab_allocator::interface::BuddySlabIf;
use buddy_slab_allocator::{GlobalAllocator, PerCpuSlab, SlabPoolTrait, StaticSlabPool};
use std::cell::Cell;
use std::hint;
use std::panic::Location;
use std::sync::atomic::{AtomicBool, Ordering};

const PAGE: usize = 4096;

static HEAP: GlobalAllocator<PAGE> = GlobalAllocator::new();
static POOL: StaticSlabPool<PAGE, CORES> =
    StaticSlabPool::new([PerCpuSlab::new(0), PerCpuSlab::new(1)], core);

thread_local! {
    /// Which core this thread stands for.
    static CORE: Cell<usize> = const { Cell::new(0) };
}

fn core() -> usize {
    CORE.get()
}

struct Platform;

#[ax_crate_interface::impl_interface]
impl BuddySlabIf for Platform {
    fn virt_to_phys(address: usize) -> usize {
        address
    }

    fn slab_pool() -> &'static dyn SlabPoolTrait {
        &POOL
    }
}

/// The locks under it, which the operating system provides: a plain spin lock, for here no interrupt
/// and no preemption needs to be kept away.
struct Locks;

const NOTHING: ContextState = ContextState::new(0, 0);

#[ax_crate_interface::impl_interface]
impl SpinOps for Locks {
    fn acquire(
        locked: &AtomicBool,
        _metadata: &LockMetadata,
        _address: usize,
        _context: u8,
        _subclass: u32,
        _caller: &'static Location<'static>,
    ) -> ContextState {
        while locked.swap(true, Ordering::Acquire) {
            while locked.load(Ordering::Relaxed) {
                hint::spin_loop();
            }
        }
        NOTHING
    }

    fn try_acquire(
        locked: &AtomicBool,
        _metadata: &LockMetadata,
        _address: usize,
        _context: u8,
        _subclass: u32,
        _caller: &'static Location<'static>,
    ) -> AcquireResult {
        AcquireResult::new(!locked.swap(true, Ordering::Acquire), NOTHING)
    }

    fn release(locked: &AtomicBool, _address: usize, _context: u8, _state: ContextState) {
        locked.store(false, Ordering::Release);
    }

    fn force_release(locked: &AtomicBool, _address: usize, _context: u8) {
        locked.store(false, Ordering::Release);
    }

    fn is_locked(locked: &AtomicBool) -> bool {
        locked.load(Ordering::Relaxed)
    }
}

heap! {
    /// As its README sets it up, for two cores.
    BuddySlab, shared: true, &mut &HEAP, |arena| {
        // SAFETY: the arena is ours alone for the life of the process, and it is initialised memory.
        let region = unsafe { std::slice::from_raw_parts_mut(arena.start, arena.bytes) };
        // SAFETY: as said.
        unsafe { HEAP.init(region) }.map_err(|why| format!("{why:?}"))
    }, |number| CORE.set(number)
}
