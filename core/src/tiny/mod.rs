//! The tiny front: what one thread has in its hands. Floor: 2nd.
//!
//! | speed | file | what |
//! |---|---|---|
//! | HOT | `hot` | pop and push: a stack pointer a class, nothing else |
//! | WARM | `warm` | refill and flush: magazine, depot, own slabs; no lock |
//! | COLD | `begin`, `cold` | attach, adopt, publish, drain, exit: the pool's lock |
//! | | `remote` | frees of other threads' blocks |
//! | | `visit` | what others do in a sleeping thread's stead |
//!
//! A *magazine* is a block of `MAGAZINE_SLOTS` words, aligned to its size. It is used from its
//! upper end: with room for `cap` blocks, the word below them is null. The stack pointer is the
//! whole state: the word below it is null = empty; it is aligned to the magazine's size = full.
//!
//! Invariants:
//! * F1 A thread whose heap owns a slab of a class has a magazine for that class.
//! * F2 Words between the null slot and the stack pointer are free blocks of the class, in the
//!   hands of this thread alone, with their live bits cleared.
//! * F3 `own` is the number of the thread's heap, shifted by 8, or [`Front::NOBODY`], which no
//!   route entry has.
//! * F4 `units` is at most the committed count, and 0 while `base`, `route` and `live` are not set.
//! * F5 Lists of slabs, the slabs themselves, depot, mail and outbox (but for adding a block to one
//!   of its open chunks, which a visitor may copy meanwhile) are reached by two only: the heap's
//!   thread, inside the heap's turnstile or under the pool's lock; and a visitor, who has both. A
//!   heap without a thread has its turnstile taken.

pub mod begin;
pub mod cold;
pub mod hot;
pub mod pace;
pub mod remote;
pub mod visit;
pub mod warm;

use crate::{
    address::align_up,
    arena::{Arena, Entry},
    chunk::{ChunkId, ChunkStack, NO_CHUNK},
    geometry::{Geometry, shape_of},
    meter::{CLASS_EVENTS, COUNTERS, ClassEvent, Meter},
    outbox::Outbox,
    platform::{Misuse, MisuseKind, Platform, Threads},
    pool::Shared,
    prefix::{Listed, NO_UNIT},
    protocol::{inbox::Inbox, turnstile::Turnstile},
    size_class::SizeClass,
    slab::{Slab, SlabList},
    sync::RelaxedU32,
};
use core::{
    cell::Cell,
    ptr::{NonNull, null, null_mut},
};

/// One magazine's worth of nothing, which all classes of a fresh front point into: at an offset
/// where it looks empty, and full one word later.
#[repr(C, align(1024))]
#[derive(Debug)]
pub struct Sentinel([u64; 128]);

/// See [`Sentinel`]. Never written.
pub static SENTINEL: Sentinel = Sentinel([0; 128]);
/// Byte offset into [`SENTINEL`] of a fresh front's stack pointers.
pub const SENTINEL_OFFSET: usize = size_of::<Sentinel>() - size_of::<*mut u8>();

/// The hot part of a thread's state: lives in thread-local storage, at most 1 KiB, address fixed.
#[repr(C, align(64))]
#[derive(Debug)]
pub struct Front {
    stacks: [Cell<*mut *mut u8>; SizeClass::COUNT],
    own: Cell<u32>,
    state: Cell<u32>,
    units: Cell<usize>,
    base: Cell<usize>,
    route: Cell<*const RelaxedU32>,
    live: Cell<*const RelaxedU32>,
    heap: Cell<*const ThreadHeap>,
    lone_frees: Cell<u32>,
    /// Slow events until the thread looks at the clock.
    countdown: Cell<u32>,
}

const _: () = assert!(size_of::<Front>() <= 1024);

/// `Front::state`: the thread may get a heap.
const FRESH: u32 = 0;
/// The thread has a heap.
const ATTACHED: u32 = 1;
/// The thread is past its exit hook.
const RETIRED: u32 = 2;

impl Front {
    /// `own` of a thread without a heap.
    pub const NOBODY: u32 = 0xFFFF_FF00;

    /// The first state of a front: every request takes the slow path.
    #[expect(
        clippy::declare_interior_mutable_const,
        reason = "an initial value, copied into each front"
    )]
    pub const EMPTY: Self = Self::unattached(FRESH);

    /// The front of a thread that is past its exit hook: no heap will be attached to it.
    #[expect(clippy::declare_interior_mutable_const, reason = "as above")]
    pub(crate) const RETIRED: Self = Self::unattached(RETIRED);

    const fn unattached(state: u32) -> Self {
        Self {
            stacks: [const { Cell::new(Self::sentinel()) }; SizeClass::COUNT],
            own: Cell::new(Self::NOBODY),
            state: Cell::new(state),
            units: Cell::new(0),
            base: Cell::new(0),
            route: Cell::new(null()),
            live: Cell::new(null()),
            heap: Cell::new(null()),
            lone_frees: Cell::new(0),
            countdown: Cell::new(if state == RETIRED { u32::MAX } else { 0 }),
        }
    }

    const fn sentinel() -> *mut *mut u8 {
        (&raw const SENTINEL)
            .cast_mut()
            .cast::<*mut u8>()
            .wrapping_add(SENTINEL_OFFSET / size_of::<usize>())
    }

    fn reset(&self, state: u32) {
        for stack in &self.stacks {
            stack.set(Self::sentinel());
        }
        self.own.set(Self::NOBODY);
        self.heap.set(null());
        self.state.set(state);
        self.lone_frees.set(0);
        self.countdown.set(if state == RETIRED { u32::MAX } else { 0 });
    }
}

