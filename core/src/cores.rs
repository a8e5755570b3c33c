//! [`CoreHeap`]: the heap of a kernel with several CPUs. Floor: roof.
//!
//! Each CPU has its own front: the fast path of `alloc` and `dealloc` is some twenty instructions without a lock or an
//! atomic operation. The heap's memory is one range of addresses that the kernel hands over; five lines are all:
//!
//! ```
//! use ace_alloc::{CoreHeap, CoreId};
//!
//! struct Cpu;
//! // SAFETY: this doc test runs on one thread, the only one that calls the heap.
//! unsafe impl CoreId for Cpu { fn current() -> usize { 0 } } // a kernel reads the CPU's number here
//!
//! static HEAP: CoreHeap<Cpu, 4> = CoreHeap::new(); // 4 CPUs; #[global_allocator] goes here
//!
//! # let memory = Box::leak(vec![0_u8; 1 << 20].into_boxed_slice());
//! # let (start, bytes) = (memory.as_mut_ptr(), memory.len());
//! // SAFETY: these bytes are memory, and nobody else's from now on.
//! let usable = unsafe { HEAP.claim(start, bytes) }.expect("enough for a heap");
//! # assert!(usable > bytes / 2);
//! # let layout = core::alloc::Layout::new::<[u64; 5]>();
//! # let block = HEAP.alloc(layout);
//! # assert!(!block.is_null());
//! # // SAFETY: the block is live, and of this layout.
//! # unsafe { HEAP.dealloc(block, layout) };
//! ```

mod claimed;
mod fronts;
mod spare;

use crate::{
    address::align_up,
    claim::ClaimError,
    dials::Dials,
    geometry::{Geometry, Small},
    heap::Heap,
    pages::PageProvider,
    platform::{Misuse, SpinLock},
    stats::Stats,
    tiny::hot::Push,
};
pub use claimed::Claimed;
use core::alloc::{GlobalAlloc, Layout};
pub use fronts::{Cores, Fronts};
use lock_api::RawMutex;
use spare::Spares;

/// What a [`CoreHeap`] asks of the kernel.
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

    /// Called before the heap is entered; what it returns is handed to [`Self::leave`].
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
    /// [`crate::Platform::now_ms`].
    fn now_ms() -> Option<u64> {
        None
    }

    /// A program's mistake that the heap noticed: see [`crate::Platform::misuse`].
    ///
    /// # Panics
    /// Always, unless a kernel has its own way.
    fn misuse(misuse: Misuse) {
        panic!("{:#x}: {}", misuse.address, misuse.kind.reason())
    }
}

/// See the module's documentation.
///
/// `CORES` CPUs have fronts; `G` is the shape ([`Small`] for 256 KiB to 64 MiB); `L` guards the
/// slow paths; `S` is where pages come from: memory that is claimed, or what a kernel maps when it is needed.
pub struct CoreHeap<C, const CORES: usize, G = Small, L = SpinLock, S = Claimed>
where
    C: CoreId,
    G: Geometry,
    L: RawMutex + 'static,
    S: PageProvider + 'static,
{
    heap: Heap<Cores<C, CORES, G, L, S>>,
    spares: Spares<L>,
    oom: fn(&Self, Layout) -> bool,
}

impl<C, const CORES: usize, G, L> CoreHeap<C, CORES, G, L, Claimed>
where
    C: CoreId,
    G: Geometry,
    L: RawMutex + 'static,
{
    /// A heap without memory: it refuses every request until it has claimed some.
    #[must_use]
    pub const fn new() -> Self {
        Self::with_oom(|_, _| false)
    }

    /// Likewise, with somebody to ask when it runs out of memory: `oom` may claim more and say `true`, which is to
    /// try again. It is not asked for interrupt handlers. It must not allocate from this heap.
    #[must_use]
    pub const fn with_oom(oom: fn(&Self, Layout) -> bool) -> Self {
        Self::over(Claimed::new(), oom)
    }

    /// Gives the heap memory. The first region is its range, in which everything is fast: make it the large one.
    /// Further ones (up to 7) serve what the range has no room for, by first fit behind a lock. Returns the bytes
    /// that blocks can have. What the memory holds does not matter.
    ///
    /// # Errors
    /// The region was not taken.
    ///
    /// # Safety
    /// `start..start + bytes` is readable and writable memory, and from now on the heap's alone, for ever. Not from
    /// an interrupt handler.
    pub unsafe fn claim(&self, start: *mut u8, bytes: usize) -> Result<usize, ClaimError> {
        self.spares.claim(start, bytes, |heap, number, region| {
            if number > 0 {
                let align = align_of::<usize>();
                let skipped = align_up(start.addr(), align) - start.addr();
                let usable = bytes.saturating_sub(skipped) & !(align - 1);
                if usable < spare::SMALLEST {
                    return Err(ClaimError::TooSmall);
                }
                // SAFETY: the caller's promise; the heap is one that has no memory yet.
                unsafe { heap.init(start.add(skipped), usable) };
                return Ok(usable);
            }
            self.heap.pages().offer(region.start, region.bytes);
            let units = self.heap.shared().lock().map(|pool| pool.arena.units());
            if units.is_none() {
                self.heap.pages().withdraw();
            }
            units.map(|units| units as usize * G::UNIT).ok_or(ClaimError::TooSmall)
        })
    }
}

impl<C, const CORES: usize, G, L> Default for CoreHeap<C, CORES, G, L, Claimed>
where
    C: CoreId,
    G: Geometry,
    L: RawMutex + 'static,
{
    fn default() -> Self {
        Self::new()
    }
}

