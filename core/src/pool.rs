//! What threads share: slabs without a thread, empty slabs kept warm, spare chunks, and the growth
//! of the heap. Verbs: adopt, publish. Floor: 1st.
//!
//! Everything is behind one lock ([`Shared::lock`]); nobody calls it on a hot path.
//!
//! A slab of the pool (owner [`crate::arena::Entry::POOL`]) is one whose thread is gone, or that
//! serves callers without a heap. Its blocks are freed under the lock until a thread adopts it.

mod chunks;
mod interrupts;
mod large;
mod promote;
mod settle;
mod slabs;

use crate::{
    ace::Levels,
    arena::{Arena, Records},
    chunk::ChunkStack,
    dials::Dials,
    geometry::Geometry,
    huge::HugeTable,
    meter::{Board, Meter},
    outbox::Outbox,
    pages::PageProvider,
    platform::{Platform, Threads},
    ring::{Event, Ring},
    seat::Seat,
    size_class::SizeClass,
    slab::SlabList,
    span::{SpanKind, Spans, Taken},
    stats::BlockStats,
    superslab::Supers,
    sync::{AtomicBool, AtomicPtr, AtomicU32, Ordering, RelaxedU8, RelaxedU32},
};
use core::{
    cell::UnsafeCell,
    mem::MaybeUninit,
    ops::{Deref, DerefMut},
    ptr::null_mut,
};
use lock_api::{Mutex, MutexGuard};

/// Refaulted bytes that ACE should see at once.
const HURRY_BYTES: u64 = 4 << 20;

/// Empty slabs of one class.
#[derive(Debug)]
struct Warm {
    slabs: SlabList,
    len: u32,
}

/// State behind the lock.
#[derive(Debug)]
pub struct Pool {
    /// Free runs of units.
    pub spans: Spans,
    /// Superslabs.
    pub supers: Supers,
    warm: [Warm; SizeClass::COUNT],
    /// Units of slabs in the lists of `warm`.
    warm_units: u32,
    partial: [SlabList; SizeClass::COUNT],
    chunks: ChunkStack,
    /// Units set aside for chunks.
    chunk_units: u32,
    chunk_run: core::ops::Range<u32>,
    chunks_swept: usize,
    /// At the last turn of ACE: bytes refaulted until then, and bytes in use or dirty.
    refaults_seen: u64,
    extent_seen: usize,
    /// Dirty bytes of which threads of an attended heap were last told; 0: within the limit.
    dirty_told: usize,
    huge: HugeTable,
    large: BlockStats,
    /// First heap record that waits for a thread (number + 1; 0 = none), and records ever made.
    pub idle_heaps: u32,
    /// Heap records ever made.
    pub heaps_made: u32,
    /// Threads that hold a heap.
    pub threads: u32,
    /// Where ACE's next look at heaps begins.
    pub next_watch: u32,
    /// Heap record that is looked at next when the heap would grow (see `tiny::visit`).
    pub next_visit: u32,
    /// The pool's own events.
    pub meter: Meter,
    /// Events of threads that gave their heaps up.
    pub dead: Meter,
    /// Blocks that threads without a heap freed for others.
    pub outbox: Outbox,
}

// SAFETY: the cells inside are reached only through the lock, one thread at a time.
unsafe impl Send for Pool {}

/// The part of a heap that all threads see.
pub struct Shared<P: Platform> {
    /// Where pages come from.
    pub pages: P::Pages,
    /// Where fronts are found.
    pub threads: P::Threads,
    /// Numbers that may change.
    pub dials: Dials,
    /// Times that memory was given back or was to be, as far as threads care.
    pub purges: RelaxedU32,
    /// What threads told ACE in numbers.
    pub board: Board,
    /// What they told it besides.
    pub ring: Ring,
    /// ACE.
    pub seat: Seat,
    pool: Mutex<P::Lock, Pool>,
    left: AtomicPtr<u8>,
    /// Whether a handler wanted a heap record that only others can make.
    pub handler_waits: RelaxedU8,
    arena: UnsafeCell<MaybeUninit<Arena<P::Geometry>>>,
    ready: AtomicBool,
    committed: AtomicU32,
}

// SAFETY: the arena is written once, under the lock, before `ready`; after that it is read only,
// and what it points to is guarded as its own documentation says. The rest is Sync.
unsafe impl<P: Platform> Sync for Shared<P> where P::Lock: Sync {}
// SAFETY: nothing in it is tied to a thread.
unsafe impl<P: Platform> Send for Shared<P>
where
    P::Pages: Send,
    P::Threads: Send,
{
}

