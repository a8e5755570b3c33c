//! WARM: between magazine, depot and the thread's own slabs. Verbs: refill, flush. No lock here:
//! where one is needed, `cold` is called. Floor: 2nd.

use super::{Bin, Local, misuse};
use crate::{
    arena::Entry,
    chunk::ChunkId,
    dials::{ClassDial, Dial},
    geometry::{Geometry, shape_of},
    meter::ClassEvent,
    platform::{MisuseKind, Platform},
    prefix::{Listed, NO_UNIT},
    size_class::SizeClass,
    slab::Slab,
    stray::StrayLinks,
};
use core::ptr;

/// Most bytes of blocks that one refill of a tiny class brings.
const REFILL_BYTES: usize = 8 << 10;
/// Parcels that one refill unpacks: about a thousand blocks, some microseconds.
const MAIL_BUDGET: usize = 16;
/// Partial slabs that are compared before one becomes current.
const LOOK: usize = 8;

/// Whether a heap keeps an empty slab of the class to refill from: a mid one would hold 128 KiB and
/// more.
pub(super) fn keeps_last(class: SizeClass) -> bool {
    class.bytes() <= SizeClass::TINY_MAX
}

impl<'a, P: Platform> Local<'a, P> {
    /// Fills the class's empty magazine. `false`: out of pages.
    pub fn refill(&self, class: SizeClass) -> bool {
        let Some(_stay) = self.enter() else { return false };
        self.ensure_magazine(class);
        let meter = &self.heap.meter;
        meter.refills.add(1);
        self.stir(class, ClassEvent::Refill, 1);
        self.heap.purges.set(self.shared.purges.get());
        let bin = self.bin(class);
        self.heed_cap(class, bin);
        if self.refill_from_depot(class, bin) {
            return true;
        }
        if self.has_mail() {
            self.drain(MAIL_BUDGET);
            // What came home is in the depot, or (short parcels) in a slab, or, if its slab changed
            // hands on the way, in the magazine.
            if !self.is_empty(class, bin) || self.refill_from_depot(class, bin) {
                return true;
            }
        }
        self.refill_from_slabs(class, bin)
    }

    /// Gives the empty magazine the room that the dial asks for: the null slot moves.
    fn heed_cap(&self, class: SizeClass, bin: &Bin) {
        let cap = match self.shared.dials.of_class(class, ClassDial::Cap) {
            0 => shape_of::<P::Geometry>(class).magazine,
            cap => cap.min(P::Geometry::MAGAZINE_SLOTS as u8 - 1),
        };
        if cap != bin.cap.get() && self.is_empty(class, bin) {
            bin.cap.set(cap);
            // SAFETY: cap < MAGAZINE_SLOTS words below the end belong to the magazine, one more for
            // the null slot.
            unsafe { bin.bottom().sub(1).write(ptr::null_mut()) };
            self.stack(class).set(bin.bottom());
        }
    }

    fn is_empty(&self, class: SizeClass, bin: &Bin) -> bool {
        self.stack(class).get() == bin.bottom()
    }

    fn refill_from_depot(&self, class: SizeClass, bin: &Bin) -> bool {
        let Some(id) = bin.depot.pop(self.arena) else { return false };
        let chunk = self.arena.chunk(id);
        // A chunk of the time when the magazine was larger: what has no room goes to the slabs.
        let room = usize::from(bin.cap.get()).min(chunk.len());
        let (blocks, rest) = chunk.blocks().split_at(room);
        if !rest.is_empty() {
            self.leave_depot(class, rest.len());
            self.flush(class, rest);
        }
        let bottom = bin.bottom();
        // SAFETY: the magazine is empty and has room for `cap` blocks, which a chunk never exceeds.
        unsafe { ptr::copy_nonoverlapping(blocks.as_ptr(), bottom, blocks.len()) };
        self.stack(class).set(bottom.wrapping_add(blocks.len()));
        self.leave_depot(class, blocks.len());
        self.heap.meter.depot_hits.add(1);
        self.heap.meter.refilled_blocks.add(blocks.len() as u64);
        self.recycle(id);
        true
    }

    fn leave_depot(&self, class: SizeClass, blocks: usize) {
        self.heap.depot_bytes.set(self.heap.depot_bytes.get() - blocks * class.bytes());
    }

    /// Blocks to ask of the slabs: a slow start, so that a class that is used twice does not get
    /// 64.
    fn batch(&self, class: SizeClass, bin: &Bin) -> usize {
        let shape = shape_of::<P::Geometry>(class);
        let most = (REFILL_BYTES / class.bytes()).max(usize::from(shape.magazine) / 4).max(1);
        let most = most
            .min(self.shared.dials.get(Dial::RefillMax) as usize)
            .min(usize::from(bin.cap.get()));
        let batch = usize::from(bin.batch.get()).min(most);
        bin.batch.set((batch * 2).min(most) as u8);
        batch
    }

