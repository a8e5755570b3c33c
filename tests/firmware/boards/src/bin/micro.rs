//! The checks on a heap of the scale `Micro`.
//! Floor: the boards.

#![no_std]
#![no_main]

use ace_alloc::region::Micro;
use ace_alloc::{CriticalSectionLock, LockedHeap};

#[global_allocator]
static HEAP: LockedHeap<CriticalSectionLock, Micro> = LockedHeap::empty();

#[cfg_attr(target_arch = "arm", cortex_m_rt::entry)]
#[cfg_attr(not(target_arch = "arm"), riscv_rt::entry)]
fn main() -> ! {
    ace_firmware_boards::run(&HEAP)
}
