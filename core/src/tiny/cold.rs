//! COLD: a thread gets slabs, chunks, mail, and gives them all up. Verbs: adopt, publish,
//! drain. Takes the pool's lock. Floor: 2nd.

use super::{Local, RETIRED, ThreadHeap, begin::heap_record, misuse, remote, visit};
use crate::{
    arena::{Arena, Entry},
    chunk::{ChunkId, NO_CHUNK},
    platform::{MisuseKind, Platform},
    pool::{Locked, Shared},
    prefix::{Listed, NO_UNIT},
    ring::Event,
    size_class::SizeClass,
    slab::Slab,
    stats::Events,
    stray::Strays,
};

/// Empty chunks that a thread keeps for itself.
const SPARE_CHUNKS: usize = 8;

impl<'a, P: Platform> Local<'a, P> {
    /// Lets the hot path see units that were committed since it last looked.
    pub fn refresh(&self) {
        self.front.units.set(self.shared.committed() as usize);
    }

    /// A slab with free blocks from the pool. Sends off what waits in the outbox: we are slow
    /// anyway. Before a slab is carved, memory that sleeping threads hold without knowing is looked
    /// for.
    #[inline(never)]
    pub(super) fn adopt(&self, class: SizeClass) -> Option<Slab<'a, P::Geometry>> {
        self.send_all();
        let mut pool = self.shared.lock()?;
        if pool.threads > 1 && !pool.has_slab(class) && Shared::<P>::may_wait() {
            let left = visit::visit_sleepers(&mut pool);
            if !left.is_nothing() {
                drop(pool);
                left.clear_up(self.shared);
                pool = self.shared.lock()?;
            }
        }
        let slab = pool.adopt(class, self.owner());
        drop(pool);
        self.refresh();
        slab
    }

    /// The first of these classes of which this thread or the pool has a slab with free blocks.
    #[cold]
    #[inline(never)]
    pub fn find_room(&self, mut classes: impl Iterator<Item = SizeClass>) -> Option<SizeClass> {
        let _stay = self.enter()?;
        let pool = self.shared.lock()?;
        classes.find(|&class| pool.has_slab(class) || self.has_room(class))
    }

    /// Whether one of the thread's slabs of the class has free blocks.
    fn has_room(&self, class: SizeClass) -> bool {
        let bin = self.bin(class);
        bin.partial.first(self.arena, class).is_some()
            || bin.current.get() != NO_UNIT && {
                let slab = Slab::at(self.arena, bin.current.get(), class);
                // Not settled here: that may report a misuse, and the caller has the lock.
                slab.prefix.delivered.get() != 0 || !slab.is_full()
            }
    }

    /// Gives an empty slab to the pool.
    #[inline(never)]
    pub(super) fn publish(&self, slab: &Slab<'a, P::Geometry>) {
        if let Some(mut pool) = self.shared.lock() {
            pool.publish(slab);
        } else {
            self.bin(slab.class()).partial.push(slab, Listed::Partial);
            self.heap.kept.set(true);
        }
    }

    /// An empty chunk for this thread's use.
    #[inline(never)]
    pub(super) fn fresh_chunk(&self) -> Option<ChunkId> {
        if let Some(id) = self.heap.spare.pop(self.arena) {
            return Some(id);
        }
        let mut pool = self.shared.lock()?;
        for _ in 1..SPARE_CHUNKS / 2 {
            self.heap.spare.push(self.arena, pool.take_chunk()?);
        }
        pool.take_chunk()
    }

    /// Takes an emptied chunk. Half of too many go to the pool, or they would gather with the
    /// thread that receives most.
    pub(super) fn recycle(&self, id: ChunkId) {
        self.heap.spare.push(self.arena, id);
        if self.heap.spare.len() > SPARE_CHUNKS {
            self.give_chunks(SPARE_CHUNKS / 2);
        }
    }

    fn give_chunks(&self, keep: usize) {
        if let Some(mut pool) = self.shared.lock() {
            while self.heap.spare.len() > keep
                && let Some(id) = self.heap.spare.pop(self.arena)
            {
                pool.give_chunk(id);
            }
        }
    }

    /// Whether there is something to drain.
    pub(super) fn has_mail(&self) -> bool {
        let heap = self.heap;
        heap.mail.get() != NO_CHUNK || !heap.inbox.is_empty() || !heap.strays.is_empty()
    }

    /// Takes in what other threads sent, at most `budget` parcels of it: the thread that comes back
    /// to a million of its blocks does not pay for them in one malloc.
    #[inline(never)]
    pub(super) fn drain(&self, budget: usize) {
        if !self.heap.strays.is_empty() {
            self.take_strays();
        }
        for _ in 0..budget {
            if self.heap.mail.get() == NO_CHUNK {
                self.heap.mail.set(self.heap.inbox.drain() as ChunkId);
            }
            let id = self.heap.mail.get();
            if id == NO_CHUNK {
                return;
            }
            self.heap.mail.set(self.arena.next_chunk(id));
            self.unpack(id);
        }
    }

    #[inline(never)]
    fn unpack(&self, id: ChunkId) {
        let chunk = self.arena.chunk(id);
        let class = chunk.class();
        self.heap.meter.remote_drained.add(chunk.len() as u64);
        chunk.retain(|block| self.accept(block, class));
        let count = chunk.len();
        self.ensure_magazine(class);
        let bin = self.bin(class);
        let cap = usize::from(bin.cap.get());
        // A parcel that was sent half empty would make for many small refills.
        if count <= cap && count * 4 > cap && self.depot_has_room(class, bin, count) {
            self.enter_depot(class, bin, id, count);
        } else {
            self.flush(class, chunk.blocks());
            self.recycle(id);
        }
    }

    /// Takes in the blocks that came without a parcel.
    #[cold]
    #[inline(never)]
    fn take_strays(&self) {
        let first = self.heap.strays.drain();
        for stray in Strays::new(self.arena, self.shared.committed(), first) {
            match stray {
                Ok((block, class)) => {
                    if self.accept(block, class) {
                        self.flush(class, &[block]);
                    }
                }
                Err(address) => broken_link(self.shared, self.arena, address),
            }
        }
    }

    /// Whether a block that came by mail is a live one of ours; if not, it is dealt with otherwise.
    fn accept(&self, block: *mut u8, class: SizeClass) -> bool {
        let entry = self.arena.route(self.arena.unit_of(block.addr()));
        if entry != Entry::slab(self.owner(), class) {
            // The slab changed hands while the parcel was on its way.
            remote::free_slab_block(self.shared, block);
            return false;
        }
        let slab = Slab::of(self.arena, block.addr(), class);
        self.settle(&slab);
        let retired = slab.retire(block.addr());
        if let Err(kind) = retired {
            misuse::<P>(kind, block, entry);
        }
        retired.is_ok()
    }

    /// Gives everything up: caches to the slabs, slabs to the pool, mail to whoever owns it then.
    #[inline(never)]
    pub fn exit(&self) {
        // Never left: where there is no thread, there is nobody to visit.
        core::mem::forget(self.enter());
        self.trim();
        if let Some(mut pool) = self.shared.lock() {
            for class in SizeClass::all() {
                self.orphan_class(&mut pool, class);
            }
        }
        // From here on nobody reads our number in the route table, so new frees go to the pool.
        // What was on its way is taken out with the closing of the inbox.
        self.front.reset(RETIRED);
        for stray in Strays::new(self.arena, self.shared.committed(), self.heap.strays.close()) {
            match stray {
                Ok((block, _)) => remote::free_slab_block(self.shared, block),
                Err(address) => broken_link(self.shared, self.arena, address),
            }
        }
        let mut id = self.heap.inbox.close() as ChunkId;
        while id != NO_CHUNK {
            let next = self.arena.next_chunk(id);
            remote::free_anew(self.shared, self.arena, id);
            self.heap.spare.push(self.arena, id);
            id = next;
        }
        self.give_chunks(0);
        self.tell();
        self.shared.ring.push(Event::Ended);
        if let Some(mut pool) = self.shared.lock() {
            self.heap.meter.hand_over(&pool.dead);
            self.heap.next_idle.set(pool.idle_heaps);
            pool.idle_heaps = self.heap.number.get() + 1;
            pool.threads -= 1;
        }
    }

    #[inline(never)]
    fn orphan_class(&self, pool: &mut Locked<'a, P>, class: SizeClass) {
        let bin = self.bin(class);
        if bin.current.get() != NO_UNIT {
            let slab = Slab::at(self.arena, bin.current.replace(NO_UNIT), class);
            slab.prefix.listed.set(Listed::Nowhere as u8);
            pool.orphan(&slab);
        }
        for list in [&bin.partial, &bin.full] {
            while let Some(slab) = list.first(self.arena, class) {
                list.remove(&slab);
                pool.orphan(&slab);
            }
        }
    }

    /// Empties magazines, depots, inbox and outbox; afterwards this thread holds no free block.
    #[inline(never)]
    pub fn trim(&self) {
        let Some(_stay) = self.enter() else { return };
        // Mail whose slabs changed hands is sorted anew, which may fill outbox and magazines again;
        // so the magazines come last.
        while !self.heap.outbox.is_empty() || self.has_mail() {
            self.send_all();
            self.drain(usize::MAX);
        }
        for class in SizeClass::all() {
            self.flush_class(class);
            let bin = self.bin(class);
            if bin.current.get() != NO_UNIT {
                let slab = Slab::at(self.arena, bin.current.get(), class);
                if bin.relist(&slab, false) {
                    self.publish(&slab);
                }
            }
        }
        if let Some(mut pool) = self.shared.lock() {
            give_kept(&mut pool, self.heap);
        }
    }
}