/// What a thread keeps for one class besides its magazine.
#[derive(Debug)]
struct Bin {
    /// End of the magazine; null while there is none.
    end: Cell<*mut *mut u8>,
    depot: ChunkStack,
    partial: SlabList,
    full: SlabList,
    /// First unit of the slab that refills come from, or [`NO_UNIT`].
    current: Cell<u32>,
    /// Blocks that the next refill brings.
    batch: Cell<u8>,
    /// Blocks that the magazine holds.
    cap: Cell<u8>,
    /// What ACE was not told yet, by [`ClassEvent`].
    untold: [Cell<u32>; CLASS_EVENTS],
    /// Whether nothing slow happened since caches were last asked to be emptied.
    unused: Cell<bool>,
}

impl Bin {
    /// Counts what ACE will be told.
    fn count(&self, event: ClassEvent, more: u32) {
        let count = &self.untold[event as usize];
        count.set(count.get().wrapping_add(more));
    }

    /// First word above the null slot.
    fn bottom(&self) -> *mut *mut u8 {
        self.end.get().wrapping_sub(usize::from(self.cap.get()))
    }

    /// Puts a slab that got blocks back where it belongs now. `true`: nobody has a block of it and
    /// it is in no list any more, so it is to be published.
    fn relist<G: Geometry>(&self, slab: &Slab<'_, G>, keeps_last: bool) -> bool {
        match slab.prefix.listed() {
            Listed::Current if !keeps_last && slab.is_vacated() => {
                self.current.set(NO_UNIT);
                slab.prefix.listed.set(Listed::Nowhere as u8);
                true
            }
            Listed::Full if !slab.is_full() => {
                self.full.remove(slab);
                let leaves = slab.is_vacated();
                if !leaves {
                    self.partial.push(slab, Listed::Partial);
                }
                leaves
            }
            Listed::Partial if slab.is_vacated() => {
                self.partial.remove(slab);
                true
            }
            _ => false,
        }
    }
}

/// The cold part of a thread's state: a record of the heaps' table, followed by its magazines. It
/// has a number, which owns slabs, and passes from a thread that ends to one that begins.
#[repr(C)]
#[derive(Debug)]
pub struct ThreadHeap {
    /// Chunks that other threads send.
    inbox: Inbox,
    /// Blocks that they send when there is no page for a chunk.
    strays: Inbox,
    /// Taken by the thread while it works on what visitors may touch, and while there is no thread.
    turnstile: Turnstile,
    /// How often the thread came through: one that sleeps leaves it as it is.
    pulse: RelaxedU32,
    /// `pulse` as it was when somebody last looked whether the thread sleeps. The pool's lock
    /// guards it.
    looked: Cell<u32>,
    /// The same for ACE's looks, and when the thread was last seen to have moved. Likewise.
    watched: Cell<u32>,
    awake_ms: Cell<u64>,
    /// `pulse` as it was when everything was taken from the sleeping thread. Likewise.
    emptied: Cell<u32>,
    /// Calls of the thread that are inside: a drain can lead to an overflow.
    depth: Cell<u32>,
    number: Cell<u32>,
    /// Number + 1 of the next record that waits for a thread.
    next_idle: Cell<u32>,
    magazines: Cell<u32>,
    /// Parcels that were taken out of the inbox but not yet unpacked.
    mail: Cell<ChunkId>,
    depot_bytes: Cell<usize>,
    spare: ChunkStack,
    bins: [Bin; SizeClass::COUNT],
    outbox: Outbox,
    meter: Meter,
    /// Counts of the meter that ACE was told.
    told: Cell<[u64; COUNTERS]>,
    /// Classes with something untold.
    stirred: Cell<u128>,
    /// Purges of the heap when the thread last refilled a magazine.
    purges: Cell<u32>,
    /// Requests to empty unused caches that the thread has heeded.
    trims: Cell<u32>,
    /// Whether partial lists hold empty slabs, which the thread could not give to the pool when it
    /// had to.
    kept: Cell<bool>,
}

const fn magazine_bytes<G: Geometry>() -> usize {
    G::MAGAZINE_SLOTS * size_of::<usize>()
}

/// Bytes of a heap record with its magazines.
#[must_use]
pub const fn heap_bytes<G: Geometry>() -> usize {
    align_up(size_of::<ThreadHeap>(), magazine_bytes::<G>()) + G::SERVED * magazine_bytes::<G>()
}

