//! linked_list_allocator.
//! Floor: the shared work.

#![no_std]
#![no_main]

use ace_firmware_flash::{ARENA_BYTES, Locked, arena, work};
use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{self, NonNull};
use cortex_m as _;
use linked_list_allocator::Heap;

struct Global(Locked<Heap>);

// SAFETY: the calls are passed on.
unsafe impl GlobalAlloc for Global {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.0.lock().allocate_first_fit(layout).map_or(ptr::null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: a block is not null, and this is its layout.
        unsafe { self.0.lock().deallocate(NonNull::new_unchecked(block), layout) };
    }
}

#[global_allocator]
static HEAP: Global = Global(Locked::new(Heap::empty()));

#[cortex_m_rt::entry]
fn main() -> ! {
    // SAFETY: the arena is asked for once.
    unsafe { HEAP.0.lock().init(arena(), ARENA_BYTES) };
    work()
}
