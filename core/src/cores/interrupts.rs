//! Interrupt handlers: they never wait. Floor: roof.
//!
//! A handler may have interrupted a caller of the same CPU anywhere: inside the pool's lock, a turn, a visit of the
//! handlers' own heap, or another handler. What it tries, in this order: the handlers' front of the CPU, which no
//! other handler is at; the pool and the spare regions, if their locks are free; the reserve; no memory. What it frees
//! and can't put back is left in lists without a lock, to whoever may wait.

use super::{CoreHeap, CoreId, reserve};
use crate::{gate, geometry::Geometry, pages::PageProvider, platform::Misuse};
use core::{
    alloc::Layout,
    ptr::{NonNull, null_mut},
};
use lock_api::RawMutex;

impl<C, const CORES: usize, G, L, S> CoreHeap<C, CORES, G, L, S>
where
    C: CoreId,
    G: Geometry,
    L: RawMutex + 'static,
    S: PageProvider + 'static,
{
    /// Sets `bytes` (up to 32 KiB) of the heap aside for interrupt handlers that can't get a block otherwise,
    /// because the CPU that they interrupted is inside the heap, or a handler that they interrupted. A block of
    /// the reserve has up to 2 KiB. Once. Not from a handler.
    ///
    /// Returns the bytes that handlers can have: a multiple of 2 KiB, and not less than a block beyond all classes
    /// has (10 KiB with `Small`); 0 if there is no memory for it, or a reserve already.
    pub fn keep_reserve(&self, bytes: usize) -> usize {
        if bytes == 0 || self.reserve.is_there() {
            return 0;
        }
        // Beyond all classes: no front has a block that begins where the reserve does.
        let taken = bytes.min(reserve::MOST).max(G::CLASS_MAX + 1);
        let taken = taken.next_multiple_of(reserve::WORD_BYTES);
        let Ok(layout) = Layout::from_size_align(taken, reserve::WORD_BYTES) else { return 0 };
        let start = self.alloc(layout);
        if start.is_null() {
            return 0;
        }
        let usable = taken.min(reserve::MOST);
        self.reserve.begin(start, usable);
        usable
    }

    /// Bytes of the reserve, and how many of them are in use.
    pub fn reserve_bytes(&self) -> (usize, usize) {
        self.reserve.totals()
    }

    /// Frees a block that is not of the range, or of the reserve.
    ///
    /// # Safety
    /// As for [`Self::dealloc`].
    pub(super) unsafe fn dealloc_beyond(
        &self,
        block: *mut u8,
        layout: Layout,
        may_wait: bool,
    ) -> bool {
        if self.reserve.holds(block) {
            if let Err(kind) = self.reserve.dealloc(block) {
                C::misuse(Misuse { kind, address: block.addr(), block_bytes: 0, owner: 0 });
            }
            return true;
        }
        // SAFETY: the caller's promise.
        unsafe { self.spares.dealloc(block, layout, may_wait) }
    }

    /// For handlers: their own front, what can be had without waiting, the reserve.
    #[cold]
    #[inline(never)]
    pub(super) fn alloc_in_interrupt(&self, layout: Layout) -> *mut u8 {
        let seat = self.heap.shared().threads.sit();
        let mut block = null_mut();
        if seat.is_some() {
            // SAFETY: any layout is fine here.
            block = unsafe { self.heap.alloc(layout) };
        }
        if block.is_null() {
            block = self.spares.alloc(layout, false);
        }
        if block.is_null() {
            block = self.reserve.alloc(layout);
        }
        block
    }

    /// # Safety
    /// As for [`Self::dealloc`].
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn dealloc_in_interrupt(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        if unsafe { self.dealloc_beyond(block, layout, false) } {
            return;
        }
        if let Some(_seat) = self.heap.shared().threads.sit() {
            // SAFETY: the caller's promise.
            unsafe { self.heap.dealloc(block, layout) };
        } else if let Some(block) = NonNull::new(block) {
            gate::leave(self.heap.shared(), block);
        }
    }
}
