//! Blocks of slabs that are not the calling thread's: send them home, or take their slab over.
//! Verb: send. Floor: 2nd.
//!
//! The freeing thread touches neither the block nor its slab's bitmap or live bits: those have one
//! writer, the owner, who checks each block when it drains. Only slabs of the pool, which have no
//! thread, are written under the lock.

use super::{FRESH, Local, cold::heap_record, front, misuse};
use crate::{
    arena::{Arena, Entry},
    dials::Route,
    geometry::Geometry,
    outbox::Parcel,
    platform::{MisuseKind, Platform},
    pool::Shared,
    prefix::Listed,
    size_class::SizeClass,
    slab::Slab,
};

/// Frees for others after which a thread gets a heap of its own, for the sake of its outbox. A thread
/// that frees less never costs one.
const LONE_FREES: u32 = 64;

/// The most frequent case first: the calling thread has a heap, and the block is in a slab of another
/// heap. `false`: it is not so.
#[inline]
pub fn send_home<P: Platform>(shared: &Shared<P>, block: *mut u8) -> bool {
    let Some(local) = Local::current(shared) else { return false };
    let unit = local.arena.unit_of(block.addr());
    if unit as usize >= local.front.units.get() {
        return false;
    }
    let entry = local.arena.route(unit);
    if entry.owner() < Entry::FIRST_HEAP || entry.owner() == local.owner() {
        return false;
    }
    local.send(entry, block);
    true
}

/// Frees a block that the route table says is in a slab, whoever owns that.
#[inline(never)]
pub fn free_slab_block<P: Platform>(shared: &Shared<P>, block: *mut u8) {
    let Some(arena) = shared.arena() else { return };
    loop {
        let entry = arena.route(arena.unit_of(block.addr()));
        match entry.owner() {
            0 | Entry::LARGE => return misuse::<P>(MisuseKind::NeverAllocated, block, entry),
            Entry::POOL => {
                if free_pooled(shared, block, entry) {
                    return;
                }
            }
            owner => {
                return match local_for_free(shared) {
                    Some(local) if local.owner() == owner => local.free_own(block, entry.class()),
                    Some(local) => local.send(entry, block),
                    None => send_without_heap(shared, arena, entry, block),
                };
            }
        }
    }
}

fn local_for_free<P: Platform>(shared: &Shared<P>) -> Option<Local<'_, P>> {
    let front = front::<P>();
    if front.state.get() == FRESH {
        front.lone_frees.set(front.lone_frees.get() + 1);
        if front.lone_frees.get() > LONE_FREES {
            return Local::attach(shared);
        }
    }
    Local::current(shared)
}

/// Frees a block of a slab of the pool. If blocks are left, a thread with a heap takes the slab over:
/// whoever frees one block of it usually frees the next. `false`: somebody else was first, look again.
#[inline(never)]
fn free_pooled<P: Platform>(shared: &Shared<P>, block: *mut u8, entry: Entry) -> bool {
    let class = entry.class();
    let local = local_for_free(shared);
    let Some(mut pool) = shared.lock() else { return true };
    let arena = pool.arena;
    if arena.route(arena.unit_of(block.addr())) != entry {
        return false;
    }
    match pool.free_block(block, class) {
        Err(kind) => {
            drop(pool);
            misuse::<P>(kind, block, entry);
        }
        Ok(Some(slab)) if shared.dials.route(class) != Route::PoolOnly => {
            if let Some(local) = local {
                local.ensure_magazine(class);
                pool.hand_over(&slab, local.owner());
                drop(pool);
                local.bin(class).partial.push(&slab, Listed::Partial);
            }
        }
        Ok(_) => {}
    }
    true
}

/// For threads that have no heap: the pool's own outbox.
fn send_without_heap<P: Platform>(
    shared: &Shared<P>,
    arena: &Arena<P::Geometry>,
    entry: Entry,
    block: *mut u8,
) {
    let (owner, class) = (entry.owner(), entry.class());
    let Some(mut pool) = shared.lock() else { return };
    let mut parcel = None;
    if let Some(id) = pool.outbox.open(owner, class) {
        let chunk = arena.chunk(id);
        chunk.push(block);
        if chunk.len() >= chunk.limit() {
            parcel = pool.outbox.take(owner, class);
        }
    } else if let Some(id) = pool.take_chunk() {
        let limit = parcel_blocks(shared, class);
        let chunk = arena.chunk(id);
        chunk.begin(class, limit);
        chunk.push(block);
        parcel = match limit {
            1 => Some(Parcel { owner, chunk: id }),
            _ => pool.outbox.start(owner, class, id),
        };
    } else {
        pool.meter.stranded.add(1);
    }
    drop(pool);
    if let Some(parcel) = parcel {
        dispatch_shared(shared, arena, parcel);
    }
}

