//! The table of interrupts: the timer, single steps, and faults, which end the kernel with a report.
//!
//! Handlers are Rust functions behind a few instructions that save what a function may change, vector
//! registers included: the toolchain is that of hosted programs, which uses them everywhere.

use crate::{
    apic,
    cpu::{self, FAULT_STACK, INTERRUPT_STACK, TablePointer},
    serial::{self, Verdict},
};
use core::{
    arch::{asm, naked_asm},
    cell::Cell,
    sync::atomic::{AtomicPtr, Ordering},
};

const STEP_VECTOR: u8 = 1;
/// Where the timer calls.
pub const TIMER_VECTOR: u8 = 0x20;
/// Where an APIC calls that has lost an interrupt under way.
pub const SPURIOUS_VECTOR: u8 = 0xFF;

const CODE_SELECTOR: u64 = 0x08;
const PRESENT_GATE: u64 = 0x8E;
/// Flags: interrupts are enabled.
const ENABLED: u64 = 1 << 9;
/// Flags: trap after the next instruction.
const STEP: u64 = 1 << 8;

/// What the CPU pushes when it is interrupted.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// Address of the next instruction.
    pub instruction: u64,
    /// Code segment.
    pub code: u64,
    /// Flags.
    pub flags: u64,
    /// Stack pointer.
    pub stack: u64,
    /// Stack segment.
    pub stack_segment: u64,
}

impl Frame {
    /// Whether an interrupt could have come here.
    pub fn is_interruptible(&self) -> bool {
        self.flags & ENABLED != 0
    }
}

/// What a check does in interrupts.
pub type Handler = fn(&Frame);

struct Table(Cell<[[u64; 2]; 256]>);
// SAFETY: written by `describe` before there is a second CPU, then only read by the CPUs themselves.
unsafe impl Sync for Table {}
static TABLE: Table = Table(Cell::new([[0; 2]; 256]));

fn gate(entry: extern "C" fn(), stack: u8) -> [u64; 2] {
    let address = (entry as *const ()).expose_provenance() as u64;
    let low = address & 0xFFFF
        | CODE_SELECTOR << 16
        | u64::from(stack) << 32
        | PRESENT_GATE << 40
        | (address >> 16 & 0xFFFF) << 48;
    [low, address >> 32]
}

/// Fills the table; once.
pub fn describe() {
    let mut table = [[0; 2]; 256];
    let faults: [(usize, extern "C" fn()); 10] = [
        (0, fault::<0>),
        (2, fault::<2>),
        (3, fault::<3>),
        (6, fault::<6>),
        (8, fault::<8>),
        (11, fault::<11>),
        (12, fault::<12>),
        (13, fault::<13>),
        (14, fault::<14>),
        (17, fault::<17>),
    ];
    for (vector, entry) in faults {
        table[vector] = gate(entry, FAULT_STACK);
    }
    table[usize::from(STEP_VECTOR)] = gate(step_entry, INTERRUPT_STACK);
    table[usize::from(TIMER_VECTOR)] = gate(timer_entry, INTERRUPT_STACK);
    table[usize::from(SPURIOUS_VECTOR)] = gate(spurious_entry, INTERRUPT_STACK);
    TABLE.0.set(table);
}

/// Gives the table to the CPU that runs this.
pub fn load() {
    let pointer = TablePointer::of(&TABLE);
    // SAFETY: the table is filled and stays.
    unsafe { asm!("lidt [{}]", in(reg) &raw const pointer, options(nostack, preserves_flags)) };
}

/// Lets interrupts come.
pub fn enable() {
    // SAFETY: the table is loaded; no memory is handed over, but the compiler must not move accesses across.
    unsafe { asm!("sti", options(nostack)) };
}

/// Keeps interrupts away. Returns whether they could come before.
pub fn disable() -> bool {
    let flags: u64;
    // SAFETY: reads and clears a flag.
    unsafe { asm!("pushfq", "pop {}", "cli", out(reg) flags) };
    flags & ENABLED != 0
}

