//! The serial port COM1, which everything is said on, and the end of the machine.

use crate::ports;
use ace_alloc::SpinLock;
use core::fmt::{self, Write};
use lock_api::Mutex;

const COM1: u16 = 0x3F8;
const LINE_STATUS: u16 = COM1 + 5;
const CAN_SEND: u8 = 1 << 5;
/// QEMU's `isa-debug-exit`: the exit code is twice the value written, plus one.
const DEBUG_EXIT: u16 = 0xF4;

struct Com1;

static PORT: Mutex<SpinLock, Com1> = Mutex::new(Com1);

/// 115200 bits a second, 8 bits, no parity, one stop bit, queues on.
pub fn begin() {
    for (register, value) in
        [(1, 0x00), (3, 0x80), (0, 0x01), (1, 0x00), (3, 0x03), (2, 0xC7), (4, 0x03)]
    {
        // SAFETY: registers of the serial port.
        unsafe { ports::write_u8(COM1 + register, value) };
    }
}

impl Write for Com1 {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            // SAFETY: reading the status changes nothing but the status.
            while unsafe { ports::read_u8(LINE_STATUS) } & CAN_SEND == 0 {}
            // SAFETY: sends the byte.
            unsafe { ports::write_u8(COM1, byte) };
        }
        Ok(())
    }
}

/// Writes a line; use [`say!`]. Not for interrupt handlers, which could wait for the CPU they interrupt.
pub fn write_line(line: fmt::Arguments<'_>) {
    // A serial port does not fail.
    let _ = writeln!(PORT.lock(), "{line}");
}

/// Writes a line at once, whoever else is writing: for last words.
pub fn write_last_line(line: fmt::Arguments<'_>) {
    let _ = writeln!(Com1, "\n{line}");
}

/// Writes one line to the serial port.
#[macro_export]
macro_rules! say {
    ($($text:tt)*) => { $crate::serial::write_line(format_args!($($text)*)) };
}

/// How the kernel ended, as QEMU's exit code.
#[derive(Clone, Copy, Debug)]
pub enum Verdict {
    /// 33: every check passed.
    Passed = 16,
    /// 35: a check failed, or something else panicked.
    Failed = 17,
    /// 37: the CPU raised an exception.
    Fault = 18,
    /// 39: the misuse hook ended the kernel, as the command line asked.
    Misused = 19,
}

/// Ends the machine.
pub fn exit(verdict: Verdict) -> ! {
    // SAFETY: the device ends the machine; that is what is wanted.
    unsafe { ports::write_u32(DEBUG_EXIT, verdict as u32) };
    loop {
        core::hint::spin_loop();
    }
}
