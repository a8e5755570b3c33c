//! Blocks of slabs that are not the calling thread's: send them home, or take their slab over.
//! Verb: send. Floor: 2nd.
//!
//! The freeing thread touches neither the block nor its slab's bitmap or live bits: those have one
//! writer, the owner, who checks each block when it drains. Only slabs of the pool, which have no
//! thread, are written under the lock. (Blocks are linked through their own memory where not even a
//! page for a chunk is left; see `stray`.)

use super::{FRESH, Local, begin::heap_record, front, misuse};
use crate::{
    arena::{Arena, CHECKED, Entry},
    chunk::ChunkId,
    dials::{ClassDial, Dial, Route},
    geometry::Geometry,
    meter::ClassEvent,
    outbox::{Packed, Parcel},
    platform::{MisuseKind, Platform},
    pool::Shared,
    prefix::Listed,
    size_class::SizeClass,
    slab::Slab,
    stray::StrayLinks,
};

/// Frees for others after which a thread gets a heap of its own, for the sake of its outbox. A
/// thread that frees less never costs one.
const LONE_FREES: u32 = 64;

/// The most frequent case first: the calling thread has a heap, and the block is in a slab of
/// another heap. `false`: it is not so.
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
    let front = front(shared);
    if front.state.get() == FRESH {
        front.lone_frees.set(front.lone_frees.get() + 1);
        if front.lone_frees.get() > LONE_FREES {
            return Local::attach(shared);
        }
    }
    Local::current(shared)
}

/// Frees a block of a slab of the pool. If blocks are left, a thread with a heap takes the slab
/// over: whoever frees one block of it usually frees the next. But only if it has no other slab to
/// refill from: a long-lived thread that frees what short-lived ones left behind would else gather
/// all their slabs, a few blocks in each, and every new thread would carve fresh ones. `false`:
/// somebody else was first, look again.
#[inline(never)]
fn free_pooled<P: Platform>(shared: &Shared<P>, block: *mut u8, entry: Entry) -> bool {
    let class = entry.class();
    if !Shared::<P>::may_wait() {
        leave_pooled(shared, entry, block);
        return true;
    }
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
            if let Some(local) = local
                && local.bin(class).partial.first(arena, class).is_none()
            {
                local.ensure_magazine(class);
                pool.hand_over(&slab, local.owner());
                // Still under the lock (F5).
                local.bin(class).partial.push(&slab, Listed::Partial);
            }
        }
        Ok(_) => {}
    }
    true
}

/// Leaves a block of a slab of the pool to somebody who may wait.
#[cold]
fn leave_pooled<P: Platform>(shared: &Shared<P>, entry: Entry, block: *mut u8) {
    let Some(arena) = shared.arena() else { return };
    if is_sound::<P>(arena, entry, block) {
        // SAFETY: a block of a slab, no class of which is smaller than a word; the caller gives it
        // up.
        unsafe { shared.leave(block) };
    }
}

/// For threads that have no heap: the pool's own outbox.
fn send_without_heap<P: Platform>(
    shared: &Shared<P>,
    arena: &Arena<P::Geometry>,
    entry: Entry,
    block: *mut u8,
) {
    if !Shared::<P>::may_wait() {
        return send_stray(shared, arena, entry, block);
    }
    let Some(mut pool) = shared.lock() else { return };
    let parcel = match pool.outbox.pack(arena, entry, block) {
        Packed::Waits => return,
        Packed::Full => pool.outbox.take(arena, entry),
        Packed::NoChunk => match pool.take_chunk() {
            Some(chunk) => {
                let limit = parcel_blocks(shared, entry.class());
                pool.outbox.begin(arena, entry, chunk, limit, block)
            }
            None => {
                pool.meter.strays.add(1);
                drop(pool);
                return send_stray(shared, arena, entry, block);
            }
        },
    };
    drop(pool);
    if let Some(parcel) = parcel {
        post_shared(shared, arena, parcel);
    }
}

/// Sends off what threads without a heap left in the pool's outbox.
pub fn send_shared<P: Platform>(shared: &Shared<P>) {
    let Some(arena) = shared.arena() else { return };
    while let Some(parcel) = shared.lock().and_then(|pool| pool.outbox.pop(arena)) {
        post_shared(shared, arena, parcel);
    }
}

fn post_shared<P: Platform>(shared: &Shared<P>, arena: &Arena<P::Geometry>, parcel: Parcel) {
    let posted = post(shared, arena, parcel);
    let Some(mut pool) = shared.lock() else { return };
    match posted {
        Posted::Delivered { blocks } => pool.meter.remote_sent.add(blocks),
        Posted::Emptied(chunk) => pool.give_chunk(chunk),
    }
}

/// What became of a parcel.
enum Posted {
    /// Its heap has it.
    Delivered { blocks: u64 },
    /// Its heap has no thread any more, so its blocks were freed anew. The chunk is the sender's
    /// again.
    Emptied(ChunkId),
}

fn post<P: Platform>(shared: &Shared<P>, arena: &Arena<P::Geometry>, parcel: Parcel) -> Posted {
    let blocks = arena.chunk(parcel.chunk).len() as u64;
    if blocks == 0 {
        return Posted::Emptied(parcel.chunk);
    }
    let heap = heap_record::<P>(arena, parcel.owner - Entry::FIRST_HEAP);
    if heap.inbox.send(parcel.chunk as usize, arena) {
        return Posted::Delivered { blocks };
    }
    free_anew(shared, arena, parcel.chunk);
    Posted::Emptied(parcel.chunk)
}

