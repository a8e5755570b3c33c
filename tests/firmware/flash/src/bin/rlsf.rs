//! rlsf, with the classes that its documentation uses for 64 KiB.
//! Floor: the shared work.

#![no_std]
#![no_main]

use ace_firmware_flash::{ARENA_BYTES, Locked, arena, work};
use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{self, NonNull};
use cortex_m as _;
use rlsf::Tlsf;

struct Global(Locked<Tlsf<'static, u16, u16, 12, 16>>);

// SAFETY: the calls are passed on.
unsafe impl GlobalAlloc for Global {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.0.lock().allocate(layout).map_or(ptr::null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: a block is not null, and this is its alignment.
        unsafe { self.0.lock().deallocate(NonNull::new_unchecked(block), layout.align()) };
    }

    unsafe fn realloc(&self, block: *mut u8, old: Layout, bytes: usize) -> *mut u8 {
        // SAFETY: a block is not null; the caller has checked the layout.
        let moved = unsafe {
            let new = Layout::from_size_align_unchecked(bytes, old.align());
            self.0.lock().reallocate(NonNull::new_unchecked(block), new)
        };
        moved.map_or(ptr::null_mut(), NonNull::as_ptr)
    }
}

#[global_allocator]
static HEAP: Global = Global(Locked::new(Tlsf::new()));

#[cortex_m_rt::entry]
fn main() -> ! {
    if let Some(memory) = NonNull::new(ptr::slice_from_raw_parts_mut(arena(), ARENA_BYTES)) {
        // SAFETY: the arena is asked for once.
        unsafe { HEAP.0.lock().insert_free_block_ptr(memory) };
    }
    work()
}
