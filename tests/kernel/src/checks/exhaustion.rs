//! Memory to the last byte: the answer is null, never a panic, and what is given back can be had again.

use crate::{heap::GLOBAL, say, work};
use alloc::alloc::GlobalAlloc;
use core::{
    alloc::Layout,
    ptr::{self, NonNull},
    sync::atomic::{AtomicUsize, Ordering},
};

const LARGE: usize = 64 << 10;
const SMALL: usize = 1 << 10;
/// So many that losing one large block a round would show.
const ROUNDS: usize = 12;

/// As much as the first time, but for a hundredth: tables of the heap's own lie where they were needed.
fn is_as_much(blocks: usize, first: usize) -> bool {
    blocks * 100 >= first * 99
}

/// Blocks that hold each other: a list in the very memory that is being used up.
struct Hoard {
    first: *mut Link,
    layout: Layout,
    blocks: usize,
}

struct Link {
    next: *mut Link,
    check: usize,
}

impl Hoard {
    /// All blocks of this size that can be had.
    fn of(bytes: usize) -> Self {
        let layout = Layout::from_size_align(bytes, align_of::<Link>()).expect("a small layout");
        let mut hoard = Self { first: ptr::null_mut(), layout, blocks: 0 };
        // SAFETY: the layout is not empty.
        while let Some(block) = NonNull::new(unsafe { GLOBAL.alloc(layout) }) {
            let block = block.cast::<Link>();
            let link = Link { next: hoard.first, check: block.addr().get() ^ bytes };
            // SAFETY: the block is ours, aligned for a link and large enough.
            unsafe { block.write(link) };
            hoard.first = block.as_ptr();
            hoard.blocks += 1;
        }
        hoard
    }
}

impl Drop for Hoard {
    fn drop(&mut self) {
        while !self.first.is_null() {
            let block = self.first;
            // SAFETY: `of` has put a link into every block.
            let link = unsafe { block.read() };
            assert_eq!(link.check, block.addr() ^ self.layout.size(), "a block handed out twice");
            self.first = link.next;
            // SAFETY: from `alloc` with this layout, and not used any more.
            unsafe { GLOBAL.dealloc(block.cast(), self.layout) };
        }
    }
}

/// One CPU alone, then all against each other.
pub fn check() {
    let large = Hoard::of(LARGE).blocks;
    let small = Hoard::of(SMALL).blocks;
    for _ in 1..ROUNDS {
        let again = Hoard::of(LARGE).blocks;
        assert!(is_as_much(again, large), "large blocks: {large}, then {again}");
        let again = Hoard::of(SMALL).blocks;
        assert!(is_as_much(again, small), "small blocks: {small}, then {again}");
    }
    static TOGETHER: [AtomicUsize; ROUNDS] = [const { AtomicUsize::new(0) }; ROUNDS];
    work::on_all(|_| {
        for together in &TOGETHER {
            work::meet();
            let hoard = Hoard::of(SMALL);
            together.fetch_add(hoard.blocks, Ordering::Relaxed);
            work::meet();
        }
    });
    for together in &TOGETHER {
        let together = together.load(Ordering::Relaxed);
        assert!(is_as_much(together, small), "small blocks: {small}, on all CPUs {together}");
    }
    say!("   {large} blocks of {LARGE} bytes, or {small} of {SMALL}");
}