/// Frees the blocks of a parcel whose receiver is gone: they belong to somebody else by now.
pub(super) fn free_anew<P: Platform>(
    shared: &Shared<P>,
    arena: &Arena<P::Geometry>,
    chunk: ChunkId,
) {
    for &block in arena.chunk(chunk).blocks() {
        free_slab_block(shared, block);
    }
}

/// Sends a block home by itself: there was no page for a chunk. Writes into the block, so unlike
/// the others it is looked at before it goes.
#[cold]
#[inline(never)]
fn send_stray<P: Platform>(
    shared: &Shared<P>,
    arena: &Arena<P::Geometry>,
    entry: Entry,
    block: *mut u8,
) {
    if is_sound::<P>(arena, entry, block) && !stray_home::<P>(arena, entry, block) {
        free_slab_block(shared, block);
    }
}

/// `false`: the owner is gone.
fn stray_home<P: Platform>(arena: &Arena<P::Geometry>, entry: Entry, block: *mut u8) -> bool {
    let heap = heap_record::<P>(arena, entry.owner() - Entry::FIRST_HEAP);
    heap.strays.send(block.addr(), &StrayLinks(arena))
}

/// Whether a block may be written to, because it is live; reports it if not.
fn is_sound<P: Platform>(arena: &Arena<P::Geometry>, entry: Entry, block: *mut u8) -> bool {
    let slab = Slab::of(arena, block.addr(), entry.class());
    let sound = slab.is_out(block.addr()) && (!CHECKED || arena.is_live(block.addr()));
    if !sound {
        misuse::<P>(slab.fault(block.addr()), block, entry);
    }
    sound
}

/// Frees a block that the route table says is in a slab, without the caller's front or the lock.
#[cold]
pub fn leave_slab_block<P: Platform>(shared: &Shared<P>, block: *mut u8) {
    let Some(arena) = shared.arena() else { return };
    loop {
        let entry = arena.route(arena.unit_of(block.addr()));
        match entry.owner() {
            0 | Entry::LARGE => return misuse::<P>(MisuseKind::NeverAllocated, block, entry),
            Entry::POOL => return leave_pooled(shared, entry, block),
            _ if !is_sound::<P>(arena, entry, block) => return,
            _ if stray_home::<P>(arena, entry, block) => return,
            _ => {}
        }
    }
}

/// Blocks of a class that travel together.
fn parcel_blocks<P: Platform>(shared: &Shared<P>, class: SizeClass) -> usize {
    let dials = &shared.dials;
    let blocks = match dials.of_class(class, ClassDial::Parcel) {
        0 => dials.get(Dial::OutboxBytes) as usize / class.bytes(),
        blocks => usize::from(blocks),
    };
    blocks.clamp(1, P::Geometry::CHUNK_BLOCKS)
}

impl<'a, P: Platform> Local<'a, P> {
    /// Frees a block of a slab of ours that HOT would not take.
    #[inline(never)]
    fn free_own(&self, block: *mut u8, class: SizeClass) {
        let slab = Slab::of(self.arena, block.addr(), class);
        if slab.prefix.delivered.get() != 0 {
            let Some(_stay) = self.enter() else {
                let entry = Entry::slab(self.owner(), class);
                return send_stray(self.shared, self.arena, entry, block);
            };
            self.settle(&slab);
        }
        if let Err(kind) = slab.retire(block.addr()) {
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
        // A visitor may be at the outbox, and a chunk that the block fills could not leave it then.
        let inside = if Shared::<P>::may_wait() { None } else { self.enter() };
        if !Shared::<P>::may_wait() && inside.is_none() {
            return send_stray(self.shared, self.arena, entry, block);
        }
        match self.heap.outbox.pack(self.arena, entry, block) {
            Packed::Waits => {}
            Packed::Full => self.send_full(entry),
            Packed::NoChunk => self.send_first(entry, block),
        }
    }

    #[inline(never)]
    fn send_full(&self, entry: Entry) {
        let Some(_stay) = self.enter() else { return };
        if let Some(parcel) = self.heap.outbox.take(self.arena, entry) {
            self.post(parcel);
        }
    }

    #[cold]
    #[inline(never)]
    fn send_first(&self, entry: Entry, block: *mut u8) {
        let Some(_stay) = self.enter() else { return };
        // Mail of another pair leaves first; posting it may even open this pair's chunk.
        if let Some(parcel) = self.heap.outbox.take(self.arena, entry) {
            self.post(parcel);
        }
        let Some(chunk) = self.fresh_chunk() else {
            self.heap.meter.strays.add(1);
            return send_stray(self.shared, self.arena, entry, block);
        };
        let limit = parcel_blocks(self.shared, entry.class());
        if let Some(parcel) = self.heap.outbox.begin(self.arena, entry, chunk, limit, block) {
            self.post(parcel);
        }
    }

    #[inline(never)]
    fn post(&self, parcel: Parcel) {
        let class = self.arena.chunk(parcel.chunk).class();
        match post(self.shared, self.arena, parcel) {
            Posted::Delivered { blocks } => {
                self.heap.meter.remote_sent.add(blocks);
                self.stir(class, ClassEvent::Parcel, 1);
                self.stir(class, ClassEvent::Sent, blocks as u32);
                self.tick();
            }
            Posted::Emptied(chunk) => self.recycle(chunk),
        }
    }

    /// Sends off all that waits in the outbox.
    pub(super) fn send_all(&self) {
        while let Some(parcel) = self.heap.outbox.pop(self.arena) {
            self.post(parcel);
        }
    }
}
