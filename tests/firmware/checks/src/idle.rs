//! Statistics, and what the idle loop does for the heap.
//! Floor: the global allocator.

use crate::blocks;
use ace_alloc::LockedHeap;
use ace_alloc::region::Scale;
use alloc::vec::Vec;
use lock_api::RawMutex;

/// Milliseconds of an idle loop.
const IDLE_MS: u64 = 10_000;

/// Turns of an idle loop bring the heap back to a free block at least as large as `at_first`.
pub fn turns_give_everything_back<L: RawMutex, S: Scale>(heap: &LockedHeap<L, S>, at_first: usize) {
    let before = heap.stats();
    let blocks: Vec<Vec<u8>> = (1..20).map(|length| Vec::with_capacity(length)).collect();
    assert!(heap.stats().live > before.live);
    drop(blocks);
    assert_eq!(heap.stats().live, before.live, "what was freed is not in use");
    for now in (0..IDLE_MS).step_by(100) {
        heap.turn(now);
    }
    assert_eq!(heap.stats().live, 0, "all checks have freed what they had");
    assert!(blocks::largest() >= at_first, "free blocks grow together again");
}
