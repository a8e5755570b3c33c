//! Slabs of the pool: adopted, published, kept warm, orphaned. Floor: 1st.

use super::{Locked, Shared, promote};
use crate::{
    arena::{Arena, Entry},
    dials::Dial,
    geometry::{Geometry, shape_of},
    platform::{MisuseKind, Platform},
    prefix::Listed,
    size_class::SizeClass,
    slab::Slab,
    span::SpanKind,
};

impl<'a, P: Platform> Locked<'a, P> {
    /// Takes an aligned run of 1, 2 or 4 units: one that is ready, or from a superslab, if need be
    /// a new one.
    pub(super) fn take_units(&mut self, units: u32) -> Option<u32> {
        let ready = self.supers.take_reserved::<P::Geometry>(units);
        ready.or_else(|| self.search_units(units))
    }

    /// Secondary prefill: a search brings a few runs more, which wait in the reserve, so that the
    /// pool does not swing between none and one. The heap does not grow for runs that nobody asked
    /// for.
    fn search_units(&mut self, units: u32) -> Option<u32> {
        let (arena, besides) = (self.arena, self.shared.dials.get(Dial::WarmPrefill));
        if let Some(head) = self.supers.take(arena, units, besides) {
            return Some(head);
        }
        let whole = P::Geometry::SUPERSLAB_UNITS;
        let first = self.take_span(whole, whole, SpanKind::Superslab)?;
        self.supers.found(arena, first);
        self.supers.take(arena, units, besides)
    }

    /// Gives such a run back, and with it the superslab if that is empty now.
    pub(super) fn give_units(&mut self, head: u32, units: u32) {
        let arena = self.arena;
        self.spans.soil(arena, head, units);
        self.give_unused(head, units);
    }

    /// Gives back units in which nothing came to be: they are as dirty as they were.
    pub(super) fn give_unused(&mut self, head: u32, units: u32) {
        let (arena, shared) = (self.arena, self.shared);
        let drain_permille = shared.dials.get(Dial::DrainPermille);
        if let Some(first) = self.supers.give(arena, head, units, drain_permille) {
            let number = first / P::Geometry::SUPERSLAB_UNITS;
            promote::demote(shared, arena, &mut self.supers, number);
            self.spans.free(arena, first, P::Geometry::SUPERSLAB_UNITS);
        }
    }

