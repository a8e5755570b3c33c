//! good_memory_allocator.
//! Floor: the shared work.

#![no_std]
#![no_main]

use ace_firmware_flash::{ARENA_BYTES, Locked, arena, work};
use core::alloc::{GlobalAlloc, Layout};
use cortex_m as _;
use good_memory_allocator::Allocator;

struct Global(Locked<Allocator>);

// SAFETY: the calls are passed on.
unsafe impl GlobalAlloc for Global {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as promised to us.
        unsafe { self.0.lock().alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: as promised to us.
        unsafe { self.0.lock().dealloc(block) };
    }

    unsafe fn realloc(&self, block: *mut u8, old: Layout, bytes: usize) -> *mut u8 {
        // SAFETY: as promised to us.
        unsafe { self.0.lock().realloc(block, old, bytes) }
    }
}

#[global_allocator]
static HEAP: Global = Global(Locked::new(Allocator::empty()));

#[cortex_m_rt::entry]
fn main() -> ! {
    // SAFETY: the arena is asked for once.
    unsafe { HEAP.0.lock().init(arena().expose_provenance(), ARENA_BYTES) };
    work()
}
