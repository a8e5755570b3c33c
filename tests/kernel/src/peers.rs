//! Other allocators for kernels, to be counted beside ours (feature `peers`): each behind the same lock, over the
//! same memory, with the same calls.

use crate::measure::{Mix, report};
use ace_alloc::SpinLock;
use core::{
    alloc::{GlobalAlloc, Layout},
    ptr::{self, NonNull},
};
use lock_api::Mutex;
use talc::{TalcLock, source::Manual};

/// An allocator for one caller at a time.
trait Peer {
    fn alloc(&mut self, layout: Layout) -> *mut u8;

    /// # Safety
    /// `block` was allocated with this layout, and the caller gives it up.
    unsafe fn dealloc(&mut self, block: NonNull<u8>, layout: Layout);
}

struct Locked<T>(Mutex<SpinLock, T>);

// SAFETY: the calls are passed on to allocators, one at a time.
unsafe impl<T: Peer> GlobalAlloc for Locked<T> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.0.lock().alloc(layout)
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise; a block is not null.
        unsafe { self.0.lock().dealloc(NonNull::new_unchecked(block), layout) };
    }
}

fn or_null<E>(block: Result<NonNull<u8>, E>) -> *mut u8 {
    block.map_or(ptr::null_mut(), NonNull::as_ptr)
}

impl<const ORDERS: usize> Peer for buddy_system_allocator::Heap<ORDERS> {
    fn alloc(&mut self, layout: Layout) -> *mut u8 {
        or_null(self.alloc(layout))
    }

    unsafe fn dealloc(&mut self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { self.dealloc(block, layout) };
    }
}

impl Peer for rlsf::Tlsf<'static, u32, u32, 20, 32> {
    fn alloc(&mut self, layout: Layout) -> *mut u8 {
        or_null(self.allocate(layout).ok_or(()))
    }

    unsafe fn dealloc(&mut self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { self.deallocate(block, layout.align()) };
    }
}

impl Peer for linked_list_allocator::Heap {
    fn alloc(&mut self, layout: Layout) -> *mut u8 {
        or_null(self.allocate_first_fit(layout))
    }

    unsafe fn dealloc(&mut self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { self.deallocate(block, layout) };
    }
}

fn count(name: &str, bytes: usize, heap: impl Peer, mix: &impl Mix) {
    report(name, bytes, &Locked(Mutex::new(heap)), mix);
}

/// Counts every peer's calls.
///
/// # Safety
/// The memory is nobody else's, for ever.
pub unsafe fn report_all(start: *mut u8, bytes: usize, mix: &impl Mix) {
    let talc: TalcLock<SpinLock, Manual> = TalcLock::new(Manual);
    // SAFETY: the caller's promise, here and below; each peer has the memory when the one before is gone.
    let _ = unsafe { talc.lock().claim(start, bytes) };
    report("talc", bytes, &talc, mix);

    let mut rlsf = rlsf::Tlsf::new();
    if let Some(memory) = NonNull::new(ptr::slice_from_raw_parts_mut(start, bytes)) {
        // SAFETY: as above.
        unsafe { rlsf.insert_free_block_ptr(memory) };
    }
    count("rlsf", bytes, rlsf, mix);

    let mut buddy = buddy_system_allocator::Heap::<32>::new();
    // SAFETY: as above.
    unsafe { buddy.init(start.expose_provenance(), bytes) };
    count("buddy_system_allocator", bytes, buddy, mix);

    // SAFETY: as above.
    let list = unsafe { linked_list_allocator::Heap::new(start, bytes) };
    count("linked_list_allocator", bytes, list, mix);
}
