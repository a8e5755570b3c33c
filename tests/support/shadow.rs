//! The shadow of a heap: a model that owns every live range and the pattern it was filled with.

use std::alloc::Layout;
use std::collections::BTreeMap;

/// Ranges up to this many bytes are filled and checked in full, larger ones at both ends and once a
/// page.
const FULL_CHECK: usize = 32 << 10;
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
        let block = Block { ptr, bytes, layout, stamp: self.stamps };
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
        for offset in offsets(self.bytes) {
            // SAFETY: the offset is inside the block, which is the caller's to write.
            unsafe { self.ptr.add(offset).write(pattern(self.stamp, offset)) };
        }
    }

    /// Checks the pattern of the first `bytes` bytes, of this block or of its copy at `self.ptr`.
    ///
    /// # Panics
    /// If it is broken.
    pub fn check(&self, bytes: usize) {
        for offset in offsets(self.bytes).take_while(|&offset| offset < bytes) {
            // SAFETY: the offset is inside a live block of the model.
            let found = unsafe { self.ptr.add(offset).read() };
            let wanted = pattern(self.stamp, offset);
            assert_eq!(
                found, wanted,
                "byte {offset} of the live block {:p} of {} bytes changed",
                self.ptr, self.bytes
            );
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
    for offset in 0..bytes {
        // SAFETY: inside the range that the caller vouches for.
        let found = unsafe { ptr.add(offset).read() };
        assert_eq!(found, 0, "byte {offset} of a zeroed block of {bytes} bytes at {ptr:p}");
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a pattern is made of low bytes")]
const fn pattern(stamp: u64, offset: usize) -> u8 {
    // Never zero: a page that was dropped shows.
    (stamp.wrapping_mul(0x9D).wrapping_add(offset as u64 * 7) as u8) | 1
}

/// Offsets at which a block of this size is filled and checked, ascending.
fn offsets(bytes: usize) -> impl Iterator<Item = usize> {
    let (head, tail) = if bytes <= FULL_CHECK { (bytes, bytes) } else { (PAGE, bytes - PAGE) };
    (0..head).chain((head..tail).step_by(PAGE)).chain(tail..bytes)
}
