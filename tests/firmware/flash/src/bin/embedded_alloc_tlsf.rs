//! embedded-alloc's `TlsfHeap`.
//! Floor: the shared work.

#![no_std]
#![no_main]

use ace_firmware_flash::{ARENA_BYTES, arena, work};
use cortex_m as _;
use embedded_alloc::TlsfHeap;

#[global_allocator]
static HEAP: TlsfHeap = TlsfHeap::empty();

#[cortex_m_rt::entry]
fn main() -> ! {
    // SAFETY: the arena is asked for once.
    unsafe { HEAP.init(arena().expose_provenance(), ARENA_BYTES) };
    work()
}
