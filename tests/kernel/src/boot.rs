//! From the loader to Rust: the assembly in `boot.s`, and what the loader says about the machine.

use core::{ffi::CStr, ops::Range};

/// CPUs that are brought up; further ones stay parked.
pub const CPUS: usize = 2;
/// Where the other CPUs begin, in real mode: any free page below 1 MiB.
pub const TRAMPOLINE: usize = 0x8000;
const STACK_BYTES: usize = 128 << 10;

core::arch::global_asm!(
    include_str!("boot.s"),
    cpus = const CPUS,
    trampoline = const TRAMPOLINE,
    stack_bytes = const STACK_BYTES,
    options(att_syntax)
);

unsafe extern "C" {
    static start_info: *const StartInfo;
    static trampoline: u8;
    static trampoline_end: u8;
    static image_end: u8;
}

/// What the loader hands over, as far as it is used here: `struct hvm_start_info`.
#[repr(C)]
struct StartInfo {
    magic: u32,
    version: u32,
    flags: u32,
    modules: u32,
    module_list: u64,
    command_line: u64,
    rsdp: u64,
    memory_map: u64,
    memory_map_entries: u32,
}

/// One range of the memory map.
#[repr(C)]
struct MemoryRange {
    start: u64,
    bytes: u64,
    kind: u32,
    reserved: u32,
}

const MAGIC: u32 = 0x336E_C578;
const USABLE: u32 = 1;
/// Longest command line that is read.
const LINE_BYTES: usize = 256;

fn info() -> &'static StartInfo {
    // SAFETY: `boot.s` has stored what the loader passed; the structure lies in identity-mapped memory that
    // nobody else uses before `copy_trampoline` and the heap take theirs.
    let info = unsafe { &*start_info };
    assert_eq!(info.magic, MAGIC, "entered by the PVH protocol");
    assert!(info.version >= 1, "start information has a memory map");
    info
}

fn at<T>(address: u64) -> *const T {
    core::ptr::with_exposed_provenance(address as usize)
}

/// The command line.
pub fn command_line() -> &'static str {
    // SAFETY: the protocol: a string that ends with zero, in memory that can be read far beyond it.
    let bytes = unsafe { core::slice::from_raw_parts(at::<u8>(info().command_line), LINE_BYTES) };
    let line = CStr::from_bytes_until_nul(bytes).unwrap_or_default();
    line.to_str().unwrap_or_default()
}

/// The largest range of memory behind the kernel's image.
pub fn free_memory() -> Range<usize> {
    let info = info();
    // SAFETY: the protocol: an array of that many entries.
    let map = unsafe {
        core::slice::from_raw_parts(
            at::<MemoryRange>(info.memory_map),
            info.memory_map_entries as usize,
        )
    };
    let first = (&raw const image_end).addr();
    let usable = map.iter().filter(|range| range.kind == USABLE);
    let behind = usable.map(|range| {
        (range.start as usize).max(first)..(range.start.saturating_add(range.bytes)) as usize
    });
    behind.max_by_key(ExactSizeIterator::len).unwrap_or_default()
}

/// Puts the first instructions of the other CPUs where those begin.
pub fn copy_trampoline() {
    let bytes = (&raw const trampoline_end).addr() - (&raw const trampoline).addr();
    let target = core::ptr::with_exposed_provenance_mut(TRAMPOLINE);
    // SAFETY: the page below 1 MiB is free memory by the layout of a PC, and nobody's.
    unsafe { (&raw const trampoline).copy_to(target, bytes) };
}