impl<P: Platform> Shared<P> {
    /// A heap that has reserved nothing yet.
    pub const fn new(pages: P::Pages) -> Self {
        let () = <P::Geometry as Geometry>::CHECK;
        const {
            let page = <P::Pages as PageProvider>::PAGE;
            let magazine = <P::Geometry as Geometry>::MAGAZINE_SLOTS * size_of::<usize>();
            assert!(page.is_power_of_two(), "pages are a power of two");
            assert!(
                !<P::Pages as PageProvider>::TOUCHABLE || page <= <P::Geometry as Geometry>::UNIT,
                "page <= unit"
            );
            assert!(
                magazine <= page,
                "heap records begin at pages, magazines at multiples of their size"
            );
        }
        let pool = Pool {
            spans: Spans::new(),
            supers: Supers::new(),
            warm: [const { Warm { slabs: SlabList::new(), len: 0 } }; SizeClass::COUNT],
            warm_units: 0,
            partial: [const { SlabList::new() }; SizeClass::COUNT],
            chunks: ChunkStack::new(),
            chunk_units: 0,
            chunk_run: 0..0,
            chunks_swept: 0,
            refaults_seen: 0,
            extent_seen: 0,
            dirty_told: 0,
            huge: HugeTable::new(),
            dead: Meter::new(),
            large: BlockStats { blocks: 0, bytes: 0 },
            idle_heaps: 0,
            heaps_made: 0,
            threads: 0,
            next_watch: 0,
            next_visit: 0,
            meter: Meter::new(),
            outbox: Outbox::new(),
        };
        Self {
            pages,
            threads: <P::Threads as Threads>::INIT,
            dials: Dials::new(),
            purges: RelaxedU32::new(0),
            board: Board::new(),
            ring: Ring::new(),
            seat: Seat::new(),
            pool: Mutex::from_raw(<P::Lock as lock_api::RawMutex>::INIT, pool),
            left: AtomicPtr::new(null_mut()),
            handler_waits: RelaxedU8::new(0),
            arena: UnsafeCell::new(MaybeUninit::uninit()),
            ready: AtomicBool::new(false),
            committed: AtomicU32::new(0),
        }
    }

    /// The arena, once there is one.
    #[inline]
    pub fn arena(&self) -> Option<&Arena<P::Geometry>> {
        // Acquire: pairs with the Release in `lock`; the arena is written.
        self.ready.load(Ordering::Acquire).then(|| {
            // SAFETY: `ready` is set after the arena was written, and it is never written again.
            unsafe { (*self.arena.get()).assume_init_ref() }
        })
    }

    /// Units committed so far, which may grow at any time.
    pub fn committed(&self) -> u32 {
        // Acquire: pairs with the Release in `grow`; the tables of these units are usable.
        self.committed.load(Ordering::Acquire)
    }

    /// Locks the pool, reserving the range first if that was not done. `None`: out of pages; or
    /// somebody else has the lock, and the caller may not wait.
    #[inline(never)]
    pub fn lock(&self) -> Option<Locked<'_, P>> {
        let may_wait = Self::may_wait();
        let pool = if may_wait { self.pool.lock() } else { self.try_lock()? };
        if !self.ready.load(Ordering::Relaxed) {
            if !may_wait {
                return None;
            }
            let bytes = crate::tiny::heap_bytes::<P::Geometry>();
            let records = Records { bytes, most: <P::Threads as Threads>::MOST };
            let arena = Arena::reserve(&self.pages, records).ok()?;
            // SAFETY: `ready` is false and we hold the lock, so nobody reads or writes the arena.
            unsafe { (*self.arena.get()).write(arena) };
            // Release: pairs with the Acquire in `arena`.
            self.ready.store(true, Ordering::Release);
        }
        let arena = self.arena()?;
        Some(Locked { pool, arena, shared: self })
    }

    /// The lock itself, for fork handlers.
    pub fn raw_lock(&self) -> &P::Lock {
        // SAFETY: the caller locks and unlocks in pairs (fork handlers of `Heap`).
        unsafe { self.pool.raw() }
    }
}

/// The pool while its lock is held.
pub struct Locked<'a, P: Platform> {
    pool: MutexGuard<'a, P::Lock, Pool>,
    /// The tables.
    pub arena: &'a Arena<P::Geometry>,
    /// The part without lock.
    pub shared: &'a Shared<P>,
}

impl<P: Platform> Deref for Locked<'_, P> {
    type Target = Pool;
    fn deref(&self) -> &Pool {
        &self.pool
    }
}

