//! The shadow of a heap: a model that owns every live range and the pattern it was filled with.

use std::alloc::Layout;
use std::collections::BTreeMap;
use std::slice;

/// Ranges up to this many bytes are filled and checked in full, larger ones at both ends and once a
/// page, or, above 256 KiB, at `MOST_SPOTS` pages.
const FULL_CHECK: usize = 32 << 10;
const MOST_SPOTS: usize = 64;
const PAGE: usize = 4096;

/// A live block, as the program sees it.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// Where it starts.
    pub ptr: *mut u8,
    /// Bytes that hold the pattern: all that the program may use.
    pub bytes: usize,
    /// The layout it was asked with, if it came from `alloc`.
    pub layout: Option<Layout>,
    align: usize,
    stamp: u64,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Shadow {
    blocks: Vec<Block>,
    ends: BTreeMap<usize, usize>,
    stamps: u64,
    bytes: usize,
}

// SAFETY: the blocks of the model are owned by it: whoever holds the shadow may touch them.
unsafe impl Send for Shadow {}

impl Shadow {
    /// Takes a block over from the heap: checks that it is aligned and overlaps no live block, and
    /// fills it.
    ///
    /// # Safety
    /// `bytes` bytes from `ptr` are the caller's to write.
    ///
    /// # Panics
    /// If the heap broke a promise.
    pub unsafe fn adopt(
        &mut self,
        ptr: *mut u8,
        bytes: usize,
        align: usize,
        layout: Option<Layout>,
    ) {
        let (start, end) = (ptr.addr(), ptr.addr() + bytes.max(1));
        assert_eq!(start % align, 0, "block {ptr:p} of {bytes} bytes is not aligned to {align}");
        if let Some((&other, &other_end)) = self.ends.range(..end).next_back() {
            assert!(
                other_end <= start,
                "block {start:#x}..{end:#x} overlaps the live block {other:#x}..{other_end:#x}"
            );
        }
        self.ends.insert(start, end);
        self.stamps += 1;
        let block = Block { ptr, bytes, layout, align, stamp: self.stamps };
        // SAFETY: the caller vouches for the range.
        unsafe { block.fill() };
        self.blocks.push(block);
        self.bytes += bytes;
    }

    /// Takes a block out of the model, to be handed back to the heap, and checks its pattern.
    ///
    /// # Panics
    /// If the pattern is broken, or there is no such block.
    pub fn surrender(&mut self, index: usize) -> Block {
        let block = self.blocks.swap_remove(index);
        self.ends.remove(&block.ptr.addr());
        self.bytes -= block.bytes;
        block.check(block.bytes);
        block
    }

    /// The block with this number, modulo the number of blocks; `None` if there are none.
    #[must_use]
    pub fn pick(&self, number: usize) -> Option<usize> {
        (!self.blocks.is_empty()).then(|| number % self.blocks.len())
    }

    /// The number of the block that starts here.
    #[must_use]
    pub fn find(&self, ptr: *mut u8) -> Option<usize> {
        self.blocks.iter().position(|block| block.ptr == ptr)
    }

    /// A block of the model.
    #[must_use]
    pub fn block(&self, index: usize) -> Block {
        self.blocks[index]
    }

    /// Live blocks.
    #[must_use]
    pub fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Whether nothing is live.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Live bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes that no other block of their kind can have: those of the live blocks, or their alignment
    /// where that is more.
    #[must_use]
    pub fn claimed_bytes(&self) -> usize {
        self.blocks.iter().map(|block| block.bytes.max(block.align)).sum()
    }

    /// Checks the pattern of every live block.
    ///
    /// # Panics
    /// If one is broken.
    pub fn check_all(&self) {
        for block in &self.blocks {
            block.check(block.bytes);
        }
    }
}

impl Block {
    unsafe fn fill(&self) {
        for (offset, bytes) in spots(self.bytes) {
            let wanted = &pattern(self.stamp, offset)[..bytes];
            // SAFETY: the spot is inside the block, which is the caller's to write.
            unsafe { self.ptr.add(offset).copy_from_nonoverlapping(wanted.as_ptr(), bytes) };
        }
    }

    /// Checks the pattern of the first `bytes` bytes, of this block or of its copy at `self.ptr`.
    ///
    /// # Panics
    /// If it is broken.
    pub fn check(&self, bytes: usize) {
        for (offset, length) in spots(self.bytes).take_while(|&(offset, _)| offset < bytes) {
            let length = length.min(bytes - offset);
            // SAFETY: the spot is inside a live block of the model.
            let found = unsafe { slice::from_raw_parts(self.ptr.add(offset), length) };
            let wanted = &pattern(self.stamp, offset)[..length];
            if found != wanted {
                let at = found.iter().zip(wanted).position(|(one, other)| one != other);
                panic!(
                    "byte {} of the live block {:p} of {} bytes changed",
                    offset + at.expect("they differ"),
                    self.ptr,
                    self.bytes
                );
            }
        }
    }
}

/// Checks that a range reads as zero.
///
/// # Safety
/// The range is the caller's to read.
///
/// # Panics
/// If a byte is not zero.
pub unsafe fn assert_zero(ptr: *const u8, bytes: usize) {
    for offset in (0..bytes).step_by(PAGE) {
        let length = PAGE.min(bytes - offset);
        // SAFETY: inside the range that the caller vouches for.
        let found = unsafe { slice::from_raw_parts(ptr.add(offset), length) };
        if found != &[0; PAGE][..length] {
            let at = offset + found.iter().take_while(|byte| **byte == 0).count();
            panic!("byte {at} of a zeroed block of {bytes} bytes at {ptr:p} is not zero");
        }
    }
}

const PERIOD: usize = 256;

/// What the bytes from `offset` to the next multiple of the period on hold. Never zero: a page that
/// was dropped shows.
fn pattern(stamp: u64, offset: usize) -> &'static [u8] {
    /// Two periods of odd numbers, so that a pattern may begin anywhere in the first.
    static BYTES: [u8; 2 * PERIOD] = {
        let mut bytes = [0; 2 * PERIOD];
        let mut at = 0;
        while at < bytes.len() {
            bytes[at] = (at * 7) as u8 | 1;
            at += 1;
        }
        bytes
    };
    let first = stamp.wrapping_mul(0x9D) as usize % PERIOD;
    &BYTES[first + offset % PERIOD..first + PERIOD]
}

/// The spots of a block of this size that are filled and checked, as offset and length, ascending;
/// none of them crosses a period of the pattern.
fn spots(bytes: usize) -> impl Iterator<Item = (usize, usize)> {
    let whole = |from: usize, to: usize| {
        let starts = std::iter::successors(Some(from), |at| Some((at / PERIOD + 1) * PERIOD));
        starts
            .take_while(move |at| *at < to)
            .map(move |at| (at, (PERIOD - at % PERIOD).min(to - at)))
    };
    let (head, tail) = if bytes <= FULL_CHECK { (bytes, bytes) } else { (PAGE, bytes - PAGE) };
    let step = (bytes / PAGE).div_ceil(MOST_SPOTS).max(1) * PAGE;
    let pages = (head..tail).step_by(step).map(|at| (at, 1));
    whole(0, head).chain(pages).chain(whole(tail, bytes))
}
