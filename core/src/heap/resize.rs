//! Growing and shrinking a block, in place where its kind allows. Floor: roof.

use super::Heap;
use crate::{
    arena::{CHECKED, Entry},
    gate::{self, Place},
    geometry::Geometry,
    platform::{Misuse, MisuseKind, Platform},
    pool::Shared,
    size_class::SizeClass,
    slab::Slab,
};
use core::{
    alloc::Layout,
    ptr::{NonNull, null_mut},
};

impl<P: Platform> Heap<P> {
    /// Changes the size of a block that `malloc`, `calloc` or `realloc` gave; the content is kept
    /// up to the smaller size. Null: out of memory, and the block is untouched.
    ///
    /// # Safety
    /// `block` is a live block of this heap; if another one is returned, it is freed.
    pub unsafe fn realloc(&self, block: *mut u8, bytes: usize) -> *mut u8 {
        // SAFETY: the caller's promise.
        match unsafe { self.resize_in_place(block, bytes) } {
            Resized::Here(block) => block,
            // SAFETY: the caller's promise, and `old` is the block's usable size.
            Resized::Move(old) => unsafe { self.relocate(block, old, bytes, self.malloc(bytes)) },
            Resized::Bad => null_mut(),
        }
    }

    /// [`Self::realloc`] for a block of `layout`, keeping its alignment.
    ///
    /// # Safety
    /// As for `GlobalAlloc::realloc`.
    pub unsafe fn realloc_layout(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        let Ok(wanted) = Layout::from_size_align(bytes, layout.align()) else { return null_mut() };
        let narrow = |bytes| layout.align() <= 8 && bytes <= SizeClass::NARROW_MAX;
        if let Some(class) = SizeClass::aligned(bytes, layout.align())
            && class.bytes() <= P::Geometry::CLASS_MAX
            && SizeClass::aligned(layout.size(), layout.align()) == Some(class)
        {
            return block;
        }
        if layout.align() <= 16 && !narrow(layout.size()) && !narrow(bytes) {
            // SAFETY: the caller's promise; no class below 16-byte alignment is involved.
            return unsafe { self.realloc(block, bytes) };
        }
        // SAFETY: the caller's promise.
        unsafe { self.relocate(block, layout.size(), bytes, self.alloc(wanted)) }
    }

    /// # Safety
    /// `block` is a live block of at least `old` bytes, `new` null or one of at least `bytes`.
    unsafe fn relocate(&self, block: *mut u8, old: usize, bytes: usize, new: *mut u8) -> *mut u8 {
        if !new.is_null() {
            // SAFETY: the caller's promise; two live blocks don't overlap.
            unsafe { core::ptr::copy_nonoverlapping(block, new, old.min(bytes)) };
            // SAFETY: the caller gives the old block up.
            unsafe { self.free(block) };
        }
        new
    }

    /// # Safety
    /// As for `realloc`.
    unsafe fn resize_in_place(&self, block: *mut u8, bytes: usize) -> Resized {
        let place = gate::place(&self.shared, block.addr());
        match place {
            Place::Slab(class) => {
                let Some(arena) = self.shared.arena() else { return Resized::Bad };
                let slab = Slab::of(arena, block.addr(), class);
                // A visitor may have put it back, and then its live bit is still set.
                if !slab.is_out(block.addr()) || (CHECKED && !arena.is_live(block.addr())) {
                    return bad::<P>(slab.fault(block.addr()), block);
                }
                let old = class.bytes();
                // In place while at least half of the block stays in use.
                let stays = bytes <= old && (bytes >= old / 2 || old <= 32);
                if stays { Resized::Here(block) } else { Resized::Move(old) }
            }
            Place::Large(_) | Place::Outside if !Shared::<P>::may_wait() => {
                match gate::usable_size(&self.shared, block) {
                    0 => Resized::Bad,
                    old => Resized::Move(old),
                }
            }
            Place::Large(unit) => self.resize_large(block, unit, bytes),
            Place::Outside => {
                let Some(old) = self.shared.huge_bytes(block.addr()) else {
                    return bad::<P>(MisuseKind::Foreign, block);
                };
                // SAFETY: the caller's promise.
                unsafe { self.resize_huge(block, old, bytes) }
            }
            Place::LargeInside => bad::<P>(MisuseKind::Interior, block),
            Place::Nothing => bad::<P>(MisuseKind::NeverAllocated, block),
        }
    }

    fn resize_large(&self, block: *mut u8, unit: u32, bytes: usize) -> Resized {
        let Some(mut pool) = self.shared.lock() else { return Resized::Bad };
        if pool.arena.route(unit) != Entry::LARGE_HEAD {
            drop(pool);
            return bad::<P>(MisuseKind::NeverAllocated, block);
        }
        let old = pool.arena.span(unit).large_bytes();
        let stays_large = bytes > P::Geometry::CLASS_MAX && bytes < P::Geometry::HUGE_MIN;
        if stays_large && pool.resize_large(unit, bytes) {
            return Resized::Here(block);
        }
        Resized::Move(old)
    }

    /// # Safety
    /// As for `realloc`.
    unsafe fn resize_huge(&self, block: *mut u8, old: usize, bytes: usize) -> Resized {
        if let Some(start) = NonNull::new(block)
            && bytes >= P::Geometry::HUGE_MIN / 2
            && bytes <= isize::MAX as usize
        {
            // SAFETY: the caller's promise.
            if let Ok(moved) = unsafe { self.shared.resize_huge(start, bytes) } {
                return Resized::Here(moved.as_ptr());
            }
        }
        Resized::Move(old)
    }
}

enum Resized {
    /// The block has the new size; it may have moved by its page tables.
    Here(*mut u8),
    /// It has to be copied; this is its usable size.
    Move(usize),
    /// It is no block.
    Bad,
}

fn bad<P: Platform>(kind: MisuseKind, block: *mut u8) -> Resized {
    P::misuse(Misuse { kind, address: block.addr(), block_bytes: 0, owner: 0 });
    Resized::Bad
}
