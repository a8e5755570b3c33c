//! QEMU's boards for the checks: memory for the heap, arguments and exit codes by semihosting.
//! Floor: the part for the processor, and the checks.

#![no_std]

#[cfg(target_arch = "arm")]
mod cortex_m;
#[cfg(any(target_arch = "riscv32", target_arch = "riscv64"))]
mod riscv;
mod section;

#[cfg(target_arch = "arm")]
use cortex_m as processor;
#[cfg(any(target_arch = "riscv32", target_arch = "riscv64"))]
use riscv as processor;

use ace_alloc::LockedHeap;
use ace_alloc::region::Scale;
use ace_firmware_checks::{SPARE, Surroundings, interrupts, misuse, run as check};
use core::cell::UnsafeCell;
use core::fmt::Arguments;
use core::panic::PanicInfo;
use lock_api::RawMutex;
use semihosting::{experimental::env, println, process};

/// Bytes of the largest heap.
const LARGEST: usize = 64 << 10;
/// Bytes of the longest command line.
const ARGUMENTS: usize = 256;
/// What a panic exits with, as a hosted program does.
const PANICKED: i32 = 101;

#[repr(align(4096))]
struct Memory<const BYTES: usize>(UnsafeCell<[u8; BYTES]>);
// SAFETY: only heaps touch it.
unsafe impl<const BYTES: usize> Sync for Memory<BYTES> {}

static ARENA: Memory<LARGEST> = Memory(UnsafeCell::new([0; LARGEST]));
static SPARE_MEMORY: Memory<SPARE> = Memory(UnsafeCell::new([0; SPARE]));

/// Does what the command line asks for, on the global allocator: `IMAGE BYTES [MISUSE]`. Exits with 0 if
/// everything holds.
pub fn run<L: RawMutex, S: Scale>(heap: &LockedHeap<L, S>) -> ! {
    let arguments = env::args::<ARGUMENTS>().expect("a command line");
    let mut arguments = (&arguments).into_iter().map(|argument| argument.expect("text")).skip(1);
    let bytes: usize = arguments.next().and_then(|bytes| bytes.parse().ok()).expect("bytes");
    assert!(bytes <= LARGEST, "there are {LARGEST} bytes");
    // SAFETY: the memory is nobody else's. Whatever lay there before must not matter.
    unsafe {
        ARENA.0.get().cast::<u8>().write_bytes(0xA5, LARGEST);
        heap.claim(ARENA.0.get().cast(), bytes).expect("the first region");
    }
    if let Some(kind) = arguments.next() {
        // SAFETY: the heap stops the program, and nothing follows if it doesn't.
        unsafe { misuse(kind) };
        panic!("{kind}: not noticed");
    }
    let ticks = interrupts::may_allocate(&processor::TIMER, bytes);
    println!("holds: an interrupt may allocate while allocation is interrupted; {ticks}");
    check(heap, bytes, Surroundings { say, spare: SPARE_MEMORY.0.get().cast() });
    println!("all hold");
    process::exit(0)
}

fn say(line: Arguments<'_>) {
    println!("{line}");
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    println!("{info}");
    process::exit(PANICKED)
}
