//! Turns of ACE from the idle loop: they are taken, and what the CPUs had cached for calls that no longer come goes
//! back to where every CPU, and every size, can have it.

use super::pattern::Filled;
use crate::{cpu, heap::HEAP, say, work};
use alloc::vec::Vec;

/// What every CPU uses for a while, in blocks of these sizes.
const SIZES: [usize; 4] = [40, 100, 500, 1000];
const BYTES_OF_EACH: usize = 2 << 20;

/// See the module's documentation.
pub fn check() {
    work::on_all(|_| {
        let blocks =
            |bytes| (0..BYTES_OF_EACH / bytes).map_while(move |at| Filled::new(bytes, at as u8));
        drop(SIZES.into_iter().flat_map(blocks).collect::<Vec<_>>());
    });
    let (before, began, turns) = (cached_bytes(), cpu::now_ms(), work::turns());
    // No bound in time: who boots the kernel ends one that waits for ever.
    while cached_bytes() > before / 10 {
        work::idle();
    }
    let (turns, ms) = (work::turns() - turns, cpu::now_ms() - began);
    say!(
        "   {before} bytes were cached; after {turns} turns in {ms} ms of idling {}",
        cached_bytes()
    );
    assert!(turns > 0);
}

fn cached_bytes() -> u64 {
    let classes = HEAP.stats().classes;
    classes.iter().map(|class| class.cached_blocks * u64::from(class.block_bytes)).sum()
}