    #[inline(never)]
    fn refill_from_slabs(&self, class: SizeClass, bin: &Bin) -> bool {
        let want = self.batch(class, bin);
        loop {
            if bin.current.get() != NO_UNIT {
                let slab = Slab::at(self.arena, bin.current.get(), class);
                self.settle(&slab);
                // From the top down, so that pops come in the order of addresses.
                let mut place = bin.bottom().wrapping_add(want);
                let got = slab.take(want, |block| {
                    place = place.wrapping_sub(1);
                    // SAFETY: `want` ≤ cap words above the null slot belong to the magazine.
                    unsafe { place.write(block) };
                });
                if got > 0 {
                    let bottom = bin.bottom();
                    if got < want {
                        // SAFETY: `got` words at `place` were written; both runs are in the
                        // magazine.
                        unsafe { ptr::copy(place, bottom, got) };
                    }
                    self.stack(class).set(bottom.wrapping_add(got));
                    self.heap.meter.refilled_blocks.add(got as u64);
                    return true;
                }
                bin.full.push(&slab, Listed::Full);
                bin.current.set(NO_UNIT);
            }
            let Some(slab) = self.next_slab(class, bin) else { return false };
            slab.prefix.listed.set(Listed::Current as u8);
            bin.current.set(slab.head());
            // Getting a slab sends off the outbox, and mail that can't be delivered may end here.
            if !self.is_empty(class, bin) {
                return true;
            }
        }
    }

