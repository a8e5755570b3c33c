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
//! static HEAP: CoreHeap<Cpu, 4> = CoreHeap::new(); // 4 CPUs, more take `Medium`; #[global_allocator] goes here
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
mod interrupts;
mod kernel;
mod reserve;
mod spare;

use crate::{
    claim::ClaimError,
    dials::Dials,
    geometry::{Geometry, Small},
    heap::Heap,
    pages::{PageProvider, Region},
    platform::SpinLock,
    size_class::SizeClass,
    stats::Stats,
    tiny::hot::Push,
};
pub use claimed::Claimed;
use core::{alloc::Layout, ptr::null_mut};
pub use fronts::{Cores, Fronts};
pub use kernel::CoreId;
use lock_api::RawMutex;
use reserve::Reserve;
use spare::Spares;

/// See the module's documentation.
///
/// `CORES` CPUs have fronts; `G` is the shape ([`Small`] for 4 to 64 MiB, [`Compact`](crate::geometry::Compact) for 1
/// to 4, [`Medium`](crate::geometry::Medium) above); `L` guards the slow paths; `S` is where pages come from: memory that
/// is claimed, or what a kernel maps when it is needed.
///
/// Each CPU needs a heap record, and another if its interrupt handlers allocate; CPUs that find none are served under
/// the lock. `Small` and `Compact` have eight records: that is four CPUs with handlers. Beyond, take `Medium`: each of
/// its records has some 50 KiB, and they get at most an eighth of the range, so 64 CPUs with handlers want 51 MiB. More
/// CPUs than records do not compile:
///
/// ```compile_fail
/// # struct Cpu;
/// # // SAFETY: never run.
/// # unsafe impl ace_alloc::CoreId for Cpu { fn current() -> usize { 0 } }
/// static HEAP: ace_alloc::CoreHeap<Cpu, 64> = ace_alloc::CoreHeap::new(); // the default is `Small`
/// ```
///
/// ```
/// # struct Cpu;
/// # // SAFETY: never run.
/// # unsafe impl ace_alloc::CoreId for Cpu { fn current() -> usize { 0 } }
/// static HEAP: ace_alloc::CoreHeap<Cpu, 64, ace_alloc::geometry::Medium> = ace_alloc::CoreHeap::new();
/// ```
pub struct CoreHeap<C, const CORES: usize, G = Small, L = SpinLock, S = Claimed>
where
    C: CoreId,
    G: Geometry,
    L: RawMutex + 'static,
    S: PageProvider + 'static,
{
    heap: Heap<Cores<C, CORES, G, L, S>>,
    spares: Spares<C, L>,
    reserve: Reserve,
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
    /// try again. It is asked inside of the call that found no memory, but not for interrupt handlers, and must not
    /// allocate from this heap.
    #[must_use]
    pub const fn with_oom(oom: fn(&Self, Layout) -> bool) -> Self {
        Self::over(Claimed::new(), oom)
    }

    /// Gives the heap memory. The first region is its range, in which everything is fast: claim the largest first.
    /// What the geometry can't reach of it, and further regions (seven at least, of 2 KiB and more), are spare: they
    /// serve what the range has no room for, behind a lock, and a 64th of them is control data. Returns the bytes
    /// that blocks can have. What the memory holds does not matter.
    ///
    /// # Errors
    /// The region was not taken.
    ///
    /// # Safety
    /// `start..start + bytes` is readable and writable memory, and from now on the heap's alone, for ever; a rest that
    /// is too small for a region may be claimed again, with what follows it. Not from an interrupt handler.
    pub unsafe fn claim(&self, start: *mut u8, bytes: usize) -> Result<usize, ClaimError> {
        let entered = C::enter();
        // SAFETY: the caller's promise.
        let claimed = unsafe { self.spares.claim(start, bytes, |region| self.begin(region)) };
        C::leave(entered);
        claimed
    }

    /// Makes a region the heap's range: what it took, and how much of that blocks can have.
    fn begin(&self, region: Region) -> Result<(Region, usize), ClaimError> {
        self.heap.pages().offer(region.start, region.bytes);
        let Some(pool) = self.heap.shared().lock() else {
            self.heap.pages().withdraw();
            return Err(ClaimError::TooSmall);
        };
        Ok((pool.arena.reservation(), pool.arena.units() as usize * G::UNIT))
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
    /// A heap over a kernel's own pages, which may give them memory when they are committed. When a request can't be
    /// met, `oom` may free caches of the kernel, or have the provider commit more, and say `true`, which is to try
    /// again; there is nothing to claim. It is asked as that of [`Self::with_oom`] is.
    #[must_use]
    pub const fn over(pages: S, oom: fn(&Self, Layout) -> bool) -> Self {
        const {
            assert!(
                CORES as u64 <= G::MAX_HEAPS as u64,
                "more CPUs than the geometry has heap records: take geometry::Medium"
            );
        }
        Self { heap: Heap::new(pages), spares: Spares::new(), reserve: Reserve::new(), oom }
    }

    /// A block for `layout`; null if out of memory.
    #[inline(always)]
    pub fn alloc(&self, layout: Layout) -> *mut u8 {
        let entered = C::enter();
        let block = if C::in_interrupt() {
            self.alloc_in_interrupt(layout)
        } else {
            let block = self.heap.alloc_at(self.heap.shared().threads.of_call(), layout);
            if block.is_null() { self.alloc_beyond(layout) } else { block }
        };
        C::leave(entered);
        block
    }

    /// The range has no room: spare regions, and more memory if there is somebody to ask.
    #[cold]
    #[inline(never)]
    fn alloc_beyond(&self, layout: Layout) -> *mut u8 {
        loop {
            let block = self.spares.alloc(layout, true);
            if !block.is_null() || !(self.oom)(self, layout) {
                return block;
            }
            // SAFETY: any layout is fine here.
            let block = unsafe { self.heap.alloc(layout) };
            if !block.is_null() {
                return block;
            }
        }
    }

    /// A zeroed block for `layout`; null if out of memory.
    pub fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.size() > G::CLASS_MAX && !C::in_interrupt() {
            let entered = C::enter();
            // SAFETY: any layout is fine here.
            let block = unsafe { self.heap.alloc_zeroed(layout) };
            C::leave(entered);
            if !block.is_null() {
                return block;
            }
        }
        let block = self.alloc(layout);
        if !block.is_null() {
            // SAFETY: the block is ours, and of this layout.
            unsafe { block.write_bytes(0, layout.size()) };
        }
        block
    }

    /// Frees a block.
    ///
    /// # Safety
    /// It is a live block of this heap and this layout, and the caller gives it up. (A block that is not live, or
    /// of no heap, is reported through [`CoreId::misuse`].)
    #[inline(always)]
    pub unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let entered = C::enter();
        if C::in_interrupt() {
            // SAFETY: the caller's promise.
            unsafe { self.dealloc_in_interrupt(block, layout) };
        } else {
            let front = self.heap.shared().threads.of_call();
            // SAFETY: the caller's promise.
            match unsafe { Heap::<Cores<C, CORES, G, L, S>>::push(front, block, layout) } {
                Push::Done => {}
                Push::Full(class) => self.heap.overflow(class),
                // SAFETY: the caller's promise.
                Push::Other => unsafe { self.dealloc_cold(block, layout) },
            }
        }
        C::leave(entered);
    }

    /// # Safety
    /// As for [`Self::dealloc`].
    #[cold]
    #[inline(never)]
    unsafe fn dealloc_cold(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        if !unsafe { self.dealloc_beyond(block, layout, true) } {
            self.heap.free_cold(block);
        }
    }

    /// Changes the size of a block; its content is kept up to the smaller size. Null: out of memory, and the block
    /// is untouched.
    ///
    /// # Safety
    /// As for `GlobalAlloc::realloc`.
    pub unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        let Ok(wanted) = Layout::from_size_align(bytes, layout.align()) else { return null_mut() };
        let beyond = self.reserve.holds(block) || self.spares.holds(block);
        if !beyond && !C::in_interrupt() {
            let entered = C::enter();
            // SAFETY: the caller's promise.
            let moved = unsafe { self.heap.realloc_layout(block, layout, bytes) };
            C::leave(entered);
            if !moved.is_null() {
                return moved;
            }
        }
        let class = SizeClass::aligned(bytes, layout.align());
        let same = class == SizeClass::aligned(layout.size(), layout.align());
        if !beyond && same && class.is_some_and(|class| class.bytes() <= G::CLASS_MAX) {
            return block;
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

    /// One turn of ACE, for an idle loop or a thread of the kernel: see [`Heap::turn`].
    pub fn turn(&self, now_ms: u64) -> usize {
        let entered = C::enter();
        let orders = self.heap.turn(now_ms);
        C::leave(entered);
        orders
    }

    /// Says whether [`Self::turn`] is called every 10 to 20 milliseconds from now on, however busy the CPUs are: see
    /// [`Heap::set_attended`]. For a thread of the kernel that a timer wakes; an idle loop can't promise it, and what
    /// is freed would wait for it. Of use over pages that are given back, which those of [`Claimed`] are not. Not
    /// from an interrupt handler.
    pub fn set_attended(&self, attended: bool) {
        let entered = C::enter();
        self.heap.set_attended(attended);
        C::leave(entered);
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

    /// Bytes that blocks of the spare regions can have, and how many of them are free. Not from an interrupt handler.
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
