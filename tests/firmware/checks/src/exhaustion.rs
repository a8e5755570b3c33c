//! A heap that is used up, and used again.
//! Floor: the global allocator.

use crate::SEED;
use crate::blocks::{alloc, largest, layout};
use crate::random::Random;
use ace_alloc::LockedHeap;
use ace_alloc::region::Scale;
use alloc::alloc::dealloc;
use alloc::vec::Vec;
use core::alloc::Layout;
use core::{ptr, slice};
use lock_api::RawMutex;

/// The head of each block of a [`Chain`]; the rest of the block is filled with `mark`.
struct Link {
    next: *mut Link,
    bytes: usize,
    mark: u8,
}

impl Link {
    fn layout(&self) -> Layout {
        layout(self.bytes, align_of::<Self>())
    }

    /// The block behind its head.
    ///
    /// # Safety
    /// `link` is a block of a chain.
    unsafe fn rest<'a>(link: *mut Self) -> &'a mut [u8] {
        // SAFETY: the block has `bytes` bytes, and nobody else refers to them.
        unsafe { slice::from_raw_parts_mut(link.add(1).cast(), (*link).bytes - size_of::<Self>()) }
    }
}

/// Blocks that know each other, so that holding them needs no memory of its own.
struct Chain {
    head: *mut Link,
    blocks: usize,
    bytes: usize,
}

impl Chain {
    const EMPTY: Self = Self { head: ptr::null_mut(), blocks: 0, bytes: 0 };

    /// Takes blocks until there are no more.
    fn fill(&mut self, random: &mut Random) {
        loop {
            let bytes = size_of::<Link>() + random.below(128);
            // SAFETY: the block is large and aligned enough for a link.
            unsafe {
                let link: *mut Link = alloc(layout(bytes, align_of::<Link>())).cast();
                if link.is_null() {
                    return;
                }
                link.write(Link { next: self.head, bytes, mark: self.blocks as u8 });
                Link::rest(link).fill((*link).mark);
                self.head = link;
            }
            self.blocks += 1;
            self.bytes += bytes;
        }
    }

    /// Checks each block, and frees every `nth`.
    fn free(&mut self, nth: usize) {
        let mut at: *mut *mut Link = &raw mut self.head;
        let mut count = 0;
        // SAFETY: `at` is the head or the `next` of a block of the chain, which are all live.
        unsafe {
            while !(*at).is_null() {
                let link = *at;
                let mark = (*link).mark;
                assert!(Link::rest(link).iter().all(|byte| *byte == mark), "a block's content");
                count += 1;
                if count % nth == 0 {
                    *at = (*link).next;
                    self.blocks -= 1;
                    self.bytes -= (*link).bytes;
                    dealloc(link.cast(), (*link).layout());
                } else {
                    at = &raw mut (*link).next;
                }
            }
        }
    }
}

/// Answers the bytes of the blocks that were had before the first refusal.
pub fn a_full_heap_says_so_and_recovers<L: RawMutex, S: Scale>(
    heap: &LockedHeap<L, S>,
    bytes: usize,
) -> usize {
    let at_first = largest();
    let mut random = Random::new(SEED);
    let mut chain = Chain::EMPTY;
    chain.fill(&mut random);
    let usable = chain.bytes;
    assert!(usable > bytes / 4 * 3, "{usable} of {bytes} bytes could be used");
    assert!(Vec::<u8>::new().try_reserve_exact(bytes / 2).is_err(), "the heap is full");
    for nth in [2, 3] {
        chain.free(nth);
        let left = chain.blocks;
        chain.fill(&mut random);
        assert!(chain.blocks > left, "there is room again");
    }
    chain.free(1);
    assert_eq!((chain.blocks, chain.bytes), (0, 0));
    heap.trim();
    assert!(largest() >= at_first, "free blocks grow together again");
    usable
}
