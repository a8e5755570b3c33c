//! What each CPU has for itself, found through GS: its number, its clock, its interrupt stacks, and what it is at.

use crate::{apic, boot, boot::CPUS};
use core::{
    arch::asm,
    cell::{Cell, UnsafeCell},
    ptr,
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, compiler_fence},
};

/// IST slot of interrupts. They have a stack of their own because compiled code uses the 128 bytes below its
/// stack pointer (the red zone), which an interrupt on the same stack would overwrite.
pub const INTERRUPT_STACK: u8 = 1;
/// IST slot of faults, which may happen inside interrupts too.
pub const FAULT_STACK: u8 = 2;
const STACK_BYTES: usize = 32 << 10;

const CODE: u64 = 0x00AF_9B00_0000_FFFF;
const DATA: u64 = 0x00CF_9300_0000_FFFF;
const TSS_SELECTOR: u16 = 0x18;
const TSS_BYTES: usize = 104;
const GS_BASE: u32 = 0xC000_0101;

#[repr(align(16))]
struct Stack(UnsafeCell<[u8; STACK_BYTES]>);

impl Stack {
    fn top(&self) -> u64 {
        (self.0.get().addr() + STACK_BYTES) as u64
    }
}

/// See the module's documentation.
#[repr(C, align(64))]
pub struct Cpu {
    /// Its own address, for `gs:[0]`.
    this: Cell<*const Cpu>,
    number: Cell<usize>,
    in_interrupt: AtomicBool,
    in_allocator: AtomicBool,
    /// Locks of the heap that this CPU holds.
    locks: AtomicU32,
    /// Period of the timer.
    period_us: AtomicU32,
    /// Periods gone by.
    clock_us: AtomicU64,
    gdt: Cell<[u64; 5]>,
    tss: Cell<[u32; TSS_BYTES / 4]>,
    interrupt_stack: Stack,
    fault_stack: Stack,
}

// SAFETY: the cells are written by their own CPU alone and read by no other; the stacks are the CPU's.
unsafe impl Sync for Cpu {}

static ALL: [Cpu; CPUS] = [const { Cpu::new() }; CPUS];

/// The CPU that runs this.
#[inline(always)]
pub fn this() -> &'static Cpu {
    let this: *const Cpu;
    // SAFETY: GS is set by `begin`, before anything that calls this. What lies there never changes then, so that
    // the compiler may as well read it once.
    unsafe {
        asm!("mov {}, gs:[0]", out(reg) this, options(pure, nomem, nostack, preserves_flags))
    };
    // SAFETY: as above: an element of a static.
    unsafe { &*this }
}

impl Cpu {
    const fn new() -> Self {
        Self {
            this: Cell::new(ptr::null()),
            number: Cell::new(0),
            in_interrupt: AtomicBool::new(false),
            in_allocator: AtomicBool::new(false),
            locks: AtomicU32::new(0),
            period_us: AtomicU32::new(0),
            clock_us: AtomicU64::new(0),
            gdt: Cell::new([0; 5]),
            tss: Cell::new([0; TSS_BYTES / 4]),
            interrupt_stack: Stack(UnsafeCell::new([0; STACK_BYTES])),
            fault_stack: Stack(UnsafeCell::new([0; STACK_BYTES])),
        }
    }

    /// Number of the CPU, below [`CPUS`].
    #[inline(always)]
    pub fn number(&self) -> usize {
        self.number.get()
    }

    /// Whether an interrupt handler runs.
    #[inline(always)]
    pub fn in_interrupt(&self) -> bool {
        self.in_interrupt.load(Ordering::Relaxed)
    }

    /// Runs the body of an interrupt handler.
    pub fn interrupted(&self, handler: impl FnOnce()) {
        marked(&self.in_interrupt, handler);
    }

    /// Whether the allocator runs: what a handler asks about the code that it interrupts.
    pub fn in_allocator(&self) -> bool {
        self.in_allocator.load(Ordering::Relaxed)
    }

    /// Whether this CPU holds a lock of the allocator, likewise.
    pub fn holds_lock(&self) -> bool {
        self.locks.load(Ordering::Relaxed) > 0
    }

