//! What others do in the stead of a thread that sleeps: send what waits in its outbox, bring home
//! the blocks that wait in its inbox, and empty its depot, so that slabs that became empty serve
//! everybody. Verb: visit. Takes the pool's lock. Floor: 2nd.
//!
//! A visitor holds the pool's lock and is inside the heap's turnstile, which the heap's thread
//! enters for all that it does in WARM and COLD (F5). HOT knows nothing of visits: it writes
//! magazines, which no visitor touches, and live bits, which a visitor does not write while the
//! thread may (see `protocol::live`).
//!
//! Mail that only its owner could deliver would keep memory from everybody while the owner sleeps.
//! Two parties visit: a thread that would else have to carve a slab, at most so many parcels' worth
//! ([`Dial::Visits`]); and whoever wants memory back, or is told that a thread sleeps.

use super::{ThreadHeap, begin::heap_record, cold, misuse, remote, warm::keeps_last};
use crate::{
    arena::Entry,
    chunk::{Chunk, ChunkId, NO_CHUNK},
    dials::Dial,
    platform::{MisuseKind, Platform},
    pool::{Locked, Shared},
    protocol::inbox::Links,
    size_class::SizeClass,
    slab::Slab,
    stray::Strays,
};

/// Heaps that a thread looks at before it carves a slab.
const LOOK: u32 = 8;

/// Heaps that one turn of ACE looks at.
const WATCHED: u32 = 64;
/// Parcels and chunks that it takes from a sleeper at a time.
const PARCELS: usize = 64;

/// Parcels and chunks that are unpacked while the lock is held, where all are wanted.
const HOLD: usize = 64;

/// What a visit did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Visited {
    /// Blocks that came home to their slabs.
    pub blocks: usize,
    /// Slabs that went to the pool, because they were empty then.
    pub slabs: usize,
    /// Whether the visit ended before all was done.
    pub more: bool,
    /// Whether there was none, because the thread is at it, or there is no thread.
    pub busy: bool,
}

/// How far a visit goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// The mail. The thread may need what else it has.
    Mail,
    /// Mail and depot, and no empty slab stays for the next refill: for a thread that sleeps.
    All,
}

/// What a visitor can do only when it is out and the lock is free.
#[derive(Debug)]
pub(super) struct Left {
    /// Parcels of blocks that belong to somebody else by now.
    astray: ChunkId,
    /// A block that was freed and can't have been.
    fault: Option<(MisuseKind, *mut u8, Entry)>,
}

impl Left {
    const NOTHING: Self = Self { astray: NO_CHUNK, fault: None };

    pub(super) fn is_nothing(&self) -> bool {
        self.astray == NO_CHUNK && self.fault.is_none()
    }

    pub(super) fn clear_up<P: Platform>(mut self, shared: &Shared<P>) {
        let Some(arena) = shared.arena() else { return };
        if let Some((kind, block, entry)) = self.fault {
            misuse::<P>(kind, block, entry);
        }
        while self.astray != NO_CHUNK {
            let id = self.astray;
            self.astray = arena.next_chunk(id);
            remote::free_anew(shared, arena, id);
            if let Some(mut pool) = shared.lock() {
                pool.give_chunk(id);
            }
        }
    }
}

struct Visit<'v, 'a, P: Platform> {
    pool: &'v mut Locked<'a, P>,
    heap: &'a ThreadHeap,
    owner: u32,
    depth: Depth,
    /// Parcels and chunks that may still be unpacked.
    budget: &'v mut usize,
    done: Visited,
    left: Left,
}

