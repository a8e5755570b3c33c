//! Owns linked_list_allocator and buddy_system_allocator.

use super::{Bare, Raw, heap};
use std::alloc::Layout;
use std::ptr::{self, NonNull};

static LIST: linked_list_allocator::LockedHeap = linked_list_allocator::LockedHeap::empty();
static LIST_BARE: Bare<linked_list_allocator::Heap> =
    Bare::new(linked_list_allocator::Heap::empty());
static BUDDY: buddy_system_allocator::LockedHeap<32> = buddy_system_allocator::LockedHeap::empty();
static BUDDY_BARE: Bare<buddy_system_allocator::Heap<32>> =
    Bare::new(buddy_system_allocator::Heap::empty());

heap! {
    /// linked_list_allocator with its own lock (spinning_top).
    LinkedList, shared: true, &mut &LIST, |arena| {
        // SAFETY: the arena is ours alone, and this is the first call.
        unsafe { LIST.lock().init(arena.start, arena.bytes) };
        Ok(())
    }
}
heap! {
    /// buddy_system_allocator with its own lock (spin).
    Buddy, shared: true, &mut &BUDDY, |arena| {
        // SAFETY: the arena is ours alone, and this is the first call.
        unsafe { BUDDY.lock().init(arena.start.expose_provenance(), arena.bytes) };
        Ok(())
    }
}
heap! {
    /// linked_list_allocator without a lock.
    LinkedListBare, shared: false, LIST_BARE.lock(), |arena| {
        // SAFETY: the arena is ours alone, and this is the first call.
        unsafe { LIST_BARE.lock().init(arena.start, arena.bytes) };
        Ok(())
    }
}
heap! {
    /// buddy_system_allocator without a lock.
    BuddyBare, shared: false, BUDDY_BARE.lock(), |arena| {
        // SAFETY: the arena is ours alone, and this is the first call.
        unsafe { BUDDY_BARE.lock().init(arena.start.expose_provenance(), arena.bytes) };
        Ok(())
    }
}

// SAFETY: the crate's Heap keeps the same promises.
unsafe impl Raw for linked_list_allocator::Heap {
    #[inline(always)]
    fn get(&mut self, layout: Layout) -> *mut u8 {
        self.allocate_first_fit(layout).map_or(ptr::null_mut(), NonNull::as_ptr)
    }

    #[inline(always)]
    unsafe fn put(&mut self, block: *mut u8, layout: Layout) {
        // SAFETY: a live block of this heap, and so not null.
        unsafe { self.deallocate(NonNull::new_unchecked(block), layout) }
    }
}

// SAFETY: the crate's Heap keeps the same promises.
unsafe impl Raw for buddy_system_allocator::Heap<32> {
    #[inline(always)]
    fn get(&mut self, layout: Layout) -> *mut u8 {
        self.alloc(layout).map_or(ptr::null_mut(), NonNull::as_ptr)
    }

    #[inline(always)]
    unsafe fn put(&mut self, block: *mut u8, layout: Layout) {
        // SAFETY: a live block of this heap, and so not null.
        unsafe { self.dealloc(NonNull::new_unchecked(block), layout) }
    }
}
