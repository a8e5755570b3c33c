//! The kernel's heap. Floor of the kernel: what a kernel has to write to have ACE-Alloc.

use crate::{boot::CPUS, cpu, lock::InterruptLock, serial};
use ace_alloc::{
    Front, Heap, Misuse, OutOfPages, PageProvider, Platform, Purged, Region, Threads,
    geometry::Small,
};
use core::{
    alloc::{GlobalAlloc, Layout},
    cell::UnsafeCell,
    ops::Range,
    ptr::{self, NonNull},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

pub struct Memory {
    start: AtomicUsize,
    bytes: AtomicUsize,
}
// SAFETY: see reserve.
unsafe impl PageProvider for Memory {
    const PAGE: usize = 4096;
    fn reserve(&self, bytes: usize, align: usize) -> Result<Region, OutOfPages> {
        let first = self.start.load(Ordering::Relaxed);
        let end = first + self.bytes.load(Ordering::Relaxed);
        let start = first.next_multiple_of(align);
        if bytes > end - start {
            return Err(OutOfPages);
        }
        let start: *mut u8 = ptr::with_exposed_provenance_mut(start);
        unsafe { start.write_bytes(0, bytes) };
        Ok(Region { start: NonNull::new(start).ok_or(OutOfPages)?, bytes })
    }
    unsafe fn commit(&self, _: Region) -> Result<(), OutOfPages> {
        Ok(())
    }
    unsafe fn purge(&self, range: Region) -> Purged {
        unsafe { range.start.as_ptr().write_bytes(0, range.bytes) };
        Purged::Zeroed
    }
    unsafe fn release(&self, _: Region) {}
}

pub struct PerCpu;
struct Fronts([[UnsafeCell<Front>; 2]; CPUS]);
unsafe impl Sync for Fronts {}
static FRONTS: Fronts = Fronts([const { [const { UnsafeCell::new(Front::EMPTY) }; 2] }; CPUS]);
unsafe impl Threads for PerCpu {
    #[inline(always)]
    fn front() -> NonNull<Front> {
        let cpu = cpu::this();
        unsafe {
            NonNull::new_unchecked(FRONTS.0[cpu.number()][usize::from(cpu.in_interrupt())].get())
        }
    }
    fn on_first_use() -> bool {
        true
    }
}
pub struct Kernel;
impl Platform for Kernel {
    type Geometry = Small;
    type Pages = Memory;
    type Threads = PerCpu;
    type Lock = InterruptLock;
    fn on_turn(_: &ace_alloc::ace::Turn<'_>) {
        TURNS.fetch_add(1, Ordering::Relaxed);
    }
    fn misuse(misuse: Misuse) {
        if FORGIVE.load(Ordering::Relaxed) {
            *REPORTED.lock() = Some(misuse);
            return;
        }
        end_by_misuse(misuse)
    }
}
pub static HEAP: Heap<Kernel> =
    Heap::new(Memory { start: AtomicUsize::new(0), bytes: AtomicUsize::new(0) });

pub fn begin(memory: Range<usize>) {
    let p = HEAP.pages();
    p.start.store(memory.start, Ordering::Relaxed);
    p.bytes.store(memory.len(), Ordering::Relaxed);
}

/// The global allocator.
pub struct Global;
#[global_allocator]
pub static GLOBAL: Global = Global;
unsafe impl GlobalAlloc for Global {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        cpu::this().allocating(|| unsafe { HEAP.alloc(layout) })
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        cpu::this().allocating(|| unsafe { HEAP.dealloc(block, layout) })
    }
}

static TURNS: AtomicUsize = AtomicUsize::new(0);
static FORGIVE: AtomicBool = AtomicBool::new(false);
static REPORTED: lock_api::Mutex<ace_alloc::SpinLock, Option<Misuse>> = lock_api::Mutex::new(None);
pub fn turns() -> usize {
    TURNS.load(Ordering::Relaxed)
}
pub fn forgive(yes: bool) {
    FORGIVE.store(yes, Ordering::Relaxed)
}
pub fn take_misuse() -> Option<Misuse> {
    REPORTED.lock().take()
}
/// Blocks in the program's hands.
pub fn live_blocks() -> u64 {
    let stats = HEAP.stats();
    let small: u64 = stats.classes.iter().map(|class| class.live_blocks).sum();
    small + (stats.large.blocks + stats.huge.blocks) as u64
}

/// End.
pub fn end_by_misuse(misuse: Misuse) -> ! {
    serial::write_last_line(format_args!(
        "misuse of {:#x}: {}",
        misuse.address,
        misuse.kind.reason()
    ));
    serial::exit(serial::Verdict::Misused)
}
