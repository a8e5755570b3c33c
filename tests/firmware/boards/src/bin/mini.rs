//! The checks on a heap of the scale `Mini`.
//! Floor: the boards.

#![no_std]
#![no_main]

use ace_alloc::region::Mini;
use ace_alloc::{CriticalSectionLock, LockedHeap};

#[global_allocator]
static HEAP: LockedHeap<CriticalSectionLock, Mini> = LockedHeap::empty();

#[cfg_attr(target_arch = "arm", cortex_m_rt::entry)]
#[cfg_attr(not(target_arch = "arm"), riscv_rt::entry)]
fn main() -> ! {
    ace_firmware_boards::run(&HEAP)
}