impl<C, const CORES: usize, G, L, S> CoreHeap<C, CORES, G, L, S>
where
    C: CoreId,
    G: Geometry,
    L: RawMutex + 'static,
    S: PageProvider + 'static,
{
    /// A heap over a kernel's own pages, which may give them memory when they are committed. `oom` as for
    /// [`Self::with_oom`].
    #[must_use]
    pub const fn over(pages: S, oom: fn(&Self, Layout) -> bool) -> Self {
        Self { heap: Heap::new(pages), spares: Spares::new(), oom }
    }

    /// A block for `layout`; null if out of memory.
    #[inline(always)]
    pub fn alloc(&self, layout: Layout) -> *mut u8 {
        let entered = C::enter();
        // SAFETY: any layout is fine for `Heap::alloc`.
        let mut block = unsafe { self.heap.alloc(layout) };
        if block.is_null() {
            block = self.alloc_beyond(layout);
        }
        C::leave(entered);
        block
    }

    /// A zeroed block for `layout`; null if out of memory.
    pub fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let entered = C::enter();
        // SAFETY: any layout is fine here.
        let mut block = unsafe { self.heap.alloc_zeroed(layout) };
        if block.is_null() {
            block = self.alloc_beyond(layout);
            if !block.is_null() {
                // SAFETY: the block is ours, and of this layout.
                unsafe { block.write_bytes(0, layout.size()) };
            }
        }
        C::leave(entered);
        block
    }

    /// The range has no room: spare regions, and more memory if there is somebody to ask.
    #[cold]
    #[inline(never)]
    fn alloc_beyond(&self, layout: Layout) -> *mut u8 {
        loop {
            let block = self.spares.alloc(layout, !C::in_interrupt());
            if !block.is_null() || C::in_interrupt() || !(self.oom)(self, layout) {
                return block;
            }
            // SAFETY: any layout is fine here.
            let block = unsafe { self.heap.alloc(layout) };
            if !block.is_null() {
                return block;
            }
        }
    }

    /// Frees a block.
    ///
    /// # Safety
    /// It is a live block of this heap and this layout, and the caller gives it up. (A block that is not live, or
    /// of no heap, is reported through [`CoreId::misuse`].)
    #[inline(always)]
    pub unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let entered = C::enter();
        // SAFETY: the caller's promise.
        match unsafe { self.heap.push(block, layout) } {
            Push::Done => {}
            Push::Full(class) => self.heap.overflow(class),
            Push::Other => self.dealloc_cold(block, layout),
        }
        C::leave(entered);
    }

    #[cold]
    #[inline(never)]
    fn dealloc_cold(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the promise made to `dealloc`.
        if !unsafe { self.spares.dealloc(block, layout, !C::in_interrupt()) } {
            self.heap.free_cold(block);
        }
    }

    /// Changes the size of a block; its content is kept up to the smaller size. Null: out of memory, and the block
    /// is untouched.
    ///
    /// # Safety
    /// As for `GlobalAlloc::realloc`.
    pub unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        let Ok(wanted) = Layout::from_size_align(bytes, layout.align()) else {
            return core::ptr::null_mut();
        };
        if !self.spares.holds(block) {
            let entered = C::enter();
            // SAFETY: the caller's promise.
            let moved = unsafe { self.heap.realloc_layout(block, layout, bytes) };
            C::leave(entered);
            if !moved.is_null() {
                return moved;
            }
        }
        let moved = self.alloc(wanted);
        if !moved.is_null() {
            // SAFETY: both are live and at least that long.
            unsafe { moved.copy_from_nonoverlapping(block, layout.size().min(bytes)) };
            // SAFETY: the caller's promise.
            unsafe { self.dealloc(block, layout) };
        }
        moved
    }

    /// One turn of ACE, for an idle loop: see [`Heap::turn`].
    pub fn turn(&self, now_ms: u64) -> usize {
        let entered = C::enter();
        let orders = self.heap.turn(now_ms);
        C::leave(entered);
        orders
    }

    /// Empties the caches of this CPU and, as far as can be, of the others, and gives free memory back to the
    /// provider until at most `keep_bytes` of it are left. Returns the bytes given back.
    pub fn trim(&self, keep_bytes: usize) -> usize {
        let entered = C::enter();
        let given = self.heap.trim(keep_bytes);
        C::leave(entered);
        given
    }

    /// Counts what the heap's range holds and did: see [`Heap::stats`].
    pub fn stats(&self) -> Stats {
        let entered = C::enter();
        let stats = self.heap.stats();
        C::leave(entered);
        stats
    }

    /// Bytes of the spare regions, and how many of them are free.
    pub fn spare_bytes(&self) -> (usize, usize) {
        let entered = C::enter();
        let totals = self.spares.totals();
        C::leave(entered);
        totals
    }

    /// The numbers that may change while the heap runs: see [`Heap::dials`].
    pub const fn dials(&self) -> &Dials {
        self.heap.dials()
    }

    /// The page provider.
    pub const fn pages(&self) -> &S {
        self.heap.pages()
    }
}

// SAFETY: blocks are disjoint, aligned and as large as asked, and stay so until they are freed.
unsafe impl<C, const CORES: usize, G, L, S> GlobalAlloc for CoreHeap<C, CORES, G, L, S>
where
    C: CoreId,
    G: Geometry,
    L: RawMutex + 'static + Sync,
    S: PageProvider + 'static,
{
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.alloc(layout)
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { self.dealloc(block, layout) };
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        self.alloc_zeroed(layout)
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { self.realloc(block, layout, bytes) }
    }
}
