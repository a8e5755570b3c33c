//! The front door: [`Heap`]. Floor: roof.

mod addresses;
mod audit;
mod census;
mod fork;
mod resize;
mod turn;

use crate::{
    arena::Arena,
    dials::Dials,
    gate,
    geometry::Geometry,
    pages::PageProvider,
    platform::Platform,
    pool::Shared,
    ring::Event,
    size_class::SizeClass,
    tiny::{
        self, Front, Local,
        hot::{self, Push},
        remote, visit,
    },
};
pub use addresses::{AddressHeap, Extent};
use core::{alloc::Layout, ptr::null_mut};
use turn::Call;

/// A heap over one platform. Usually a `static`.
///
/// All methods may be called from any thread. None of them panics; lack of memory is a null
/// pointer, after which the heap goes on working.
pub struct Heap<P: Platform> {
    shared: Shared<P>,
}

impl<P: Platform> Heap<P> {
    /// A heap that has reserved nothing yet; the first allocation does.
    pub const fn new(pages: P::Pages) -> Self {
        const { assert!(<P::Pages as PageProvider>::TOUCHABLE, "blocks are for the CPU") }
        Self { shared: Shared::new(pages) }
    }

    /// The numbers that may change while the heap runs. Once ACE takes turns, a value that is to
    /// stay is pinned ([`Dials::pin`]), and the two limits of a depot are better set before.
    pub const fn dials(&self) -> &Dials {
        &self.shared.dials
    }

    /// The part that all threads see.
    pub(crate) const fn shared(&self) -> &Shared<P> {
        &self.shared
    }

    /// The page provider.
    pub const fn pages(&self) -> &P::Pages {
        &self.shared.pages
    }

    /// The calling thread's front, for callers that inline HOT themselves.
    #[doc(hidden)]
    #[inline(always)]
    pub fn front(&self) -> &Front {
        tiny::front(&self.shared)
    }

    /// A block of at least `bytes` bytes, 16-byte aligned; null if out of memory or above
    /// `isize::MAX`. Zero bytes give a block of their own.
    #[inline(always)]
    pub fn malloc(&self, bytes: usize) -> *mut u8 {
        if bytes <= SizeClass::TINY_MAX {
            self.alloc_class(self.front(), SizeClass::tiny(bytes))
        } else {
            self.malloc_mid(bytes)
        }
    }

    #[inline(always)]
    fn alloc_class(&self, front: &Front, class: SizeClass) -> *mut u8 {
        let block = hot::pop(front, class);
        if block.is_null() {
            return self.refill(class);
        }
        block
    }

    #[inline(never)]
    fn malloc_mid(&self, bytes: usize) -> *mut u8 {
        if bytes <= P::Geometry::CLASS_MAX {
            self.alloc_class(self.front(), SizeClass::mid(bytes))
        } else {
            self.alloc_large(bytes, 1, false)
        }
    }

    #[cold]
    #[inline(never)]
    fn refill(&self, class: SizeClass) -> *mut u8 {
        self.help();
        let mut block = gate::refill(&self.shared, class);
        if block.is_null() && self.last_resort() {
            block = gate::refill(&self.shared, class);
            if block.is_null() {
                block = gate::refill_larger(&self.shared, class);
            }
        }
        // Last: a pause may call the heap, and between an empty magazine and its refill that must
        // not be.
        self.tick(Call::Malloc);
        block
    }

    /// Out of pages: empties this thread's caches, what can be reached of the others', and the warm
    /// pool, so that their units can serve other classes. `false`: there is not even a pool.
    #[cold]
    fn last_resort(&self) -> bool {
        if !Shared::<P>::may_wait() {
            return false;
        }
        self.shared.ring.push(Event::Denied);
        self.shared.seat.hurry();
        self.flush();
        visit::visit_all(&self.shared);
        let Some(mut pool) = self.shared.lock() else { return false };
        pool.cool();
        true
    }

    #[cold]
    #[inline(never)]
    fn alloc_large(&self, bytes: usize, align: usize, zeroed: bool) -> *mut u8 {
        if bytes > isize::MAX as usize || align > isize::MAX as usize {
            return null_mut();
        }
        self.help();
        self.tick(Call::Malloc);
        let within = || self.shared.lock().and_then(|mut pool| pool.alloc_large(bytes, align));
        let beside = || self.shared.alloc_huge(bytes, align);
        // A small block at the head of a superslab's place would keep superslabs out of it.
        let is_in_the_way = align >= P::Geometry::SUPERSLAB && bytes < align;
        let is_huge =
            bytes >= P::Geometry::HUGE_MIN || align >= P::Geometry::HUGE_MIN || is_in_the_way;
        let fresh = if is_huge { beside().or_else(within) } else { within().or_else(beside) };
        // What the range could never hold is not worth emptying caches for.
        let room = |arena: &Arena<P::Geometry>| arena.units() as usize * P::Geometry::UNIT;
        let hopeless = self.shared.arena().is_none_or(|arena| bytes.max(align) > room(arena));
        let again = || if !hopeless && self.last_resort() { within() } else { None };
        let fresh = fresh.or_else(again);
        let Some(fresh) = fresh else { return null_mut() };
        if zeroed {
            self.shared.zero(&fresh, bytes);
        }
        fresh.start.as_ptr()
    }

    /// A zeroed block of at least `bytes` bytes, 16-byte aligned; null if out of memory.
    pub fn calloc(&self, bytes: usize) -> *mut u8 {
        if bytes > P::Geometry::CLASS_MAX {
            return self.alloc_large(bytes, 1, true);
        }
        let block = self.malloc(bytes);
        if !block.is_null() {
            // SAFETY: the block is ours and at least `bytes` long.
            unsafe { block.write_bytes(0, bytes) };
        }
        block
    }