impl ThreadHeap {
    /// Makes the record ready for a new thread. All of it but the inboxes, which are opened last,
    /// and the turnstile.
    fn begin(&self, number: u32) {
        self.number.set(number);
        self.depth.set(0);
        self.magazines.set(0);
        self.mail.set(NO_CHUNK);
        self.depot_bytes.set(0);
        for bin in &self.bins {
            bin.end.set(null_mut());
            bin.current.set(NO_UNIT);
            bin.partial.clear();
            bin.full.clear();
            bin.batch.set(4);
            bin.cap.set(0);
            bin.untold.iter().for_each(|count| count.set(0));
            bin.unused.set(true);
        }
        self.told.set([0; COUNTERS]);
        self.stirred.set(0);
        self.kept.set(false);
        self.strays.open();
        self.inbox.open();
    }
}

/// The calling thread's stay in its heap's turnstile; it may stay several times at once.
struct Stay<'a> {
    heap: &'a ThreadHeap,
}

impl Drop for Stay<'_> {
    #[inline]
    fn drop(&mut self) {
        let depth = self.heap.depth.get() - 1;
        self.heap.depth.set(depth);
        if depth == 0 {
            self.heap.turnstile.leave();
        }
    }
}

/// The calling thread's heap, with everything its WARM and COLD code needs.
pub struct Local<'a, P: Platform> {
    shared: &'a Shared<P>,
    arena: &'a Arena<P::Geometry>,
    front: &'a Front,
    heap: &'a ThreadHeap,
}

/// The calling thread's front.
#[inline(always)]
pub fn front<P: Platform>(shared: &Shared<P>) -> &Front {
    // SAFETY: the promise of `Threads`: the front belongs to this thread and outlives its calls; it
    // is made of cells, so the reference may be shared with re-entrant calls.
    unsafe { shared.threads.front().as_ref() }
}

impl<'a, P: Platform> Local<'a, P> {
    /// The calling thread's heap, if it has one.
    pub fn current(shared: &'a Shared<P>) -> Option<Self> {
        let front = front(shared);
        let heap = NonNull::new(front.heap.get().cast_mut())?;
        // SAFETY: a front points to a committed record of the heaps' table while it is attached.
        let heap = unsafe { heap.as_ref() };
        Some(Self { shared, arena: shared.arena()?, front, heap })
    }

    /// Keeps visitors out until the end of the stay (F5). `None`: one is there, and the caller may
    /// not wait.
    #[inline]
    fn enter(&self) -> Option<Stay<'a>> {
        let heap = self.heap;
        let depth = heap.depth.get();
        if depth == 0 {
            heap.pulse.add(1);
            if !heap.turnstile.try_enter() && !self.enter_after_visit() {
                return None;
            }
        }
        heap.depth.set(depth + 1);
        Some(Stay { heap })
    }

    #[cold]
    #[inline(never)]
    fn enter_after_visit(&self) -> bool {
        if !Shared::<P>::may_wait() {
            return false;
        }
        // The visitor holds the lock until it is out, and no other comes in while we hold it.
        let _pool = self.shared.lock();
        let entered = self.heap.turnstile.try_enter();
        debug_assert!(entered);
        true
    }

    fn bin(&self, class: SizeClass) -> &'a Bin {
        &self.heap.bins[class.index()]
    }

    fn owner(&self) -> u32 {
        self.heap.number.get() + Entry::FIRST_HEAP
    }

    fn stack(&self, class: SizeClass) -> &'a Cell<*mut *mut u8> {
        &self.front.stacks[class.index()]
    }

    /// Gives the class its magazine if it has none (F1).
    fn ensure_magazine(&self, class: SizeClass) {
        let bin = self.bin(class);
        if !bin.end.get().is_null() {
            return;
        }
        let bytes = magazine_bytes::<P::Geometry>();
        let first = align_up(size_of::<ThreadHeap>(), bytes);
        let number = self.heap.magazines.replace(self.heap.magazines.get() + 1) as usize;
        // From the table, not from the reference to the record, which ends before its magazines.
        let record =
            self.arena.heap_start::<P::Pages>(self.heap.number.get(), heap_bytes::<P::Geometry>());
        let end = record.as_ptr().wrapping_add(first + (number + 1) * bytes).cast::<*mut u8>();
        bin.end.set(end);
        bin.cap.set(shape_of::<P::Geometry>(class).magazine);
        // SAFETY: the record has room for one magazine a class, and cap < MAGAZINE_SLOTS.
        unsafe { bin.bottom().sub(1).write(null_mut()) };
        self.stack(class).set(bin.bottom());
    }
}

/// Reports misuse of a block of a slab.
#[cold]
#[inline(never)]
pub fn misuse<P: Platform>(kind: MisuseKind, block: *mut u8, entry: Entry) {
    let is_slab = entry.owner() != 0 && entry.owner() != Entry::LARGE;
    P::misuse(Misuse {
        kind,
        address: block.addr(),
        block_bytes: if is_slab { entry.class().bytes() } else { 0 },
        owner: entry.owner(),
    });
}
