//! A page provider of one's own: a heap for one subsystem, which may have so many pages and no more, and gives
//! them back. A kernel would map and unmap frames where this one counts them.
//!
//! `cargo run -p ace-alloc --example pages`

use ace_alloc::geometry::Small;
use ace_alloc::{
    Heap, Misuse, NoThreads, OutOfPages, PageProvider, Platform, Purged, Region, SpinLock,
};
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicUsize, Ordering};
use std::alloc::{Layout, alloc_zeroed};

/// Pages from the host's allocator.
struct Budget {
    /// Bytes that may be committed from now on.
    left: AtomicUsize,
}

impl Budget {
    /// Takes `bytes` of the budget.
    fn take(&self, bytes: usize) -> Result<(), OutOfPages> {
        let less = |left: usize| left.checked_sub(bytes);
        let taken = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        taken.map(drop).map_err(|_| OutOfPages)
    }
}

// SAFETY: a reservation is memory of its own, zero at first, for ever.
unsafe impl PageProvider for Budget {
    const PAGE: usize = 4096;

    /// Address space only: a kernel sets a range aside. The host has the memory already.
    fn reserve(&self, bytes: usize, align: usize) -> Result<Region, OutOfPages> {
        let layout = Layout::from_size_align(bytes, align).map_err(|_| OutOfPages)?;
        // SAFETY: a reservation isn't empty.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or(OutOfPages)?;
        Ok(Region { start, bytes })
    }

    /// Memory behind a range: a kernel maps frames.
    unsafe fn commit(&self, range: Region) -> Result<(), OutOfPages> {
        self.take(range.bytes)
    }

    /// The heap can do without this range's content: a kernel takes its frames back, and a page fault brings
    /// zero ones. Here the next touch finds zeros as well, and the budget stays spent, because no fault tells
    /// of that touch.
    unsafe fn purge(&self, range: Region) -> Purged {
        // SAFETY: the range is committed, and nobody needs its content.
        unsafe { ptr::write_bytes(range.start.as_ptr(), 0, range.bytes) };
        Purged::Zeroed
    }

    /// There are no regions but the reservation, which the heap keeps.
    unsafe fn release(&self, _: Region) {}
}

/// A heap without threads of its own: every call goes to the shared pool, under its lock.
struct Subsystem;

impl Platform for Subsystem {
    type Geometry = Small;
    type Pages = Budget;
    type Threads = NoThreads;
    type Lock = SpinLock;

    fn misuse(misuse: Misuse) {
        panic!("{:#x}: {}", misuse.address, misuse.kind.reason());
    }
}

static HEAP: Heap<Subsystem> = Heap::new(Budget { left: AtomicUsize::new(4 << 20) });

fn main() {
    let mut blocks = Vec::new();
    loop {
        let block = HEAP.malloc(1000);
        if block.is_null() {
            break;
        }
        blocks.push(block);
    }
    println!("{} blocks of 1000 bytes within the budget", blocks.len());
    assert!(blocks.len() > 1000 && blocks.len() < 4195);
    for block in blocks {
        // SAFETY: the block is live and not used afterwards.
        unsafe { HEAP.free(block) };
    }
    println!("{} bytes given back", HEAP.trim(0));
    assert!(!HEAP.malloc(1000).is_null(), "there is room again");
}