    fn next_slab(&self, class: SizeClass, bin: &Bin) -> Option<Slab<'a, P::Geometry>> {
        let partial = || bin.partial.take_fullest(self.arena, class, LOOK);
        partial().or_else(|| {
            // Before the heap grows, more of what came home is looked through.
            if self.has_mail() {
                self.drain(4 * MAIL_BUDGET);
            }
            partial().or_else(|| self.adopt(class))
        })
    }

    /// Moves the older half of a full magazine to the depot, or to the slabs if the depot is full.
    /// While the heap gives memory back and the thread takes none, what it caches would keep slabs
    /// from going: then the depot goes to the slabs as well, a chunk at a time.
    pub fn overflow(&self, class: SizeClass) {
        let Some(_stay) = self.enter() else { return self.spill(class) };
        self.heap.meter.overflows.add(1);
        self.stir(class, ClassEvent::Overflow, 1);
        let bin = self.bin(class);
        let cap = usize::from(bin.cap.get());
        let count = (cap / 2).clamp(1, P::Geometry::CHUNK_BLOCKS);
        let bottom = bin.bottom();
        let shrinks = self.heap.purges.get() != self.shared.purges.get();
        if shrinks || !self.stow(class, bin, bottom, count) {
            // SAFETY: F2: a full magazine holds `cap` blocks above its null slot.
            self.flush(class, unsafe { core::slice::from_raw_parts(bottom, count) });
        }
        if shrinks {
            self.flush_chunk(class, bin);
        }
        // SAFETY: as above; the younger blocks move down to the null slot.
        unsafe { ptr::copy(bottom.add(count), bottom, cap - count) };
        self.stack(class).set(bottom.wrapping_add(cap - count));
    }

    /// Makes room for one block in a full magazine while a visitor is there: the newest becomes a
    /// stray.
    #[cold]
    #[inline(never)]
    fn spill(&self, class: SizeClass) {
        let top = self.stack(class).get().wrapping_sub(1);
        // SAFETY: F2: a full magazine holds blocks, the newest below the stack pointer.
        let block = unsafe { top.read() };
        self.stack(class).set(top);
        self.arena.set_live(block.addr());
        self.heap.meter.strays.add(1);
        let sent = self.heap.strays.send(block.addr(), &StrayLinks(self.arena));
        debug_assert!(sent, "the inbox of a thread with a heap is open");
    }

    fn stow(&self, class: SizeClass, bin: &Bin, from: *mut *mut u8, count: usize) -> bool {
        if !self.depot_has_room(class, bin, count) {
            return false;
        }
        let Some(id) = self.fresh_chunk() else { return false };
        let chunk = self.arena.chunk(id);
        chunk.begin(class, count);
        // SAFETY: the caller's magazine holds `count` ≤ CHUNK_BLOCKS blocks at `from`.
        unsafe { chunk.fill(from, count) };
        self.enter_depot(class, bin, id, count);
        true
    }

    /// Whether the dials allow `count` more blocks in the depot.
    pub(super) fn depot_has_room(&self, class: SizeClass, bin: &Bin, count: usize) -> bool {
        let dials = &self.shared.dials;
        let bytes = count * class.bytes();
        let of_class = bin.depot.len() * bytes;
        let (class_kib, thread_kib) = dials.depot_kib();
        of_class + bytes <= class_kib as usize * 1024
            && self.heap.depot_bytes.get() + bytes <= thread_kib as usize * 1024
    }

    pub(super) fn enter_depot(&self, class: SizeClass, bin: &Bin, id: ChunkId, count: usize) {
        bin.depot.push(self.arena, id);
        self.heap.depot_bytes.set(self.heap.depot_bytes.get() + count * class.bytes());
    }

    /// Puts blocks back into their slabs, runs of the same slab together.
    #[inline(never)]
    pub fn flush(&self, class: SizeClass, blocks: &[*mut u8]) {
        let bytes = P::Geometry::UNIT * usize::from(shape_of::<P::Geometry>(class).units);
        let mut rest = blocks;
        while let Some(&first) = rest.first() {
            let slab = Slab::of(self.arena, first.addr(), class);
            let start = self.arena.unit_start(slab.head()).addr().get();
            let mut run = 0;
            for &block in rest {
                if block.addr().wrapping_sub(start) >= bytes {
                    break;
                }
                run += 1;
                if let Err(kind) = slab.put(block) {
                    self.report(kind, block, class);
                }
            }
            rest = &rest[run..];
            self.relist(class, &slab);
        }
        self.heap.meter.flushed_blocks.add(blocks.len() as u64);
    }

    /// Takes note of what visitors delivered into a slab (B4): before blocks are taken from it, and
    /// before one of its live bits is believed.
    #[inline]
    pub(super) fn settle(&self, slab: &Slab<'a, P::Geometry>) {
        if slab.prefix.delivered.get() != 0 {
            // By value, so that the slab stays in registers where there is nothing to settle.
            self.settle_slowly(slab.head(), slab.class());
        }
    }

    #[cold]
    #[inline(never)]
    fn settle_slowly(&self, head: u32, class: SizeClass) {
        let slab = Slab::at(self.arena, head, class);
        if slab.settle() == 0 {
            return;
        }
        // Others freed a block, a visitor brought it home, and then this thread freed it once more.
        // It went into the magazine, and is there or in the depot, or else it is in the program's
        // hands again.
        let bin = self.bin(class);
        let claim = |block: &*mut u8| {
            let holder = Slab::of(self.arena, block.addr(), class);
            if holder.head() == slab.head() && slab.withdraw(*block) {
                self.report(MisuseKind::DoubleFree, *block, class);
            }
        };
        bin.depot.iter(self.arena).for_each(|chunk| chunk.blocks().iter().for_each(claim));
        self.magazine(class).iter().for_each(claim);
    }

    #[cold]
    fn report(&self, kind: MisuseKind, block: *mut u8, class: SizeClass) {
        misuse::<P>(kind, block, Entry::slab(self.owner(), class));
    }

    /// Puts a slab that got blocks back where it belongs now.
    fn relist(&self, class: SizeClass, slab: &Slab<'a, P::Geometry>) {
        if self.bin(class).relist(slab, keeps_last(class)) {
            self.publish(slab);
        }
    }

    /// Empties a chunk of the depot into the slabs. `false`: there is none.
    fn flush_chunk(&self, class: SizeClass, bin: &Bin) -> bool {
        let Some(id) = bin.depot.pop(self.arena) else { return false };
        let chunk = self.arena.chunk(id);
        self.leave_depot(class, chunk.len());
        self.flush(class, chunk.blocks());
        self.recycle(id);
        true
    }

    /// Empties the class's magazine and depot into the slabs.
    #[inline(never)]
    pub(super) fn flush_class(&self, class: SizeClass) {
        let bin = self.bin(class);
        if bin.end.get().is_null() {
            return;
        }
        while self.flush_chunk(class, bin) {}
        let blocks = self.magazine(class);
        self.stack(class).set(bin.bottom());
        self.flush(class, blocks);
    }

    /// What is in the class's magazine, which there is.
    fn magazine(&self, class: SizeClass) -> &'a [*mut u8] {
        let (bottom, top) = (self.bin(class).bottom(), self.stack(class).get());
        let count = (top.addr() - bottom.addr()) / size_of::<usize>();
        // SAFETY: F2: the words between the null slot and the stack pointer are free blocks. The
        // callers let go of them before the magazine is written.
        unsafe { core::slice::from_raw_parts(bottom, count) }
    }
}