/// Runs `work` one instruction at a time: after each, the handler of steps is called.
pub fn single_stepped<R>(work: impl FnOnce() -> R) -> R {
    set_step(|flags| flags | STEP);
    let result = work();
    set_step(|flags| flags & !STEP);
    result
}

#[inline(always)]
fn set_step(change: impl FnOnce(u64) -> u64) {
    let flags: u64;
    // SAFETY: reads the flags.
    unsafe { asm!("pushfq", "pop {}", out(reg) flags) };
    // SAFETY: changes the trap flag alone, for which there is a handler.
    unsafe { asm!("push {}", "popfq", in(reg) change(flags)) };
}

fn nothing(_: &Frame) {}

/// A handler that checks exchange.
pub struct Hook(AtomicPtr<()>);

/// Called by the timer of every CPU, after it has counted.
pub static ON_TIMER: Hook = Hook::new();
/// Called after each instruction of what is single-stepped.
pub static ON_STEP: Hook = Hook::new();

impl Hook {
    const fn new() -> Self {
        Self(AtomicPtr::new(nothing as *mut ()))
    }

    /// Puts `handler` in the place of the one before.
    pub fn set(&self, handler: Handler) {
        self.0.store(handler as *mut (), Ordering::Release);
    }

    /// Back to doing nothing.
    pub fn clear(&self) {
        self.set(nothing);
    }

    fn call(&self, frame: &Frame) {
        // SAFETY: nothing but `Handler`s is ever stored.
        let handler =
            unsafe { core::mem::transmute::<*mut (), Handler>(self.0.load(Ordering::Acquire)) };
        handler(frame);
    }
}

/// Code that saves what a Rust function may change, calls one with the frame, and returns to where the
/// CPU was. The CPU has aligned the stack to 16 bytes and pushed 5 words; 9 more keep it aligned.
macro_rules! entry {
    ($name:ident => $handler:ident) => {
        #[unsafe(naked)]
        extern "C" fn $name() {
            naked_asm!(
                "push rax", "push rcx", "push rdx", "push rsi", "push rdi",
                "push r8", "push r9", "push r10", "push r11",
                "lea rdi, [rsp + 9 * 8]",
                "sub rsp, 512",
                "fxsave64 [rsp]",
                "cld",
                "call {}",
                "fxrstor64 [rsp]",
                "add rsp, 512",
                "pop r11", "pop r10", "pop r9", "pop r8",
                "pop rdi", "pop rsi", "pop rdx", "pop rcx", "pop rax",
                "iretq",
                sym $handler,
            )
        }
    };
}

entry!(timer_entry => timer);
entry!(step_entry => step);

extern "C" fn timer(frame: &Frame) {
    let cpu = cpu::this();
    cpu.tick();
    cpu.interrupted(|| ON_TIMER.call(frame));
    apic::end_of_interrupt();
}

extern "C" fn step(frame: &Frame) {
    cpu::this().interrupted(|| ON_STEP.call(frame));
}

#[unsafe(naked)]
extern "C" fn spurious_entry() {
    naked_asm!("iretq")
}

#[unsafe(naked)]
extern "C" fn fault<const VECTOR: u32>() {
    naked_asm!(
        "mov edi, {}",
        "mov rsi, rsp",
        "and rsp, -16",
        "call {}",
        const VECTOR,
        sym report,
    )
}

/// Says what happened and ends the kernel. Vectors 8 and 10 to 14 push an error code first.
extern "C" fn report(vector: u32, stack: *const u64) -> ! {
    let has_code = matches!(vector, 8 | 10..=14 | 17);
    // SAFETY: the CPU has just pushed this.
    let (code, frame) = unsafe {
        let code = if has_code { *stack } else { 0 };
        (code, *stack.add(usize::from(has_code)).cast::<Frame>())
    };
    let address: u64;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, cr2", out(reg) address, options(nomem, nostack, preserves_flags)) };
    serial::write_last_line(format_args!(
        "exception {vector} (error {code:#x}, address {address:#x}): {frame:x?}"
    ));
    serial::exit(Verdict::Fault)
}
