//! buddy_system_allocator, with as many orders as 64 KiB need.
//! Floor: the shared work.

#![no_std]
#![no_main]

use ace_firmware_flash::{ARENA_BYTES, Locked, arena, work};
use buddy_system_allocator::Heap;
use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{self, NonNull};
use cortex_m as _;

struct Global(Locked<Heap<17>>);

// SAFETY: the calls are passed on.
unsafe impl GlobalAlloc for Global {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.0.lock().alloc(layout).map_or(ptr::null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: a block is not null, and this is its layout.
        unsafe { self.0.lock().dealloc(NonNull::new_unchecked(block), layout) };
    }
}

#[global_allocator]
static HEAP: Global = Global(Locked::new(Heap::new()));

#[cortex_m_rt::entry]
fn main() -> ! {
    // SAFETY: the arena is asked for once.
    unsafe { HEAP.0.lock().init(arena().expose_provenance(), ARENA_BYTES) };
    work()
}
