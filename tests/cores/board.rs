//! A board made for tests: threads play CPUs, and interrupts come at chosen steps of what they interrupt.
//!
//! A step is anything that the heap asks of its kernel: which CPU it runs on, whether in a handler, its lock, its
//! pages. At the step whose number is due, a handler runs on the same thread, as an interrupt would. A handler that
//! waits for a lock, or calls the page provider, ends the test.

use ace_alloc::{
    CoreHeap, CoreId, Geometry, OutOfPages, PageProvider, Purged, Region,
    geometry::{Compact, Medium, Small},
};
use std::{
    alloc::Layout,
    cell::{Cell, RefCell},
    ptr::{self, NonNull},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

/// CPUs of the board.
pub const CORES: usize = 2;

pub type Kernel<G> = CoreHeap<Cpu, CORES, G, BoardLock, BoardPages>;

/// A geometry, and the memory of a board for it.
pub trait Board: Geometry {
    /// Bytes of the region: of a few superslabs at least, with records for the heaps of all CPUs and their handlers.
    const BYTES: usize;
}

impl Board for Compact {
    const BYTES: usize = 1 << 20;
}

impl Board for Small {
    const BYTES: usize = 1 << 20;
}

impl Board for Medium {
    const BYTES: usize = 5 << 20;
}

/// Of each of these functions, which are generic over the geometry, a test over each geometry of kernels.
macro_rules! over_each_geometry {
    ($($promise:ident)*) => {
        mod compact {
            $(#[test] fn $promise() { super::$promise::<ace_alloc::geometry::Compact>(); })*
        }
        mod small {
            $(#[test] fn $promise() { super::$promise::<ace_alloc::geometry::Small>(); })*
        }
        mod medium {
            $(#[test] fn $promise() { super::$promise::<ace_alloc::geometry::Medium>(); })*
        }
    };
}
pub(crate) use over_each_geometry;

/// What an interrupt runs, with the depth that it comes at.
type Handler = Box<dyn Fn(usize)>;

thread_local! {
    static CORE: Cell<usize> = const { Cell::new(0) };
    /// Handlers that run on this CPU, one inside the other.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    static STEPS: Cell<u64> = const { Cell::new(0) };
    /// Steps until the next interrupt, for code and for handlers; 0: none comes.
    static DUE: [Cell<u64>; 2] = const { [Cell::new(0), Cell::new(0)] };
    static HANDLER: RefCell<Option<Handler>> = const { RefCell::new(None) };
    static HOLDS: Cell<usize> = const { Cell::new(0) };
}

/// Runs what follows on this CPU.
pub fn switch_to(core: usize) {
    CORE.set(core);
}

/// The CPU that runs this.
pub fn core() -> usize {
    CORE.get()
}

/// What handlers do from now on; they are told how many run on the CPU, themselves included.
pub fn set_handler(handler: Option<Box<dyn Fn(usize)>>) {
    HANDLER.set(handler);
}

/// An interrupt comes at the `steps`th step from now; inside of a handler, at the `nested`th of its steps.
pub fn interrupt_at(steps: u64, nested: u64) {
    STEPS.set(0);
    DUE.with(|due| {
        due[0].set(steps);
        due[1].set(nested);
    });
}

/// Steps since [`interrupt_at`].
pub fn steps() -> u64 {
    STEPS.get()
}

fn step() {
    let depth = DEPTH.get();
    if depth == 0 {
        STEPS.set(STEPS.get() + 1);
    }
    if depth < 2 && DUE.with(|due| due[depth].replace(due[depth].get().saturating_sub(1))) == 1 {
        interrupt();
    }
}

/// A handler runs now.
pub fn interrupt() {
    DEPTH.set(DEPTH.get() + 1);
    HANDLER.with_borrow(|handler| {
        if let Some(handler) = handler {
            handler(DEPTH.get());
        }
    });
    DEPTH.set(DEPTH.get() - 1);
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Cpu;

// SAFETY: each thread of the tests plays CPUs of its own, and switches between them only outside of calls; its
// handlers say what they are.
unsafe impl CoreId for Cpu {
    fn current() -> usize {
        step();
        CORE.get()
    }

    fn in_interrupt() -> bool {
        step();
        DEPTH.get() > 0
    }
}

/// A lock whose every use is a step.
#[derive(Debug)]
pub struct BoardLock(AtomicBool);

// SAFETY: the word is set by one at a time.
unsafe impl lock_api::RawMutex for BoardLock {
    const INIT: Self = Self(AtomicBool::new(false));
    type GuardMarker = lock_api::GuardNoSend;

    fn lock(&self) {
        step();
        assert_eq!(DEPTH.get(), 0, "a handler waits for a lock");
        while self.0.swap(true, Ordering::Acquire) {
            assert_ne!(HOLDS.get(), ptr::from_ref(self).addr(), "who has the lock waits for it");
            std::thread::yield_now();
        }
        HOLDS.set(ptr::from_ref(self).addr());
        step();
    }

    fn try_lock(&self) -> bool {
        step();
        let got = !self.0.swap(true, Ordering::Acquire);
        if got {
            step();
        }
        got
    }

    unsafe fn unlock(&self) {
        step();
        if DEPTH.get() == 0 {
            HOLDS.set(0);
        }
        self.0.store(false, Ordering::Release);
        step();
    }
}

/// Not more than the smallest unit, nor less than the largest magazine.
const PAGE: usize = 1024;
/// Of the largest superslab.
const MOST_ALIGN: usize = 1 << 20;

/// One region, every use of which is a step.
#[derive(Debug)]
pub struct BoardPages {
    memory: NonNull<u8>,
    bytes: usize,
    /// Bytes that `map` may still give.
    mappable: AtomicUsize,
}

// SAFETY: the memory is handed out once, and given back to the system only with the board.
unsafe impl Sync for BoardPages {}
// SAFETY: as above.
unsafe impl Send for BoardPages {}

impl BoardPages {
    /// A region of `bytes` bytes, and more that can be mapped.
    pub fn new(bytes: usize, mappable: usize) -> Self {
        // SAFETY: the layout is not of zero size.
        let memory = unsafe { std::alloc::alloc_zeroed(Self::layout(bytes)) };
        let memory = NonNull::new(memory).expect("memory for a board");
        Self { memory, bytes, mappable: AtomicUsize::new(mappable) }
    }

    fn layout(bytes: usize) -> Layout {
        // Aligned by hand: what is not touched costs nothing then.
        Layout::from_size_align(MOST_ALIGN + bytes, 16).expect("a layout")
    }

    fn enter() {
        assert_eq!(DEPTH.get(), 0, "a handler calls the page provider");
        step();
    }
}

impl Drop for BoardPages {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout; the heap is gone.
        unsafe { std::alloc::dealloc(self.memory.as_ptr(), Self::layout(self.bytes)) };
    }
}

// SAFETY: one heap reserves the region, which begins as zero; mapped ones are the system's.
unsafe impl PageProvider for BoardPages {
    const PAGE: usize = PAGE;

    fn reserve(&self, bytes: usize, align: usize) -> Result<Region, OutOfPages> {
        Self::enter();
        if bytes > self.bytes || align > MOST_ALIGN {
            return Err(OutOfPages);
        }
        let skipped = self.memory.addr().get().wrapping_neg() & (MOST_ALIGN - 1);
        // SAFETY: the memory has that much more than the region.
        Ok(Region { start: unsafe { self.memory.add(skipped) }, bytes })
    }

    unsafe fn commit(&self, _: Region) -> Result<(), OutOfPages> {
        Self::enter();
        Ok(())
    }

    unsafe fn purge(&self, range: Region) -> Purged {
        Self::enter();
        // SAFETY: nobody needs the content.
        unsafe { range.start.write_bytes(0, range.bytes) };
        Purged::Zeroed
    }

    unsafe fn promote(&self, _: Region) -> bool {
        Self::enter();
        true
    }

    unsafe fn demote(&self, _: Region) {
        Self::enter();
    }

    fn map(&self, bytes: usize, align: usize) -> Result<Region, OutOfPages> {
        Self::enter();
        let left = self.mappable.load(Ordering::Relaxed);
        self.mappable.store(left.checked_sub(bytes).ok_or(OutOfPages)?, Ordering::Relaxed);
        let layout = Layout::from_size_align(bytes, align.max(PAGE)).map_err(|_| OutOfPages)?;
        // SAFETY: not of zero size.
        let start = NonNull::new(unsafe { std::alloc::alloc_zeroed(layout) }).ok_or(OutOfPages)?;
        Ok(Region { start, bytes })
    }

    unsafe fn release(&self, region: Region) {
        Self::enter();
        self.mappable.fetch_add(region.bytes, Ordering::Relaxed);
        let layout = Layout::from_size_align(region.bytes, PAGE).expect("as it was mapped");
        // SAFETY: mapped with this layout: the tests ask for no larger alignment.
        unsafe { std::alloc::dealloc(region.start.as_ptr(), layout) };
    }
}