    /// Adopts a slab with free blocks for heap `owner`: one whose thread is gone, an empty one from
    /// the warm pool, or a new one. `None`: out of pages.
    #[inline(never)]
    pub fn adopt(&mut self, class: SizeClass, owner: u32) -> Option<Slab<'a, P::Geometry>> {
        let arena = self.arena;
        if owner != Entry::POOL
            && let Some(slab) = self.partial[class.index()].take_fullest(arena, class, 8)
        {
            slab.set_owner(owner);
            self.meter.adopted_slabs.add(1);
            return Some(slab);
        }
        let slab = match self.take_warm(class) {
            Some(slab) => slab,
            None => self.carve(class)?,
        };
        if self.take_into_use(slab.head(), slab.units()).is_none() {
            slab.prefix.formatted.set(0);
            self.give_unused(slab.head(), slab.units());
            return None;
        }
        if slab.prefix.formatted.get() == 0 {
            slab.format();
        }
        slab.set_owner(owner);
        Some(slab)
    }

    /// Whether a thread can adopt a slab of the class without carving one.
    pub fn has_slab(&self, class: SizeClass) -> bool {
        let arena = self.arena;
        self.partial[class.index()].first(arena, class).is_some()
            || self.warm[class.index()].slabs.first(arena, class).is_some()
    }

    /// Takes a slab of `class` out of the warm pool.
    fn take_warm(&mut self, class: SizeClass) -> Option<Slab<'a, P::Geometry>> {
        let arena = self.arena;
        let warm = &mut self.warm[class.index()];
        let slab = warm.slabs.first(arena, class)?;
        warm.slabs.remove(&slab);
        warm.len -= 1;
        self.warm_units -= slab.units();
        self.meter.warm_hits.add(1);
        Some(slab)
    }

    /// Takes units for a slab of `class`, not yet formatted and still marked dirty where they are.
    /// The warm pool serves it if its units were in reserve.
    fn carve(&mut self, class: SizeClass) -> Option<Slab<'a, P::Geometry>> {
        let units = u32::from(shape_of::<P::Geometry>(class).units);
        let head = if let Some(head) = self.supers.take_reserved::<P::Geometry>(units) {
            self.meter.warm_hits.add(1);
            head
        } else {
            self.meter.warm_misses.add(1);
            self.search_units(units)?
        };
        let slab = Slab::at(self.arena, head, class);
        slab.prefix.formatted.set(0);
        Some(slab)
    }

    /// A slab in the warm pool may be marked dirty only where its prefix survives a purge.
    fn keep_warm(&mut self, slab: &Slab<'a, P::Geometry>) {
        let warm = &mut self.warm[slab.class().index()];
        warm.slabs.push(slab, Listed::Warm);
        warm.len += 1;
        self.warm_units += slab.units();
    }

    /// Takes an empty slab that is in no list: into the warm pool, or back to its superslab.
    #[inline(never)]
    pub fn publish(&mut self, slab: &Slab<'a, P::Geometry>) {
        debug_assert!(slab.is_empty());
        slab.settle();
        let (arena, class) = (self.arena, slab.class());
        slab.clear_owner();
        // A superslab that goes may have to be demoted, which is the provider's work.
        let room = self.warm[class.index()].len < self.shared.dials.get(Dial::WarmMax);
        if room || !Shared::<P>::may_wait() {
            if Arena::<P::Geometry>::PURGE_KEEPS_SLABS {
                self.spans.soil(arena, slab.head(), slab.units());
            }
            self.keep_warm(slab);
        } else {
            self.dissolve(slab);
        }
        self.settle();
    }

    fn dissolve(&mut self, slab: &Slab<'a, P::Geometry>) {
        slab.prefix.formatted.set(0);
        self.give_units(slab.head(), slab.units());
    }

    /// Slabs of a class in the warm pool: as its counter says, and as its list shows.
    pub fn warm_slabs(&self, class: SizeClass) -> (usize, usize) {
        let warm = &self.warm[class.index()];
        (warm.len as usize, warm.slabs.iter(self.arena, class).count())
    }

    /// Dissolves all slabs of the warm pool, and gives back its reserves and units of spare chunks.
    #[inline(never)]
    pub fn cool(&mut self) {
        let arena = self.arena;
        self.supers.give_reserves_back(arena);
        self.sweep_chunks();
        for class in SizeClass::all() {
            while let Some(slab) = self.warm[class.index()].slabs.first(arena, class) {
                self.warm[class.index()].slabs.remove(&slab);
                self.warm[class.index()].len -= 1;
                self.warm_units -= slab.units();
                if Arena::<P::Geometry>::PURGE_KEEPS_SLABS {
                    // Marked dirty when they came here, and perhaps purged since (S4).
                    slab.prefix.formatted.set(0);
                    self.give_unused(slab.head(), slab.units());
                } else {
                    self.dissolve(&slab);
                }
            }
        }
    }

    /// A slab whose thread gives it up, in no list: to the warm pool if empty, else to the pool.
    #[inline(never)]
    pub fn orphan(&mut self, slab: &Slab<'a, P::Geometry>) {
        slab.settle();
        if slab.is_empty() {
            self.publish(slab);
        } else {
            slab.set_owner(Entry::POOL);
            if !slab.is_full() {
                self.partial[slab.class().index()].push(slab, Listed::Partial);
            }
        }
    }

    /// Takes a slab of the pool out of its list, if it is in one.
    pub fn unlist(&mut self, slab: &Slab<'a, P::Geometry>) {
        if slab.prefix.listed() == Listed::Partial {
            self.partial[slab.class().index()].remove(slab);
        }
    }

    /// Gives a slab of the pool with free blocks to heap `owner`.
    pub fn hand_over(&mut self, slab: &Slab<'a, P::Geometry>, owner: u32) {
        debug_assert_eq!(slab.prefix.listed(), Listed::Partial);
        self.partial[slab.class().index()].remove(slab);
        slab.set_owner(owner);
        self.meter.adopted_slabs.add(1);
    }

    /// A block of a slab of the pool. `None`: out of pages.
    #[inline(never)]
    pub fn alloc_block(&mut self, class: SizeClass) -> Option<*mut u8> {
        let block = self.take_block(class)?;
        self.arena.set_live(block.addr());
        Some(block)
    }

    /// [`Self::alloc_block`], but the bitmap alone knows of it: for heaps that keep no block
    /// elsewhere.
    pub fn take_block(&mut self, class: SizeClass) -> Option<*mut u8> {
        let arena = self.arena;
        let slab = match self.partial[class.index()].first(arena, class) {
            Some(slab) => slab,
            None => {
                let slab = self.adopt(class, Entry::POOL)?;
                self.partial[class.index()].push(&slab, Listed::Partial);
                slab
            }
        };
        let mut block = core::ptr::null_mut();
        slab.take(1, |free| block = free);
        if slab.is_full() {
            self.partial[class.index()].remove(&slab);
        }
        Some(block)
    }

    /// Frees a block of a slab of the pool. Returns the slab if it is still the pool's, that is, if
    /// the block was not its last.
    ///
    /// # Errors
    /// The block is not live; nothing is changed then.
    #[inline(never)]
    pub fn free_block(
        &mut self,
        block: *mut u8,
        class: SizeClass,
    ) -> Result<Option<Slab<'a, P::Geometry>>, MisuseKind> {
        Slab::of(self.arena, block.addr(), class).retire(block.addr())?;
        self.put_block(block, class)
    }

    /// [`Self::free_block`] for a block of [`Self::take_block`].
    ///
    /// # Errors
    /// The block is not out; nothing is changed then.
    pub fn put_block(
        &mut self,
        block: *mut u8,
        class: SizeClass,
    ) -> Result<Option<Slab<'a, P::Geometry>>, MisuseKind> {
        let slab = Slab::of(self.arena, block.addr(), class);
        slab.put(block)?;
        self.meter.pool_frees.add(1);
        let list = &self.partial[class.index()];
        let listed = slab.prefix.listed() == Listed::Partial;
        if slab.is_empty() {
            if listed {
                list.remove(&slab);
            }
            self.publish(&slab);
            return Ok(None);
        }
        if !listed {
            list.push(&slab, Listed::Partial);
        }
        Ok(Some(slab))
    }
}