    /// Notes that it does. A handler in between takes and leaves, so that the count is as before.
    pub fn took_lock(&self) {
        self.locks.store(self.locks.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
    }

    /// Notes that it is about to leave one.
    pub fn left_lock(&self) {
        compiler_fence(Ordering::SeqCst);
        self.locks.store(self.locks.load(Ordering::Relaxed) - 1, Ordering::Relaxed);
    }

    /// Runs a call of the allocator.
    #[inline(always)]
    pub fn allocating<R>(&self, call: impl FnOnce() -> R) -> R {
        marked(&self.in_allocator, call)
    }

    /// Has the timer interrupt this CPU from now on, once a period.
    pub fn set_period_us(&self, period_us: u32) {
        self.period_us.store(period_us, Ordering::Relaxed);
        apic::start_timer(period_us);
    }

    /// A period has gone by.
    pub fn tick(&self) {
        let period_us = self.period_us.load(Ordering::Relaxed);
        self.clock_us.fetch_add(period_us.into(), Ordering::Relaxed);
    }

    fn set_up(&'static self, number: usize) {
        self.this.set(self);
        self.number.set(number);
        let mut tss = [0_u32; TSS_BYTES / 4];
        for (slot, stack) in
            [(INTERRUPT_STACK, &self.interrupt_stack), (FAULT_STACK, &self.fault_stack)]
        {
            let (top, at) = (stack.top(), 7 + 2 * usize::from(slot));
            (tss[at], tss[at + 1]) = (top as u32, (top >> 32) as u32);
        }
        // No I/O permissions: the map would begin behind the end.
        tss[TSS_BYTES / 4 - 1] = (TSS_BYTES as u32) << 16;
        self.tss.set(tss);
        let base = self.tss.as_ptr().addr() as u64;
        let limit = TSS_BYTES as u64 - 1;
        let low = limit | (base & 0xFF_FFFF) << 16 | 0x89 << 40 | (base >> 24 & 0xFF) << 56;
        self.gdt.set([0, CODE, DATA, low, base >> 32]);
        let gdt = TablePointer::of(&self.gdt);
        // SAFETY: the new table has the same segments under the same selectors, and a task segment.
        unsafe {
            asm!("lgdt [{}]", "ltr {:x}", in(reg) &raw const gdt, in(reg) TSS_SELECTOR, options(nostack));
        }
        let address = ptr::from_ref(self).addr();
        // SAFETY: nothing uses GS but `this`.
        unsafe {
            asm!("wrmsr", in("ecx") GS_BASE, in("eax") address as u32, in("edx") address >> 32,
                options(nostack));
        }
    }
}

/// What `lgdt` and `lidt` want: limit and address of a table.
#[repr(C, packed)]
pub struct TablePointer {
    limit: u16,
    start: usize,
}

impl TablePointer {
    /// Of a table that stays where it is.
    pub fn of<T>(table: &'static T) -> Self {
        Self { limit: (size_of::<T>() - 1) as u16, start: ptr::from_ref(table).addr() }
    }
}

/// Runs `work` with the mark set; an interrupt on this CPU sees it exactly then.
#[inline(always)]
fn marked<R>(mark: &AtomicBool, work: impl FnOnce() -> R) -> R {
    let before = mark.load(Ordering::Relaxed);
    mark.store(true, Ordering::Relaxed);
    compiler_fence(Ordering::SeqCst);
    let result = work();
    compiler_fence(Ordering::SeqCst);
    mark.store(before, Ordering::Relaxed);
    result
}

/// Takes possession of the CPU that runs this: GS, segments, interrupt stacks.
pub fn begin(number: usize) {
    ALL[number].set_up(number);
}

/// Wakes the other CPUs and waits until they are there.
pub fn start_others() {
    boot::copy_trampoline();
    apic::wake_others(boot::TRAMPOLINE);
    // A CPU that is there has a clock that goes.
    while ALL[1..].iter().any(|cpu| cpu.clock_us.load(Ordering::Relaxed) == 0) {
        core::hint::spin_loop();
    }
}

/// Milliseconds since the kernel began: all CPUs go by the clock of CPU 0.
pub fn now_ms() -> u64 {
    ALL[0].clock_us.load(Ordering::Relaxed) / 1000
}
