//! The heaps as other crates want them: `GlobalAlloc`, and the `Allocator` of `allocator-api2`,
//! whose minor versions have a trait each (features `allocator-api2-02`, `-03`, `-04`).
//! Floor: roof.

use crate::{
    cores::{CoreHeap, CoreId},
    geometry::Geometry,
    heap::Heap,
    pages::PageProvider,
    platform::Platform,
};
use core::alloc::{GlobalAlloc, Layout};
use lock_api::RawMutex;

// SAFETY: blocks are disjoint, aligned and as large as asked, and stay so until they are freed.
unsafe impl<P: Platform> GlobalAlloc for Heap<P> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { self.alloc(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { self.dealloc(block, layout) };
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { self.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { self.realloc_layout(block, layout, bytes) }
    }
}

// SAFETY: blocks are disjoint, aligned and as large as asked, and stay so until they are freed.
unsafe impl<C, const CORES: usize, G, L, S> GlobalAlloc for CoreHeap<C, CORES, G, L, S>
where
    C: CoreId,
    G: Geometry,
    L: RawMutex + 'static,
    S: PageProvider + 'static,
{
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.alloc(layout)
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { self.dealloc(block, layout) };
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        self.alloc_zeroed(layout)
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { self.realloc(block, layout, bytes) }
    }
}

#[cfg(any(
    feature = "allocator-api2-02",
    feature = "allocator-api2-03",
    feature = "allocator-api2-04"
))]
mod blocks {
    //! What the versions of `Allocator` have in common.

    use core::{
        alloc::{GlobalAlloc, Layout},
        ptr::{NonNull, without_provenance_mut},
    };

    pub type Block = Option<NonNull<[u8]>>;

    fn whole(start: *mut u8, layout: Layout) -> Block {
        Some(NonNull::slice_from_raw_parts(NonNull::new(start)?, layout.size()))
    }

    pub fn allocate(heap: &impl GlobalAlloc, layout: Layout, zeroed: bool) -> Block {
        if layout.size() == 0 {
            return whole(without_provenance_mut(layout.align()), layout);
        }
        // SAFETY: the size is not zero.
        let start = unsafe { if zeroed { heap.alloc_zeroed(layout) } else { heap.alloc(layout) } };
        whole(start, layout)
    }

    /// # Safety
    /// As for `Allocator::deallocate`.
    pub unsafe fn deallocate(heap: &impl GlobalAlloc, block: NonNull<u8>, layout: Layout) {
        if layout.size() > 0 {
            // SAFETY: the caller's promise.
            unsafe { heap.dealloc(block.as_ptr(), layout) };
        }
    }

    /// # Safety
    /// As for `Allocator::grow`, or `shrink`.
    pub unsafe fn resize(
        heap: &impl GlobalAlloc,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Block {
        if old.align() == new.align() && old.size() > 0 && new.size() > 0 {
            // SAFETY: the caller's promise; sizes are not zero.
            return whole(unsafe { heap.realloc(block.as_ptr(), old, new.size()) }, new);
        }
        let moved = allocate(heap, new, false)?;
        let bytes = old.size().min(new.size());
        // SAFETY: both blocks are live and at least that long.
        unsafe { block.copy_to_nonoverlapping(moved.cast(), bytes) };
        // SAFETY: the caller's promise.
        unsafe { deallocate(heap, block, old) };
        Some(moved)
    }
}

/// `Allocator` for a reference to a heap that is a `GlobalAlloc`, in each version that is wanted.
macro_rules! allocators {
    ([$($generics:tt)*] $heap:ty) => {
        #[cfg(feature = "allocator-api2-02")]
        allocators!(allocator_api2_02: [$($generics)*] $heap);
        #[cfg(feature = "allocator-api2-03")]
        allocators!(allocator_api2_03: [$($generics)*] $heap);
        #[cfg(feature = "allocator-api2-04")]
        allocators!(allocator_api2_04: [$($generics)*] $heap);
    };
    ($version:ident: [$($generics:tt)*] $heap:ty) => {
        const _: () = {
            use super::ecosystem::blocks;
            use core::{alloc::Layout, ptr::NonNull};
            use $version::alloc::{AllocError, Allocator};

            // SAFETY: blocks stay valid until they are freed, whatever becomes of the reference,
            // and equal references are of the same heap.
            unsafe impl<$($generics)*> Allocator for &$heap {
                #[inline]
                fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
                    blocks::allocate(*self, layout, false).ok_or(AllocError)
                }

                #[inline]
                fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
                    blocks::allocate(*self, layout, true).ok_or(AllocError)
                }

                #[inline]
                unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
                    // SAFETY: the caller's promise.
                    unsafe { blocks::deallocate(*self, block, layout) };
                }

                unsafe fn grow(
                    &self,
                    block: NonNull<u8>,
                    old: Layout,
                    new: Layout,
                ) -> Result<NonNull<[u8]>, AllocError> {
                    // SAFETY: the caller's promise.
                    unsafe { blocks::resize(*self, block, old, new) }.ok_or(AllocError)
                }

                unsafe fn shrink(
                    &self,
                    block: NonNull<u8>,
                    old: Layout,
                    new: Layout,
                ) -> Result<NonNull<[u8]>, AllocError> {
                    // SAFETY: the caller's promise.
                    unsafe { blocks::resize(*self, block, old, new) }.ok_or(AllocError)
                }
            }
        };
    };
}

allocators!([P: Platform] Heap<P>);
allocators!([L: RawMutex, S: crate::region::Scale] crate::region::LockedHeap<L, S>);
allocators!(
    [C: CoreId, const CORES: usize, G: Geometry, L: RawMutex + 'static, S: PageProvider + 'static]
    CoreHeap<C, CORES, G, L, S>
);