impl<P: Platform> DerefMut for Locked<'_, P> {
    fn deref_mut(&mut self) -> &mut Pool {
        &mut self.pool
    }
}

impl<'a, P: Platform> Locked<'a, P> {
    fn grow(&mut self, units: u32) -> bool {
        if !Shared::<P>::may_wait() {
            // The provider may be what was interrupted.
            return false;
        }
        let step = P::Geometry::SUPERSLAB_UNITS;
        let from = self.spans.committed();
        let room = self.arena.units() - from;
        let least = units.next_multiple_of(step);
        if least > room {
            return false;
        }
        // A quarter more at a time, so that large heaps seldom ask; at most 4096 units. But where
        // their tables have to be zeroed here, no more than is needed.
        let ahead = if <P::Pages as PageProvider>::ZEROED { (from / 4).min(4096) } else { 0 };
        let generous = least.max(P::Geometry::COMMIT_UNITS).max(ahead);
        for more in [generous.next_multiple_of(step).min(room), least] {
            let to = from + more;
            if more >= least && self.arena.commit(&self.shared.pages, from, to).is_ok() {
                let arena = self.arena;
                self.spans.extend(arena, to);
                // Release: pairs with the Acquire in `committed`.
                self.shared.committed.store(to, Ordering::Release);
                self.shared.ring.push(Event::Grew(more));
                return true;
            }
        }
        false
    }

    #[inline(never)]
    fn take_span(&mut self, units: u32, align: u32, kind: SpanKind) -> Option<u32> {
        let arena = self.arena;
        if let Some(head) = self.spans.take(arena, units, align, kind) {
            return Some(head);
        }
        // The committed range ends at a whole superslab, so what is added begins aligned up to
        // that.
        let padding = if align <= P::Geometry::SUPERSLAB_UNITS { 0 } else { align - 1 };
        let span = units.checked_add(padding)?;
        if span > arena.units() || !self.grow(span) {
            return None;
        }
        self.spans.take(arena, units, align, kind)
    }

    /// Bytes of units in which something is: slabs of threads, large blocks, chunks. What the share
    /// of dirty memory is measured against.
    fn used_bytes(&self) -> usize {
        let free = self.spans.free_units() + self.supers.free_units() + self.warm_units;
        (self.spans.committed() - free) as usize * P::Geometry::UNIT
    }

    /// Bytes of free units that may still hold memory.
    pub fn dirty_bytes(&self) -> usize {
        self.spans.dirty_units() as usize * P::Geometry::UNIT
    }

    /// How things stand, for a turn of ACE, which has seen them then.
    pub fn levels(&mut self) -> Levels {
        let bytes = |units: u32| u64::from(units) << P::Geometry::UNIT_SHIFT;
        self.refaults_seen = self.meter.refaulted_bytes.get();
        self.extent_seen = self.used_bytes() + self.dirty_bytes();
        let counts = self.supers.counts();
        let whole = u64::from(counts.live * P::Geometry::SUPERSLAB_UNITS);
        let room = u64::from(self.supers.live_free_units()) * 1000;
        Levels {
            committed_bytes: bytes(self.spans.committed()),
            used_bytes: self.used_bytes() as u64,
            dirty_bytes: self.dirty_bytes() as u64,
            dirty_low_bytes: bytes(self.spans.take_low()),
            huge_bytes: self.huge_blocks().bytes as u64,
            rss_bytes: None,
            live: counts.live,
            draining: counts.draining,
            drained: counts.drained,
            revived: counts.revived,
            promoted: counts.promoted,
            room_permille: room.checked_div(whole).unwrap_or(0) as u32,
            threads: self.threads,
        }
    }

    /// Notes that units are in use now. Returns how many of them may hold something else than zero;
    /// `None`: there is no memory for them, and nothing was noted.
    fn take_into_use(&mut self, head: u32, units: u32) -> Option<u32> {
        let arena = self.arena;
        // Dirty units have kept their memory.
        if !<P::Pages as PageProvider>::TOUCHABLE && !self.spans.all_dirty(arena, head, units) {
            // SAFETY: the units were just taken from the free ones of the arena.
            unsafe { self.shared.pages.populate(arena.region(head, units)) }.ok()?;
        }
        let Taken { dirty, purged } = self.spans.unsoil(arena, head, units);
        self.meter.refaulted_bytes.add(u64::from(purged) << P::Geometry::UNIT_SHIFT);
        if self.meter.refaulted_bytes.get() - self.refaults_seen > HURRY_BYTES {
            self.shared.seat.hurry();
        }
        Some(if <P::Pages as PageProvider>::ZEROED { dirty } else { units })
    }
}
