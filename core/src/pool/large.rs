//! Large blocks (runs of units) and huge ones (regions of the provider). Floor: 1st.

use super::{Locked, Shared};
use crate::{
    address::align_up,
    arena::Entry,
    geometry::Geometry,
    pages::{OutOfPages, PageProvider, Purged, Region},
    platform::Platform,
    span::SpanKind,
    stats::BlockStats,
};
use core::ptr::NonNull;

/// A new block, and how much of it may not read as zero.
#[derive(Clone, Copy, Debug)]
pub struct Fresh {
    /// First byte.
    pub start: NonNull<u8>,
    /// Bytes that may not read as zero, somewhere in the block: all, unless the provider's memory
    /// begins as zero.
    pub dirty_bytes: usize,
}

impl<P: Platform> Locked<'_, P> {
    /// Large blocks in use.
    pub fn large_blocks(&self) -> BlockStats {
        self.large
    }

    /// Huge blocks in use.
    pub fn huge_blocks(&self) -> BlockStats {
        let (blocks, bytes) = self.huge.totals();
        BlockStats { blocks, bytes }
    }

    fn page_rounded(bytes: usize) -> usize {
        align_up(bytes.max(1), <P::Pages as PageProvider>::PAGE.min(P::Geometry::UNIT))
    }

    /// A large block of at least `bytes` bytes, aligned to `align` (a power of two).
    #[inline(never)]
    pub fn alloc_large(&mut self, bytes: usize, align: usize) -> Option<Fresh> {
        let usable = Self::page_rounded(bytes);
        let units = u32::try_from(usable.div_ceil(P::Geometry::UNIT)).ok()?;
        let align = u32::try_from((align >> P::Geometry::UNIT_SHIFT).max(1)).ok()?;
        if units > self.arena.units() || align > self.arena.units() {
            return None;
        }
        let head = self.take_span(units, align, SpanKind::Large)?;
        let arena = self.arena;
        let Some(dirty) = self.take_into_use(head, units) else {
            self.spans.free(arena, head, units);
            return None;
        };
        arena.span(head).set_large_bytes(usable);
        arena.set_route(head, 1, Entry::LARGE_HEAD);
        arena.set_route(head + 1, units - 1, Entry::LARGE_BODY);
        self.large.blocks += 1;
        self.large.bytes += usable;
        let dirty_bytes = dirty as usize * P::Geometry::UNIT;
        Some(Fresh { start: arena.unit_start(head), dirty_bytes })
    }

    /// Frees the large block at unit `head`.
    #[inline(never)]
    pub fn free_large(&mut self, head: u32) {
        let arena = self.arena;
        let units = arena.span(head).units();
        self.large.blocks -= 1;
        self.large.bytes -= arena.span(head).large_bytes();
        arena.set_route(head, units, Entry::NONE);
        self.spans.soil(arena, head, units);
        self.spans.free(arena, head, units);
        self.settle();
    }

    /// Changes the length of the large block at unit `head` without moving it, if possible.
    #[inline(never)]
    pub fn resize_large(&mut self, head: u32, bytes: usize) -> bool {
        let arena = self.arena;
        let (old_units, old_bytes) = (arena.span(head).units(), arena.span(head).large_bytes());
        let usable = Self::page_rounded(bytes);
        let Ok(units) = u32::try_from(usable.div_ceil(P::Geometry::UNIT)) else { return false };
        if units > old_units && units - old_units > self.spans.free_units() {
            return false;
        }
        if units < old_units {
            arena.set_route(head + units, old_units - units, Entry::NONE);
            self.spans.soil(arena, head + units, old_units - units);
        }
        if !self.spans.resize(arena, head, units) {
            return false;
        }
        if units > old_units {
            if self.take_into_use(head + old_units, units - old_units).is_none() {
                self.spans.resize(arena, head, old_units);
                return false;
            }
            arena.set_route(head + old_units, units - old_units, Entry::LARGE_BODY);
        }
        arena.span(head).set_large_bytes(usable);
        self.large.bytes = self.large.bytes - old_bytes + usable;
        self.settle();
        true
    }

    /// Makes sure that one more huge block can be noted.
    fn room_for_huge(&mut self) -> bool {
        if !self.huge.is_tight() {
            return true;
        }
        let bytes = self.huge.next_bytes(P::Geometry::UNIT);
        let units = (bytes / P::Geometry::UNIT) as u32;
        // A span without route entries: nobody can free it.
        let Some(head) = self.take_span(units, 1, SpanKind::Large) else { return false };
        let arena = self.arena;
        let start = arena.unit_start(head);
        let Some(dirty) = self.take_into_use(head, units) else {
            self.spans.free(arena, head, units);
            return false;
        };
        if dirty > 0 {
            // SAFETY: the units are ours and `bytes` long.
            unsafe { start.write_bytes(0, bytes) };
        }
        // SAFETY: zeroed memory of whole units, a power of two long and nobody else's.
        if let Some(old) = unsafe { self.huge.rehome(start, bytes) } {
            let head = arena.unit_of(old.addr().get());
            let units = arena.span(head).units();
            self.spans.soil(arena, head, units);
            self.spans.free(arena, head, units);
        }
        true
    }
}

