//! RISC-V: the machine timer and mstatus.MIE.
//! Floor: the hart's registers, and the timer of QEMU's virt.

use crate::section;
use ace_firmware_checks::interrupts::{Timer, tick};
use core::ptr;
use riscv::interrupt::{self, Interrupt};
use riscv::register::{mie, mip, mstatus};

pub const TIMER: Timer = Timer { start, stop, caught: section::caught };

/// The timer's registers of hart 0: the time, and when it interrupts, in units of 100 ns.
const TIME: *const u32 = ptr::without_provenance(0x0200_BFF8);
const COMPARE: *mut u32 = ptr::without_provenance_mut(0x0200_4000);

/// Masks interrupts, and answers whether they were not masked.
pub fn mask() -> bool {
    let were_active = mstatus::read().mie();
    interrupt::disable();
    were_active
}

/// # Safety
/// No critical section needs the mask.
pub unsafe fn unmask() {
    // SAFETY: as promised.
    unsafe { interrupt::enable() };
}

/// The timer's interrupt is due.
pub fn timer_waits() -> bool {
    mip::read().mtimer()
}

/// The timer interrupts after `ticks`.
fn arm(ticks: u32) {
    // SAFETY: these are the timer's registers, and only its code touches them. An image runs for less than
    // 2^32 units, so the upper halves are 0.
    unsafe {
        let now = TIME.read_volatile();
        COMPARE.write_volatile(now + ticks);
        COMPARE.add(1).write_volatile(0);
    }
}

fn start() {
    arm(1);
    // SAFETY: the handler is below, and `start` is not called within a critical section.
    unsafe {
        mie::set_mtimer();
        interrupt::enable();
    }
}

fn stop() {
    // SAFETY: the interrupt is masked, nothing else changes.
    unsafe { mie::clear_mtimer() };
}

#[riscv_rt::core_interrupt(Interrupt::MachineTimer)]
fn machine_timer() {
    arm(tick());
}
