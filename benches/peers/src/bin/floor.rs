//! Owns the worker for no allocator at all: what the workloads themselves cost.
//!
//! One list a size class per thread over memory that was mapped once. Nothing is checked, nothing
//! is given back, and a block stays with the thread that freed it, so ace-bench leaves this row out
//! where threads free for each other: a lower bound, not a contestant.

use std::cell::Cell;
use std::process::ExitCode;
use std::ptr;

use ace_bench_peers::Peer;

/// Blocks are multiples of this many bytes up to FINE_MAX, of COARSE above it: so few classes there
/// that random sizes do not spread over more memory than they need.
const FINE: usize = 16;
const FINE_MAX: usize = 1 << 10;
const COARSE: usize = 1 << 10;
/// Classes: multiples of FINE, then multiples of COARSE up to 32 KiB.
const CLASSES: usize = FINE_MAX / FINE + 1 + 32;
/// Address space of each thread; only what is touched becomes memory.
const ARENA: usize = 1 << 32;

thread_local! {
    static LISTS: [Cell<*mut u8>; CLASSES] =
        const { [const { Cell::new(ptr::null_mut()) }; CLASSES] };
    static FRESH: Cell<*mut u8> = const { Cell::new(ptr::null_mut()) };
}

struct Floor;

// SAFETY: blocks are disjoint pieces of one mapping per thread, multiples of 16 from its page-aligned
// start; a freed block is on one list only, and lists belong to one thread.
unsafe impl Peer for Floor {
    fn version() -> String {
        "no allocator: what the loop costs".to_owned()
    }

    // Out of line, for the price of a call is part of every other row.
    #[inline(never)]
    fn malloc(bytes: usize) -> *mut u8 {
        LISTS.with(|lists| {
            let list = &lists[class(bytes)];
            let block = list.get();
            if block.is_null() {
                let unit = if bytes <= FINE_MAX { FINE } else { COARSE };
                return fresh(bytes.next_multiple_of(unit));
            }
            // SAFETY: `free` wrote the link into this block's first word.
            list.set(unsafe { block.cast::<*mut u8>().read() });
            block
        })
    }

    #[inline(never)]
    unsafe fn free(block: *mut u8, bytes: usize) {
        LISTS.with(|lists| {
            let list = &lists[class(bytes)];
            // SAFETY: Peer::free's condition 1 => the block is ours again, at least 16 bytes.
            unsafe { block.cast::<*mut u8>().write(list.get()) };
            list.set(block);
        });
    }
}

/// The class of a size.
#[inline(always)]
fn class(bytes: usize) -> usize {
    if bytes <= FINE_MAX { bytes.div_ceil(FINE) } else { FINE_MAX / FINE + bytes.div_ceil(COARSE) }
}

/// The next piece of the thread's mapping, which the first call makes.
#[cold]
fn fresh(bytes: usize) -> *mut u8 {
    let mut start = FRESH.get();
    if start.is_null() {
        // SAFETY: a fresh anonymous mapping touches nothing that exists.
        let arena = unsafe {
            libc::mmap(
                ptr::null_mut(),
                ARENA,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        assert!(arena != libc::MAP_FAILED, "no address space");
        start = arena.cast();
    }
    FRESH.set(start.wrapping_add(bytes));
    start
}

fn main() -> ExitCode {
    ace_bench_peers::run::<Floor>()
}
