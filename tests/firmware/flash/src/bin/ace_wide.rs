//! ACE-Alloc's heap of the scale `Wide`.
//! Floor: the shared work.

#![no_std]
#![no_main]

use ace_alloc::region::Wide;
use ace_alloc::{CriticalSectionLock, LockedHeap};
use ace_firmware_flash::{ARENA_BYTES, arena, work};
use cortex_m as _;

#[global_allocator]
static HEAP: LockedHeap<CriticalSectionLock, Wide> = LockedHeap::empty();

#[cortex_m_rt::entry]
fn main() -> ! {
    // SAFETY: the arena is asked for once.
    let _ = unsafe { HEAP.claim(arena(), ARENA_BYTES) };
    work()
}
