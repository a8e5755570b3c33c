//! A bump heap, which frees nothing: what the others are compared with.
//! Floor: the shared work.

#![no_std]
#![no_main]

use ace_firmware_flash::{ARENA_BYTES, Locked, arena, work};
use core::alloc::{GlobalAlloc, Layout};
use core::ptr;
use cortex_m as _;

struct Bump {
    next: *mut u8,
    left: usize,
}
// SAFETY: its memory is its own.
unsafe impl Send for Bump {}

struct Global(Locked<Bump>);

// SAFETY: blocks are cut from the arena once.
unsafe impl GlobalAlloc for Global {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let mut bump = self.0.lock();
        let skipped = bump.next.align_offset(layout.align());
        match bump.left.checked_sub(skipped).and_then(|left| left.checked_sub(layout.size())) {
            Some(left) => {
                let block = bump.next.wrapping_add(skipped);
                bump.left = left;
                bump.next = block.wrapping_add(layout.size());
                block
            }
            None => ptr::null_mut(),
        }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static HEAP: Global = Global(Locked::new(Bump { next: ptr::null_mut(), left: 0 }));

#[cortex_m_rt::entry]
fn main() -> ! {
    *HEAP.0.lock() = Bump { next: arena(), left: ARENA_BYTES };
    work()
}