    /// A block of at least `bytes` bytes, aligned to `align`, a power of two; null if out of
    /// memory.
    pub fn memalign(&self, align: usize, bytes: usize) -> *mut u8 {
        if align <= 16 {
            return self.malloc(bytes);
        }
        match SizeClass::aligned(bytes, align) {
            Some(class) if class.bytes() <= P::Geometry::CLASS_MAX => {
                self.alloc_class(self.front(), class)
            }
            _ => self.alloc_large(bytes, align, false),
        }
    }

    /// Frees a block. Null is fine; anything that is not a live block of this heap is reported
    /// through [`Platform::misuse`].
    ///
    /// # Safety
    /// The caller gives the block up.
    #[inline(always)]
    pub unsafe fn free(&self, block: *mut u8) {
        // SAFETY: the caller's promise.
        let pushed = unsafe { hot::push::<P::Geometry, 4>(self.front(), block) };
        self.after_push(pushed, block);
    }

    #[inline(always)]
    fn after_push(&self, pushed: Push, block: *mut u8) {
        match pushed {
            Push::Done => {}
            Push::Full(class) => self.overflow(class),
            Push::Other => self.free_cold(block),
        }
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn free_cold(&self, block: *mut u8) {
        self.help();
        if self.front().is_tired() {
            self.take_breath();
        }
        gate::free(&self.shared, block);
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn overflow(&self, class: SizeClass) {
        if let Some(local) = Local::current(&self.shared) {
            local.overflow(class);
        }
        self.tick(Call::Free);
    }

    /// A block for `layout`; null if out of memory. Where the alignment is 8 or less the block may
    /// be of one of the classes between multiples of 16.
    ///
    /// # Safety
    /// As for `GlobalAlloc::alloc`; a layout of zero bytes is fine here.
    #[inline(always)]
    pub unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.alloc_at(self.front(), layout)
    }

    /// [`Self::alloc`] by a caller who has looked where its front is.
    #[inline(always)]
    pub(crate) fn alloc_at(&self, front: &Front, layout: Layout) -> *mut u8 {
        let (bytes, align) = (layout.size(), layout.align());
        if align <= 16
            && bytes <= SizeClass::TINY_MAX
            && let Some(class) = SizeClass::aligned(bytes, align)
        {
            return self.alloc_class(front, class);
        }
        self.alloc_aligned(bytes, align)
    }

    #[inline(never)]
    fn alloc_aligned(&self, bytes: usize, align: usize) -> *mut u8 {
        self.memalign(align, bytes)
    }

    /// Frees a block of `layout`.
    ///
    /// # Safety
    /// As for `GlobalAlloc::dealloc`.
    #[inline(always)]
    pub unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        let pushed = unsafe { Self::push(self.front(), block, layout) };
        self.after_push(pushed, block);
    }

    /// The first half of [`Self::dealloc`], at the caller's front: what HOT can do.
    ///
    /// # Safety
    /// As there.
    #[inline(always)]
    pub(crate) unsafe fn push(front: &Front, block: *mut u8, layout: Layout) -> Push {
        if SizeClass::is_narrow(layout.size(), layout.align()) {
            // SAFETY: the caller's promise.
            unsafe { hot::push::<P::Geometry, 3>(front, block) }
        } else {
            // SAFETY: the caller's promise.
            unsafe { hot::push::<P::Geometry, 4>(front, block) }
        }
    }

    /// A zeroed block for `layout`; null if out of memory.
    ///
    /// # Safety
    /// As for `GlobalAlloc::alloc_zeroed`.
    pub unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.size() > P::Geometry::CLASS_MAX {
            return self.alloc_large(layout.size(), layout.align(), true);
        }
        // SAFETY: the caller's promise.
        let block = unsafe { self.alloc(layout) };
        if !block.is_null() {
            // SAFETY: the block is ours and at least that long.
            unsafe { block.write_bytes(0, layout.size()) };
        }
        block
    }

    /// Bytes that the caller may use at this block; 0 for null.
    ///
    /// # Safety
    /// `block` is null or a live block of this heap.
    pub unsafe fn usable_size(&self, block: *mut u8) -> usize {
        gate::usable_size(&self.shared, block)
    }

    /// Gives up the calling thread's heap: its caches go back to their slabs, its slabs to the
    /// pool. For the exit hook that [`crate::Threads::on_first_use`] registered. Later calls by
    /// this thread are served from the pool.
    pub fn thread_exit(&self) {
        if let Some(local) = Local::current(&self.shared) {
            local.exit();
        }
        remote::send_shared(&self.shared);
    }

    /// Does what callers who may not wait had to leave to others.
    #[inline(always)]
    fn help(&self) {
        if P::INTERRUPTS && self.shared.wants_help() && Shared::<P>::may_wait() {
            gate::help(&self.shared);
        }
    }

    /// Empties the calling thread's caches.
    fn flush(&self) {
        if let Some(local) = Local::current(&self.shared) {
            local.trim();
        }
        remote::send_shared(&self.shared);
    }

    /// Empties the calling thread's caches, those of the others but for their magazines, and the
    /// warm pool, and gives free memory back to the system until at most `keep_bytes` of it are
    /// left. Returns the bytes given back.
    pub fn trim(&self, keep_bytes: usize) -> usize {
        if !Shared::<P>::may_wait() {
            return 0;
        }
        self.help();
        self.flush();
        visit::visit_all(&self.shared);
        let Some(mut pool) = self.shared.lock() else { return 0 };
        pool.cool();
        pool.purge_to(keep_bytes)
    }
}