impl<'a, P: Platform> Visit<'_, 'a, P> {
    fn run(&mut self) {
        self.deliver_strays();
        self.done.more =
            !self.forward() || !self.deliver() || self.depth == Depth::All && !self.empty_depot();
    }

    fn may_go_on(&mut self) -> bool {
        let may = *self.budget > 0 && self.left.fault.is_none();
        *self.budget -= usize::from(may);
        may
    }

    /// Sends copies of the parcels that the thread is packing. `false`: there is more.
    fn forward(&mut self) -> bool {
        let (heap, arena) = (self.heap, self.pool.arena);
        for parcel in heap.outbox.open() {
            let chunk = arena.chunk(parcel.chunk);
            if !chunk.has_fresh() {
                continue;
            }
            if !self.may_go_on() {
                return false;
            }
            let Some(id) = self.pool.take_chunk() else { return true };
            let blocks = chunk.copy_fresh(&arena.chunk(id));
            let receiver = heap_record::<P>(arena, parcel.owner - Entry::FIRST_HEAP);
            if receiver.inbox.send(id as usize, arena) {
                self.pool.meter.remote_sent.add(blocks as u64);
            } else {
                self.put_away(id);
            }
        }
        true
    }

    /// Takes in mail. `false`: there is more.
    fn deliver(&mut self) -> bool {
        let (heap, arena) = (self.heap, self.pool.arena);
        loop {
            if heap.mail.get() == NO_CHUNK {
                heap.mail.set(heap.inbox.drain() as ChunkId);
            }
            let id = heap.mail.get();
            if id == NO_CHUNK {
                return true;
            }
            if !self.may_go_on() {
                return false;
            }
            let chunk = arena.chunk(id);
            let before = chunk.len();
            let rest = self.take_home(&chunk, Slab::deliver);
            self.pool.meter.remote_drained.add((before - rest) as u64);
            if rest > 0 {
                return false;
            }
            heap.mail.set(arena.next_chunk(id));
            self.put_away(id);
        }
    }

    /// Takes in what callers sent who could not wait: their owner, a handler perhaps, may never
    /// come for it.
    #[cold]
    #[inline(never)]
    fn deliver_strays(&mut self) {
        let (heap, arena, shared) = (self.heap, self.pool.arena, self.pool.shared);
        // Else there are some only in the hour when the heap has no page for a chunk.
        if !P::INTERRUPTS || heap.strays.is_empty() {
            return;
        }
        for stray in Strays::new(arena, shared.committed(), heap.strays.drain()) {
            let Ok((block, class)) = stray else { return };
            let entry = arena.route(arena.unit_of(block.addr()));
            if entry != Entry::slab(self.owner, class) {
                // SAFETY: a live block of a slab, which was freed.
                unsafe { shared.leave(block) };
                continue;
            }
            let slab = Slab::of(arena, block.addr(), class);
            match slab.deliver(block) {
                Ok(()) => self.count(&slab, class),
                Err(kind) => return self.left.fault = Some((kind, block, entry)),
            }
        }
    }

    /// Empties the depot. `false`: there is more.
    fn empty_depot(&mut self) -> bool {
        let (heap, arena) = (self.heap, self.pool.arena);
        for class in SizeClass::all() {
            let depot = &heap.bins[class.index()].depot;
            while depot.len() > 0 {
                if !self.may_go_on() {
                    return false;
                }
                let Some(id) = depot.pop(arena) else { break };
                let chunk = arena.chunk(id);
                let before = chunk.len();
                let rest = self.take_home(&chunk, Slab::put);
                heap.depot_bytes.set(heap.depot_bytes.get() - (before - rest) * class.bytes());
                self.pool.meter.flushed_blocks.add((before - rest) as u64);
                if rest > 0 {
                    depot.push(arena, id);
                    return false;
                }
                self.put_away(id);
            }
        }
        true
    }

    /// Has `put` put the blocks of a chunk into their slabs; those of other owners stay in it. Ends
    /// at a block that can't have been freed, and returns how many are left then.
    fn take_home(
        &mut self,
        chunk: &Chunk<'_>,
        put: impl Fn(&Slab<'a, P::Geometry>, *mut u8) -> Result<(), MisuseKind>,
    ) -> usize {
        let (arena, class) = (self.pool.arena, chunk.class());
        chunk.retain(|block| {
            let entry = arena.route(arena.unit_of(block.addr()));
            if self.left.fault.is_some() || entry != Entry::slab(self.owner, class) {
                return true;
            }
            let slab = Slab::of(arena, block.addr(), class);
            match put(&slab, block) {
                Ok(()) => self.count(&slab, class),
                Err(kind) => self.left.fault = Some((kind, block, entry)),
            }
            false
        });
        if self.left.fault.is_some() { chunk.len() } else { 0 }
    }

    /// Gives a chunk back; if there are blocks of others in it, once they are freed anew.
    fn put_away(&mut self, id: ChunkId) {
        let arena = self.pool.arena;
        if arena.chunk(id).len() == 0 {
            self.pool.give_chunk(id);
        } else {
            arena.set_next(id as usize, self.left.astray as usize);
            self.left.astray = id;
        }
    }

    fn count(&mut self, slab: &Slab<'a, P::Geometry>, class: SizeClass) {
        self.done.blocks += 1;
        let keeps_last = self.depth == Depth::Mail && keeps_last(class);
        if self.heap.bins[class.index()].relist(slab, keeps_last) {
            self.pool.publish(slab);
            self.done.slabs += 1;
        }
    }
}

/// Visits a heap if its thread is not busy there this moment. Whoever unlocks clears up the rest.
fn visit_locked<P: Platform>(
    pool: &mut Locked<'_, P>,
    number: u32,
    depth: Depth,
    budget: &mut usize,
) -> (Visited, Left) {
    let heap = heap_record::<P>(pool.arena, number);
    if !heap.turnstile.try_enter() {
        return (Visited { busy: true, ..Visited::default() }, Left::NOTHING);
    }
    let owner = number + Entry::FIRST_HEAP;
    let (done, left) = (Visited::default(), Left::NOTHING);
    cold::give_kept(pool, heap);
    let mut visit = Visit { pool, heap, owner, depth, budget, done, left };
    visit.run();
    let Visit { done, left, .. } = visit;
    heap.turnstile.leave();
    (done, left)
}

