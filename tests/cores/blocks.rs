//! Blocks with a content that tells whose they are, and the memory that heaps are given.

use ace_alloc::{CoreHeap, CoreId, Geometry, PageProvider};
use std::alloc::{Layout, alloc};

/// A block in the hands of a test.
#[derive(Debug)]
pub struct Block {
    start: *mut u8,
    layout: Layout,
    content: u8,
}

// SAFETY: a block is memory, which any thread may use.
unsafe impl Send for Block {}

/// A layout of so many bytes.
pub fn layout(bytes: usize) -> Layout {
    Layout::from_size_align(bytes, 16).expect("a layout")
}

/// Memory for ever, which begins at a multiple of a MiB: what a claim leaves over at its ends depends on where it lies.
pub fn memory(bytes: usize) -> *mut u8 {
    let layout = Layout::from_size_align(bytes, 1 << 20).expect("a layout");
    // SAFETY: not of size 0.
    let start = unsafe { alloc(layout) };
    assert!(!start.is_null());
    // SAFETY: just allocated. Not zero: a heap must not rely on it.
    unsafe { start.write_bytes(0xA5, bytes) };
    start
}

impl Block {
    /// A new block, unless there is no memory.
    pub fn new<C, const CORES: usize, G, L, S>(
        heap: &CoreHeap<C, CORES, G, L, S>,
        bytes: usize,
        content: u8,
    ) -> Option<Self>
    where
        C: CoreId,
        G: Geometry,
        L: lock_api::RawMutex,
        S: PageProvider,
    {
        let start = heap.alloc(layout(bytes));
        if start.is_null() {
            return None;
        }
        assert_eq!(start.addr() % 16, 0);
        // SAFETY: the block is ours and that long.
        unsafe { start.write_bytes(content, bytes) };
        Some(Self { start, layout: layout(bytes), content })
    }

    fn check(&self) {
        // SAFETY: the block is live and was written.
        let bytes = unsafe { std::slice::from_raw_parts(self.start, self.layout.size()) };
        assert!(bytes.iter().all(|&byte| byte == self.content), "somebody wrote into a block");
    }

    /// Changes its size, if there is memory for that.
    pub fn resize<C, const CORES: usize, G, L, S>(
        &mut self,
        heap: &CoreHeap<C, CORES, G, L, S>,
        bytes: usize,
    ) where
        C: CoreId,
        G: Geometry,
        L: lock_api::RawMutex,
        S: PageProvider,
    {
        self.check();
        // SAFETY: the block is live and of this layout.
        let moved = unsafe { heap.realloc(self.start, self.layout, bytes) };
        if !moved.is_null() {
            (self.start, self.layout) = (moved, layout(bytes.min(self.layout.size())));
            self.check();
            self.layout = layout(bytes);
            // SAFETY: the block is ours and that long.
            unsafe { moved.write_bytes(self.content, bytes) };
        }
    }

    /// Frees it.
    pub fn free<C, const CORES: usize, G, L, S>(self, heap: &CoreHeap<C, CORES, G, L, S>)
    where
        C: CoreId,
        G: Geometry,
        L: lock_api::RawMutex,
        S: PageProvider,
    {
        self.check();
        // SAFETY: the block is live and of this layout.
        unsafe { heap.dealloc(self.start, self.layout) };
    }

    /// Where it is.
    pub fn start(&self) -> *mut u8 {
        self.start
    }
}