/// Gives the pool the empty slabs that a heap kept because its thread could not wait for the lock.
/// The caller is inside the heap's turnstile.
pub(super) fn give_kept<P: Platform>(pool: &mut Locked<'_, P>, heap: &ThreadHeap) {
    if !P::INTERRUPTS || !heap.kept.replace(false) {
        return;
    }
    let arena = pool.arena;
    for class in SizeClass::all() {
        let list = &heap.bins[class.index()].partial;
        while let Some(slab) = list.iter(arena, class).find(Slab::is_vacated) {
            list.remove(&slab);
            pool.publish(&slab);
        }
    }
}

/// A freed block that waited for its owner was written to.
fn broken_link<P: Platform>(shared: &Shared<P>, arena: &Arena<P::Geometry>, address: usize) {
    let unit = arena.unit_of(address);
    debug_assert!(unit < shared.committed());
    let block = arena.unit_start(unit).as_ptr().with_addr(address);
    misuse::<P>(MisuseKind::Corrupt, block, arena.route(unit));
}

/// Adds up the meters of the first `heaps` records.
pub fn add_meters<P: Platform>(arena: &Arena<P::Geometry>, heaps: u32, sum: &mut Events) {
    for number in 0..heaps {
        heap_record::<P>(arena, number).meter.add_to(sum);
    }
}

