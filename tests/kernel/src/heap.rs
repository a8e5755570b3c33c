//! The kernel's heap: what a kernel has to write to have ACE-Alloc as its global allocator with a front for each
//! CPU, and one more for its interrupt handlers.

use crate::{
    boot::CPUS,
    cpu,
    lock::NotedLock,
    serial::{self, Verdict},
};
use ace_alloc::{CoreHeap, CoreId, Misuse, SpinLock, geometry::Small};
use core::{
    alloc::{GlobalAlloc, Layout},
    ops::Range,
    ptr,
};
use lock_api::Mutex;

/// How the heap finds out who calls. It is told of no clock, so turns of ACE are the idle loop's alone (`work::idle`),
/// and no call takes as long as one.
pub struct Caller;

// SAFETY: no code moves from one CPU to another, and each CPU has its own number. Nothing is interrupted but by
// handlers, which say so, and which do not interrupt each other.
unsafe impl CoreId for Caller {
    #[inline(always)]
    fn current() -> usize {
        cpu::this().number()
    }

    #[inline(always)]
    fn in_interrupt() -> bool {
        cpu::this().in_interrupt()
    }

    fn misuse(misuse: Misuse) {
        match &mut *FORGIVEN.lock() {
            Some(list) => *list = [list[1], Some(misuse)],
            None => end_by_misuse(misuse),
        }
    }
}

/// The heap itself.
pub static HEAP: CoreHeap<Caller, CPUS, Small, NotedLock> = CoreHeap::new();

/// Bytes set aside for handlers that interrupt the heap where it can't serve them otherwise.
const RESERVE: usize = 32 << 10;

/// Gives the heap its memory.
pub fn begin(memory: Range<usize>) {
    let start = ptr::with_exposed_provenance_mut(memory.start);
    // SAFETY: memory that the loader calls usable, behind the kernel's image; nobody else uses it.
    let claimed = unsafe { HEAP.claim(start, memory.len()) };
    claimed.expect("memory for a heap");
    HEAP.keep_reserve(RESERVE);
}

/// The global allocator: the heap, and a mark for the interrupts that come while it is at work. A kernel that does
/// not want to know makes the heap itself the global allocator.
pub struct Marked;

/// See [`Marked`].
#[global_allocator]
pub static GLOBAL: Marked = Marked;

// SAFETY: as for the heap, which does everything.
unsafe impl GlobalAlloc for Marked {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        cpu::this().allocating(|| HEAP.alloc(layout))
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        cpu::this().allocating(|| unsafe { HEAP.dealloc(block, layout) });
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        cpu::this().allocating(|| HEAP.alloc_zeroed(layout))
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        // SAFETY: the caller's promise.
        cpu::this().allocating(|| unsafe { HEAP.realloc(block, layout, bytes) })
    }
}

/// Blocks in the program's hands, but for those of the reserve.
pub fn live_blocks() -> u64 {
    let stats = HEAP.stats();
    let small: u64 = stats.classes.iter().map(|class| class.live_blocks).sum();
    small + stats.large.blocks as u64
}

/// The last misuses that were forgiven; `None`: none is.
static FORGIVEN: Mutex<SpinLock, Option<[Option<Misuse>; 2]>> = Mutex::new(None);

/// What `mistake` was reported as, once: the hook returns, and the heap goes on.
pub fn forgiven(mistake: impl FnOnce()) -> Option<Misuse> {
    *FORGIVEN.lock() = Some([None; 2]);
    mistake();
    match FORGIVEN.lock().take() {
        Some([None, once]) => once,
        _ => None,
    }
}

/// Where a mistake leads that is not forgiven.
pub fn end_by_misuse(misuse: Misuse) -> ! {
    let (address, reason) = (misuse.address, misuse.kind.reason());
    serial::write_last_line(format_args!("misuse of {address:#x}: {reason}"));
    serial::exit(Verdict::Misused)
}