/// Sends off what threads without a heap left in the pool's outbox.
pub fn send_shared<P: Platform>(shared: &Shared<P>) {
    let Some(arena) = shared.arena() else { return };
    while let Some(parcel) = shared.lock().and_then(|pool| pool.outbox.pop()) {
        dispatch_shared(shared, arena, parcel);
    }
}

fn dispatch_shared<P: Platform>(shared: &Shared<P>, arena: &Arena<P::Geometry>, parcel: Parcel) {
    let blocks = arena.chunk(parcel.chunk).len();
    if deliver::<P>(arena, parcel) {
        if let Some(pool) = shared.lock() {
            pool.meter.remote_sent.add(blocks as u64);
        }
        return;
    }
    for &block in arena.chunk(parcel.chunk).blocks() {
        free_slab_block(shared, block);
    }
    if let Some(mut pool) = shared.lock() {
        pool.give_chunk(parcel.chunk);
    }
}

/// Hands a parcel to its heap. `false`: that has no thread any more, and the parcel is still ours.
fn deliver<P: Platform>(arena: &Arena<P::Geometry>, parcel: Parcel) -> bool {
    let heap = heap_record::<P>(arena, parcel.owner - Entry::FIRST_HEAP);
    heap.inbox.send(parcel.chunk, arena)
}

/// Blocks of a class that travel together.
fn parcel_blocks<P: Platform>(shared: &Shared<P>, class: SizeClass) -> usize {
    let by_bytes = shared.dials.outbox_bytes() as usize / class.bytes();
    by_bytes.clamp(1, P::Geometry::CHUNK_BLOCKS)
}

impl<'a, P: Platform> Local<'a, P> {
    /// Frees a block of a slab of ours that HOT would not take.
    #[inline(never)]
    fn free_own(&self, block: *mut u8, class: SizeClass) {
        if let Err(kind) = Slab::of(self.arena, block.addr(), class).retire(block.addr()) {
            return misuse::<P>(kind, block, Entry::slab(self.owner(), class));
        }
        let stack = self.stack(class);
        // SAFETY: F1: there is a magazine, and it is never left full.
        unsafe { stack.get().write(block) };
        stack.set(stack.get().wrapping_add(1));
        if stack.get() == self.bin(class).end.get() {
            self.overflow(class);
        }
    }

    /// Packs a block for the heap that owns it.
    #[inline]
    fn send(&self, entry: Entry, block: *mut u8) {
        let (owner, class) = (entry.owner(), entry.class());
        let outbox = &self.heap.outbox;
        let open = outbox.open(owner, class);
        if let Some(id) = open {
            let chunk = self.arena.chunk(id);
            chunk.push(block);
            if chunk.len() >= chunk.limit() {
                self.dispatch_slot(owner, class);
            }
            return;
        }
        self.send_first(entry, block);
    }

    #[cold]
    #[inline(never)]
    fn send_first(&self, entry: Entry, block: *mut u8) {
        // Mail of another pair leaves first; delivering it may even open this pair's chunk.
        self.dispatch_slot(entry.owner(), entry.class());
        let Some(id) = self.fresh_chunk() else {
            // No page left for a chunk: the block stays out of use. It is counted, and no peril.
            self.heap.meter.stranded.add(1);
            return;
        };
        let limit = parcel_blocks(self.shared, entry.class());
        let chunk = self.arena.chunk(id);
        chunk.begin(entry.class(), limit);
        chunk.push(block);
        if limit == 1 {
            return self.dispatch(Parcel { owner: entry.owner(), chunk: id });
        }
        if let Some(parcel) = self.heap.outbox.start(entry.owner(), entry.class(), id) {
            self.dispatch(parcel);
        }
    }

    /// Sends off the chunk that stands where this pair's would.
    fn dispatch_slot(&self, owner: u32, class: SizeClass) {
        if let Some(parcel) = self.heap.outbox.take(owner, class) {
            self.dispatch(parcel);
        }
    }

    #[inline(never)]
    fn dispatch(&self, parcel: Parcel) {
        let blocks = self.arena.chunk(parcel.chunk).len();
        if deliver::<P>(self.arena, parcel) {
            self.heap.meter.remote_sent.add(blocks as u64);
            return;
        }
        for &block in self.arena.chunk(parcel.chunk).blocks() {
            free_slab_block(self.shared, block);
        }
        self.recycle(parcel.chunk);
    }

    /// Sends off all that waits in the outbox.
    pub(super) fn send_all(&self) {
        while let Some(parcel) = self.heap.outbox.pop() {
            self.dispatch(parcel);
        }
    }
}