/// Before a slab is carved: visits some heaps whose threads did nothing slow since the last look.
pub(super) fn visit_sleepers<P: Platform>(pool: &mut Locked<'_, P>) -> Left {
    let mut budget = pool.shared.dials.get(Dial::Visits) as usize;
    for _ in 0..LOOK.min(pool.heaps_made) {
        if budget == 0 {
            break;
        }
        let number = pool.next_visit % pool.heaps_made;
        pool.next_visit = number + 1;
        let heap = heap_record::<P>(pool.arena, number);
        let pulse = heap.pulse.get();
        if heap.looked.replace(pulse) != pulse {
            continue;
        }
        let (visited, left) = visit_locked(pool, number, Depth::Mail, &mut budget);
        if visited.more {
            // The next one to come goes on here.
            pool.next_visit = number;
        }
        if visited.more || !left.is_nothing() {
            return left;
        }
    }
    Left::NOTHING
}

/// Visits heap `number`, a record that was made, unless its thread is busy there or it has none:
/// unpacks at most `budget` parcels and chunks.
pub fn visit<P: Platform>(
    shared: &Shared<P>,
    number: u32,
    depth: Depth,
    mut budget: usize,
) -> Visited {
    let Some(mut pool) = shared.lock() else { return Visited::default() };
    let (visited, left) = visit_locked(&mut pool, number, depth, &mut budget);
    drop(pool);
    left.clear_up(shared);
    visited
}

/// Visits all heaps, as far as can be: for whoever wants memory back.
pub fn visit_all<P: Platform>(shared: &Shared<P>) {
    let heaps = shared.lock().map_or(0, |pool| pool.heaps_made);
    // Twice: what one was packing may be for another who was visited before.
    for number in (0..heaps).chain(0..heaps) {
        // Misuse, if its report returns, ends a visit early.
        while visit(shared, number, Depth::All, HOLD).more {}
    }
}

/// How long a thread must have done nothing slow to count as asleep, and what the time is.
#[derive(Clone, Copy, Debug)]
pub struct Asleep {
    /// Milliseconds on the clock of turns.
    pub now_ms: u64,
    /// 0: nobody does.
    pub idle_ms: u64,
}

impl Asleep {
    /// Whether the heap's thread is asleep and may hold something that nobody has taken from it
    /// yet. Holder of the pool's lock only.
    fn holds_something(self, heap: &ThreadHeap) -> bool {
        let pulse = heap.pulse.get();
        if heap.watched.replace(pulse) != pulse {
            heap.awake_ms.set(self.now_ms);
            return false;
        }
        self.idle_ms > 0
            && self.now_ms >= heap.awake_ms.get().saturating_add(self.idle_ms)
            && (heap.emptied.get() != pulse || !heap.inbox.is_empty())
    }

    /// Counts sleepers among the next [`WATCHED`] heaps. Asked once a turn: who did nothing between
    /// two turns sleeps since the first.
    pub fn count<P: Platform>(self, shared: &Shared<P>) -> u32 {
        let Some(mut pool) = shared.lock() else { return 0 };
        pool.next_watch = if pool.heaps_made > WATCHED {
            (pool.next_watch + WATCHED) % pool.heaps_made
        } else {
            0
        };
        let arena = pool.arena;
        let sleeps = |number: &u32| self.holds_something(heap_record::<P>(arena, *number));
        watched(&pool).filter(sleeps).count() as u32
    }

    /// Takes mail and depots from up to `threads` of those that were counted last.
    pub fn visit<P: Platform>(self, shared: &Shared<P>, threads: u32) {
        let Some(pool) = shared.lock() else { return };
        let (arena, numbers) = (pool.arena, watched(&pool));
        drop(pool);
        let mut left = threads;
        for number in numbers {
            if left == 0 {
                return;
            }
            let heap = heap_record::<P>(arena, number);
            let asleep = shared.lock().is_some_and(|_pool| self.holds_something(heap));
            if !asleep {
                continue;
            }
            let pulse = heap.pulse.get();
            let visited = visit(shared, number, Depth::All, PARCELS);
            if !visited.more
                && !visited.busy
                && let Some(_pool) = shared.lock()
            {
                heap.emptied.set(pulse);
            }
            left -= 1;
        }
    }
}

fn watched<P: Platform>(pool: &Locked<'_, P>) -> impl Iterator<Item = u32> + use<P> {
    let (first, made) = (pool.next_watch, pool.heaps_made);
    (0..made.min(WATCHED)).map(move |next| (first + next) % made)
}