impl<P: Platform> Shared<P> {
    /// A huge block. The provider is asked outside the lock.
    #[inline(never)]
    pub fn alloc_huge(&self, bytes: usize, align: usize) -> Option<Fresh> {
        if !Self::may_wait() || !self.lock()?.room_for_huge() {
            return None;
        }
        let page = <P::Pages as PageProvider>::PAGE;
        let bytes = bytes.max(1).checked_next_multiple_of(page)?;
        let region = self.pages.map(bytes, align.max(page)).ok()?;
        self.note_huge(region).map(|start| Fresh { start, dirty_bytes: 0 })
    }

    fn note_huge(&self, region: Region) -> Option<NonNull<u8>> {
        if let Some(mut pool) = self.lock()
            && pool.room_for_huge()
        {
            pool.huge.insert(region.start.as_ptr(), region.bytes);
            return Some(region.start);
        }
        // SAFETY: the region came from `map` and nobody has seen it.
        unsafe { self.pages.release(region) };
        None
    }

    /// Bytes of the huge block that starts at this address.
    pub fn huge_bytes(&self, address: usize) -> Option<usize> {
        self.arena()?;
        self.lock()?.huge.get(address)
    }

    /// Makes a fresh block read as zero. Where little of it is dirty its pages are given back
    /// rather than written: writing would touch all of them.
    #[inline(never)]
    pub fn zero(&self, fresh: &Fresh, bytes: usize) {
        if fresh.dirty_bytes == 0 {
            return;
        }
        let page = <P::Pages as PageProvider>::PAGE;
        let range = Region { start: fresh.start, bytes: align_up(bytes, page) };
        if fresh.dirty_bytes < bytes / 4 && Self::may_wait() {
            // SAFETY: a large block's memory is committed and whole pages long, and the caller has
            // just been given it: nobody needs its content.
            if unsafe { self.pages.purge(range) } == Purged::Zeroed {
                return;
            }
        }
        // SAFETY: the block is the caller's and at least `bytes` long.
        unsafe { fresh.start.write_bytes(0, bytes) };
    }

    /// Frees the huge block at this address. `false`: there is none.
    #[inline(never)]
    pub fn free_huge(&self, block: NonNull<u8>) -> bool {
        let removed = self.lock().and_then(|mut pool| pool.huge.remove(block.addr().get()));
        let Some(bytes) = removed else { return false };
        // SAFETY: the table held exactly the regions that `map` and `remap` returned, and the
        // caller frees this one.
        unsafe { self.pages.release(Region { start: block, bytes }) };
        true
    }

    /// Changes the length of a huge block, moving it by its page tables if need be.
    ///
    /// # Errors
    /// The provider can't, or there is no such block: it is unchanged.
    ///
    /// # Safety
    /// The caller owns the block and does not use its old address if it moved.
    pub unsafe fn resize_huge(
        &self,
        block: NonNull<u8>,
        bytes: usize,
    ) -> Result<NonNull<u8>, OutOfPages> {
        let page = <P::Pages as PageProvider>::PAGE;
        let bytes = bytes.checked_next_multiple_of(page).ok_or(OutOfPages)?;
        let mut pool = self.lock().ok_or(OutOfPages)?;
        let old = pool.huge.get(block.addr().get()).ok_or(OutOfPages)?;
        let region = Region { start: block, bytes: old };
        // SAFETY: the table holds regions of `map` and `remap`; the caller gives up the old
        // address.
        let moved = unsafe { self.pages.remap(region, bytes, true) }?;
        // Under the lock all the while: nobody can be given the old address before it is out of the
        // table.
        pool.huge.remove(block.addr().get());
        pool.huge.insert(moved.start.as_ptr(), moved.bytes);
        Ok(moved.start)
    }
}
