//! Turns of ACE from the idle loop: they are taken, and memory that nobody uses goes back.

use super::pattern::Filled;
use crate::{cpu, heap, say};
use alloc::vec::Vec;

/// What is used for a while, in blocks of these sizes.
const SIZES: [usize; 3] = [100, 1000, 30_000];
const BYTES_OF_EACH: usize = 4 << 20;

/// See the module's documentation.
pub fn check() {
    let blocks: Vec<Filled> = SIZES
        .iter()
        .flat_map(|&bytes| {
            (0..BYTES_OF_EACH / bytes).map_while(move |at| Filled::new(bytes, at as u8))
        })
        .collect();
    let turns = heap::turns();
    drop(blocks);
    let full = heap::HEAP.stats();
    let began = cpu::now_ms();
    // No bound in time: the harness ends a kernel that waits for ever.
    while heap::HEAP.stats().dirty_bytes > full.dirty_bytes / 4 || heap::turns() < turns + 10 {
        cpu::idle();
    }
    let idle = heap::HEAP.stats();
    say!(
        "   {} turns in {} ms of idling; dirty memory: {} KiB, then {} KiB",
        heap::turns() - turns,
        cpu::now_ms() - began,
        full.dirty_bytes >> 10,
        idle.dirty_bytes >> 10
    );
}