/// In the child of a fork: the slabs of every thread but our own become the pool's.
pub fn bury<P: Platform>(shared: &Shared<P>, own: Option<&Local<'_, P>>) {
    let Some(mut pool) = shared.lock() else { return };
    if pool.threads == u32::from(own.is_some()) {
        // Nobody else had a heap: nothing was lost.
        return;
    }
    let arena = pool.arena;
    let mine = own.map_or(0, |local| local.owner());
    // Mail that arrived: its blocks are freed, whatever the receiver knew of it.
    for number in 0..pool.heaps_made {
        let heap = heap_record::<P>(arena, number);
        if number + Entry::FIRST_HEAP == mine {
            continue;
        }
        for (block, _) in Strays::new(arena, shared.committed(), heap.strays.close()).flatten() {
            arena.clear_live(block.addr());
        }
        // What the thread had taken out already can be read if it was not at it. Its turnstile
        // stays taken.
        let mail = if heap.turnstile.try_enter() { heap.mail.get() } else { NO_CHUNK };
        for first in [heap.inbox.close() as ChunkId, mail] {
            let mut id = first;
            while id != NO_CHUNK {
                let next = arena.next_chunk(id);
                for block in arena.chunk(id).blocks() {
                    arena.clear_live(block.addr());
                }
                pool.give_chunk(id);
                id = next;
            }
        }
    }
    let mut unit = 0;
    while unit < shared.committed() {
        let entry = arena.route(unit);
        if [0, Entry::LARGE, mine].contains(&entry.owner()) {
            unit += 1;
            continue;
        }
        let slab = Slab::at(arena, unit, entry.class());
        if entry.owner() == Entry::POOL {
            pool.unlist(&slab);
        }
        slab.settle();
        slab.recount();
        slab.prefix.listed.set(Listed::Nowhere as u8);
        pool.orphan(&slab);
        unit += slab.units();
    }
    pool.threads = u32::from(own.is_some());
}
