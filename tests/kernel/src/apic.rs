//! The local APIC of the CPU that runs: its timer, and waking the others.

use crate::{interrupts, ports};

const BASE: usize = 0xFEE0_0000;
const END_OF_INTERRUPT: usize = 0xB0;
const SPURIOUS: usize = 0xF0;
const COMMAND: usize = 0x300;
const TIMER: usize = 0x320;
const INITIAL_COUNT: usize = 0x380;
const DIVIDE: usize = 0x3E0;

const ENABLED: u32 = 1 << 8;
const PERIODIC: u32 = 1 << 17;
const BY_ONE: u32 = 0b1011;
const PENDING: u32 = 1 << 12;
const TO_ALL_OTHERS: u32 = 0b11 << 18;
const ASSERT: u32 = 1 << 14;
const INIT: u32 = 0b101 << 8;
const STARTUP: u32 = 0b110 << 8;

fn register(offset: usize) -> *mut u32 {
    core::ptr::with_exposed_provenance_mut(BASE + offset)
}

fn read(offset: usize) -> u32 {
    // SAFETY: a register of the CPU's own APIC, mapped and not cached.
    unsafe { register(offset).read_volatile() }
}

fn write(offset: usize, value: u32) {
    // SAFETY: as in `read`; what the registers written here do is what the functions below are for.
    unsafe { register(offset).write_volatile(value) };
}

/// Switches the APIC on, and the interrupt controller of the PC/AT off.
pub fn begin() {
    for port in [0x21, 0xA1] {
        // SAFETY: masks all lines of the old controller, whose vectors are those of exceptions.
        unsafe { ports::write_u8(port, 0xFF) };
    }
    write(SPURIOUS, ENABLED | u32::from(interrupts::SPURIOUS_VECTOR));
}

/// Starts the periodic timer. QEMU's APIC counts nanoseconds; on another machine periods last as much longer as it
/// counts slower, which nothing here minds.
pub fn start_timer(period_us: u32) {
    write(DIVIDE, BY_ONE);
    write(TIMER, PERIODIC | u32::from(interrupts::TIMER_VECTOR));
    write(INITIAL_COUNT, period_us * 1000);
}

/// The interrupt has been dealt with: the next may come.
pub fn end_of_interrupt() {
    write(END_OF_INTERRUPT, 0);
}

/// Wakes all other CPUs, which begin in real mode at `address`: INIT, then twice "begin at this page".
pub fn wake_others(address: usize) {
    command(INIT, 10_000);
    for _ in 0..2 {
        command(STARTUP | (address >> 12) as u32, 200);
    }
}

fn command(what: u32, pause_us: u32) {
    write(COMMAND, TO_ALL_OTHERS | ASSERT | what);
    while read(COMMAND) & PENDING != 0 {
        core::hint::spin_loop();
    }
    for _ in 0..pause_us {
        // SAFETY: port 0x80 shows codes of the self-test; writing it takes about a microsecond.
        unsafe { ports::write_u8(0x80, 0) };
    }
}
