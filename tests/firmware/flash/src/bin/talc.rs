//! talc 5.
//! Floor: the shared work.

#![no_std]
#![no_main]

use ace_alloc::CriticalSectionLock;
use ace_firmware_flash::{ARENA_BYTES, arena, work};
use cortex_m as _;
use talc::{TalcLock, source::Manual};

#[global_allocator]
static HEAP: TalcLock<CriticalSectionLock, Manual> = TalcLock::new(Manual);

#[cortex_m_rt::entry]
fn main() -> ! {
    // SAFETY: the arena is asked for once.
    let _ = unsafe { HEAP.lock().claim(arena(), ARENA_BYTES) };
    work()
}
