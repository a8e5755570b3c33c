//! The checks as a WebAssembly module: its heap has nothing at first and claims what memory.grow gives.
//! Floor: the checks, and two functions of the host.

#![no_std]
#![no_main]

extern crate alloc;

use ace_alloc::region::Wide;
use ace_alloc::{LockedHeap, RegionHeap, SpinLock};
use ace_firmware_checks::{SPARE, Surroundings, misuse, run as check};
use alloc::string::String;
use alloc::vec::Vec;
use core::alloc::Layout;
use core::arch::wasm32::{memory_grow, memory_size, unreachable};
use core::cell::UnsafeCell;
use core::fmt::{Arguments, Write};
use core::panic::PanicInfo;
use core::{fmt, ptr};

/// Bytes of a page, which is what memory grows by.
const PAGE: usize = 64 << 10;
/// What the heap has at least when the checks begin.
const FIRST: usize = 256 << 10;

#[global_allocator]
static HEAP: LockedHeap<SpinLock, Wide> = LockedHeap::with_oom(grow);

/// Claims as many pages as the block and the heap's own data can need.
fn grow(heap: &mut RegionHeap<Wide>, wanted: Layout) -> bool {
    let bytes = wanted.size() + wanted.align() + wanted.size() / 8;
    let pages = bytes / PAGE + 1;
    let before = memory_grow::<0>(pages);
    if before == usize::MAX {
        return false;
    }
    // SAFETY: these pages are new, so nobody else has them.
    unsafe { heap.claim(ptr::without_provenance_mut(before * PAGE), pages * PAGE) }.is_ok()
}

#[repr(align(4096))]
struct Spare(UnsafeCell<[u8; SPARE]>);
// SAFETY: only heaps touch it.
unsafe impl Sync for Spare {}
static SPARE_MEMORY: Spare = Spare(UnsafeCell::new([0; SPARE]));

#[link(wasm_import_module = "host")]
unsafe extern "C" {
    /// Prints a part of a line.
    fn print(start: *const u8, bytes: usize);
}

struct Host;
impl Write for Host {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // SAFETY: the host reads the text before it comes back.
        unsafe { print(text.as_ptr(), text.len()) };
        Ok(())
    }
}

fn say(line: Arguments<'_>) {
    let _ = writeln!(Host, "{line}");
}

/// All checks.
#[unsafe(no_mangle)]
pub extern "C" fn checks() {
    let pages = memory_size::<0>();
    let block = Vec::<u8>::with_capacity(FIRST);
    assert!(memory_size::<0>() >= pages + FIRST / PAGE, "the memory has grown");
    drop(block);
    say(format_args!("holds: memory grows"));
    check(&HEAP, FIRST, Surroundings { say, spare: SPARE_MEMORY.0.get().cast() });
    let grown = memory_size::<0>();
    for _ in 0..100 {
        assert_eq!(Vec::<u8>::with_capacity(FIRST).capacity(), FIRST);
    }
    assert_eq!(memory_size::<0>(), grown, "what was freed is used again");
    say(format_args!("all hold"));
}

/// What must trap: kind 0 frees twice, 1 what is not the heap's, 2 the middle of a block.
#[unsafe(no_mangle)]
pub extern "C" fn stops(kind: usize) {
    let kind = String::from(["double", "foreign", "interior"][kind]);
    // SAFETY: the heap stops the program, and nothing follows if it doesn't.
    unsafe { misuse(&kind) };
    panic!("{kind}: not noticed");
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    say(format_args!("{info}"));
    unreachable()
}
