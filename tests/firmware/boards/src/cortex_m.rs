//! Cortex-M: SysTick and PRIMASK.
//! Floor: the core's registers.

use crate::section;
use ace_firmware_checks::interrupts::{Timer, tick};
use cortex_m::interrupt;
use cortex_m::peripheral::SCB;
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m::register::primask;

pub const TIMER: Timer = Timer { start, stop, caught: section::caught };

/// Masks interrupts, and answers whether they were not masked.
pub fn mask() -> bool {
    let were_active = primask::read().is_active();
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
    SCB::is_pendst_pending()
}

/// The timer interrupts after `ticks`.
fn arm(ticks: u32) {
    // SAFETY: only the timer's code touches its registers.
    let mut timer = unsafe { cortex_m::Peripherals::steal() }.SYST;
    timer.set_reload(ticks + 1);
    timer.clear_current();
    timer.enable_counter();
}

fn start() {
    // SAFETY: as in `arm`.
    let mut timer = unsafe { cortex_m::Peripherals::steal() }.SYST;
    timer.set_clock_source(SystClkSource::Core);
    timer.enable_interrupt();
    arm(1);
}

fn stop() {
    // SAFETY: as in `arm`.
    let mut timer = unsafe { cortex_m::Peripherals::steal() }.SYST;
    timer.disable_interrupt();
    timer.disable_counter();
}

#[cortex_m_rt::exception]
fn SysTick() {
    arm(tick());
}
