//! The least that a kernel or a firmware needs: a heap, which is a static, and memory for it. This one runs on any
//! host, so its memory is an array that the heap claims at the first request. A kernel calls
//! `unsafe { HEAP.claim(start, bytes) }` instead, once for each range of its memory map.
//!
//! `cargo run -p ace-alloc --example kernel`

use ace_alloc::region::Wide;
use ace_alloc::{LockedHeap, RegionHeap};
use core::alloc::Layout;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};
use std::collections::BTreeMap;

#[global_allocator]
static HEAP: LockedHeap = LockedHeap::with_oom(claim_memory);

/// Called under the heap's lock when a request can't be met; must not allocate.
fn claim_memory(heap: &mut RegionHeap<Wide>, _: Layout) -> bool {
    static CLAIMED: AtomicBool = AtomicBool::new(false);
    // SAFETY: the memory is claimed once, and nobody else uses it.
    !CLAIMED.swap(true, Ordering::Relaxed)
        && unsafe { heap.claim(MEMORY.0.get().cast(), BYTES) }.is_ok()
}

const BYTES: usize = 1 << 20;
struct Memory(UnsafeCell<[u8; BYTES]>);
// SAFETY: only the heap touches it.
unsafe impl Sync for Memory {}
static MEMORY: Memory = Memory(UnsafeCell::new([0; BYTES]));

fn main() {
    let squares: BTreeMap<u64, String> = (0..1000).map(|n| (n, (n * n).to_string())).collect();
    assert_eq!(squares[&12], "144");
    println!("with a thousand strings: {:?}", HEAP.stats());
    drop(squares);
    // What a kernel's idle loop does: blocks that were kept for requests of their size join their neighbours.
    HEAP.trim();
    println!("without: {:?}", HEAP.stats());
    assert!(Vec::<u8>::new().try_reserve(2 * BYTES).is_err(), "a full heap says so");
}
