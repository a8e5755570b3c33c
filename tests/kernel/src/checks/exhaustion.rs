//! Memory to the last byte: the answer is null, never a panic, and what is given back can be had again.

use crate::{cpu, say};
use alloc::alloc::{alloc, dealloc};
use core::{
    alloc::Layout,
    ptr::{self, NonNull},
    sync::atomic::{AtomicUsize, Ordering},
};

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
        while let Some(block) = NonNull::new(unsafe { alloc(layout) }) {
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
            unsafe { dealloc(block.cast(), self.layout) };
        }
    }
}

/// A size that has spans of its own, and one that slabs serve.
const SIZES: [usize; 2] = [64 << 10, 1 << 10];
const ROUNDS: usize = 4;

/// One CPU alone, then all against each other.
pub fn check() {
    for bytes in SIZES {
        let first = Hoard::of(bytes).blocks;
        for _ in 1..ROUNDS {
            let again = Hoard::of(bytes).blocks;
            say!("   {bytes}: {first} blocks, then {again}");
        }
    }
    static TOGETHER: [AtomicUsize; ROUNDS] = [const { AtomicUsize::new(0) }; ROUNDS];
    cpu::on_all(|_| {
        for together in &TOGETHER {
            cpu::meet();
            let hoard = Hoard::of(SIZES[1]);
            together.fetch_add(hoard.blocks, Ordering::Relaxed);
            cpu::meet();
        }
    });
    for together in &TOGETHER {
        say!("   together {}", together.load(Ordering::Relaxed));
    }
}
