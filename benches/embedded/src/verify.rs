//! Owns the check that a heap keeps its promises on a trace: a pass of its own, never timed.

use crate::heap::{Arena, Heap};
use crate::replay::{Replay, Watcher};
use crate::trace::Trace;
use ace_bench_peers::clock;
use std::alloc::Layout;

/// A heap that is slow is checked no longer than this after it was filled.
const PATIENCE_NS: u64 = 500_000_000;
/// Steps between two looks at the clock.
const STRETCH: usize = 500;

/// Fills every block and looks at it again before it goes: blocks that overlap, lie outside the arena,
/// are aligned wrongly or lose their contents don't pass.
struct Inspector {
    arena: Arena,
    wrong: Option<String>,
}

/// What the bytes of a slot's block are.
fn pattern(slot: u32, at: usize) -> u8 {
    (slot.wrapping_mul(0x9E37_79B1) >> 24) as u8 ^ at as u8
}

impl Inspector {
    fn complain(&mut self, what: &str, slot: u32, layout: Layout) {
        let (bytes, align) = (layout.size(), layout.align());
        let text = format!("{what}: slot {slot}, {bytes} bytes aligned to {align}");
        self.wrong.get_or_insert(text);
    }

    /// Does the block still hold its pattern, as far as `bytes`?
    ///
    /// # Safety
    /// 1. It is live, has so many bytes, and `fill` filled them.
    unsafe fn look(&mut self, slot: u32, block: *mut u8, layout: Layout, bytes: usize) {
        // SAFETY: (1).
        let held = unsafe { std::slice::from_raw_parts(block, bytes) };
        // All of it, without an early end: the compiler takes many bytes at once.
        let differ = |sum: u8, (at, &byte): (usize, &u8)| sum | (byte ^ pattern(slot, at));
        if held.iter().enumerate().fold(0, differ) != 0 {
            self.complain("a block does not hold what was written", slot, layout);
        }
    }
}

impl Watcher for Inspector {
    unsafe fn taken(&mut self, slot: u32, block: *mut u8, layout: Layout) {
        let start = self.arena.start.addr();
        let inside =
            block.addr() >= start && block.addr() + layout.size() <= start + self.arena.bytes;
        if !inside {
            // Not written to: it could be anyone's.
            return self.complain("a block outside the arena", slot, layout);
        }
        if !block.addr().is_multiple_of(layout.align()) {
            self.complain("a block that is not aligned", slot, layout);
        }
        // SAFETY: the caller's (1), and the arena is ours.
        let held = unsafe { std::slice::from_raw_parts_mut(block, layout.size()) };
        held.iter_mut().enumerate().for_each(|(at, byte)| *byte = pattern(slot, at));
    }

    unsafe fn given(&mut self, slot: u32, block: *mut u8, layout: Layout) {
        // After a block outside the arena nothing is certain.
        if self.wrong.is_none() {
            // SAFETY: the caller's (1), and `taken` filled it.
            unsafe { self.look(slot, block, layout, layout.size()) };
        }
    }

    unsafe fn grown(&mut self, slot: u32, block: *mut u8, layout: Layout, old: usize) {
        // SAFETY: the caller's (1): the old contents came along.
        unsafe { self.look(slot, block, layout, old) };
        // SAFETY: the caller's (1).
        unsafe { self.taken(slot, block, layout) };
    }
}

/// Fills the heap and goes on with the trace while there is time, checking every block; how many steps
/// were made.
pub fn run<H: Heap>(arena: Arena, trace: &Trace) -> Result<usize, String> {
    let mut inspector = Inspector { arena, wrong: None };
    let mut replay = Replay::<H>::new(trace);
    let (fill, rest) = trace.steps.split_at(trace.fill);
    replay.go(fill, &mut inspector);
    let (start, mut made) = (clock::now_ns(), fill.len());
    for stretch in rest.chunks(STRETCH) {
        if inspector.wrong.is_some() || clock::now_ns() - start > PATIENCE_NS {
            break;
        }
        replay.go(stretch, &mut inspector);
        made += stretch.len();
    }
    if inspector.wrong.is_none() {
        replay.finish(&mut inspector);
    }
    inspector.wrong.map_or(Ok(made), Err)
}
