//! What lies between the protocols: the route of one slab, the pool behind its lock, chunks, heaps that
//! begin and exit. Each function is the production function that its comment names without all that is
//! not about other threads.

use crate::explore::Steps;
use crate::kernels::{Chain, FIRST_ITEM, Inbox, Kernels, Live, Lock, NO_ITEM};
use ace_alloc::sync::RelaxedU32;
use loom::cell::UnsafeCell;
use loom::sync::Mutex;

/// A plain cell. Loom stops the model when two threads reach into it without order between them.
pub struct Plain<T>(UnsafeCell<T>);

// SAFETY: loom checks each access before it happens, and panics if it would race.
unsafe impl<T: Send> Sync for Plain<T> {}

impl<T> Plain<T> {
    pub fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    pub fn write<R>(&self, body: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: loom has just checked that nobody else reads or writes.
        self.0.with_mut(|value| body(unsafe { &mut *value }))
    }

    pub fn read<R>(&self, body: impl FnOnce(&T) -> R) -> R {
        // SAFETY: loom has just checked that nobody writes.
        self.0.with(|value| body(unsafe { &*value }))
    }
}

/// Chunks of one block each. The memory behind a chunk is plain: only its holder may touch it.
pub struct Chunks(Vec<Plain<Chunk>>);

#[derive(Default)]
struct Chunk {
    next: usize,
    block: Option<usize>,
}

impl Chunks {
    pub fn new(count: usize) -> Self {
        Self((0..count).map(|_| Plain::new(Chunk::default())).collect())
    }

    fn chunk(&self, item: usize) -> &Plain<Chunk> {
        &self.0[item - FIRST_ITEM]
    }

    pub fn fill(&self, item: usize, block: usize) {
        self.chunk(item).write(|chunk| chunk.block = Some(block));
    }

    pub fn next(&self, item: usize) -> usize {
        self.chunk(item).read(|chunk| chunk.next)
    }

    /// Takes the block out, as the owner of mail does, who uses the chunk again.
    pub fn empty(&self, item: usize) -> usize {
        self.chunk(item).write(|chunk| chunk.block.take().expect("the chunk was filled"))
    }

    /// Hands every chunk of a list to `body`, which may send it on.
    pub fn each(&self, mut item: usize, mut body: impl FnMut(usize, usize)) {
        while item != NO_ITEM {
            let next = self.next(item);
            body(item, self.empty(item));
            item = next;
        }
    }
}

impl Chain for Chunks {
    fn link(&self, item: usize, next: usize) {
        self.chunk(item).write(|chunk| chunk.next = next);
    }
}

/// Owner of slabs without a thread. Heap `h` has owner number `h + FIRST_HEAP`.
pub const POOL: u32 = 1;
const FIRST_HEAP: u32 = 3;

pub fn owner(heap: usize) -> u32 {
    heap as u32 + FIRST_HEAP
}

pub const BLOCKS: usize = 4;

/// What became of the blocks of the slab.
#[derive(Clone, Copy, Default)]
pub struct Tally {
    pub freed: [u8; BLOCKS],
    pub reported: [u8; BLOCKS],
}

/// The pool's lock in a model: loom's own, which is one step, or the production lock.
pub trait Gate {
    fn new() -> Self;
    fn through<R>(&self, body: impl FnOnce() -> R) -> R;
}

impl Gate for Mutex<()> {
    fn new() -> Self {
        Mutex::new(())
    }

    fn through<R>(&self, body: impl FnOnce() -> R) -> R {
        let _held = self.lock().expect("no thread panicked");
        body()
    }
}

/// The production lock, or a mutant of it.
pub struct Parked<L>(L);

impl<L: Lock> Gate for Parked<L> {
    fn new() -> Self {
        Self(L::with_word(0))
    }

    fn through<R>(&self, body: impl FnOnce() -> R) -> R {
        self.0.lock();
        let done = body();
        self.0.unlock();
        done
    }
}

/// State behind the pool's lock.
#[derive(Default)]
pub struct Pool {
    partial: bool,
    idle: Option<usize>,
    /// How often the slab went to a heap.
    pub adopted: usize,
}

/// One slab, and the heaps that may own it.
pub struct House<K: Kernels, G = Mutex<()>> {
    /// The slab's entry in the route table: its owner.
    route: RelaxedU32,
    pub inboxes: [K::Inbox; 3],
    chunks: Chunks,
    lock: G,
    pool: Plain<Pool>,
    live: RelaxedU32,
    /// The slab's bitmap and count, written by its owner of the moment.
    slab: Plain<Tally>,
    steps: Steps,
    /// Whether a heap may get a second thread in this model.
    reopens: bool,
}

impl<K: Kernels, G: Gate> House<K, G> {
    /// All heaps are idle and the pool owns the slab, whose blocks are all in the program's hands.
    pub fn new() -> Self {
        let live = RelaxedU32::new(0);
        (0..BLOCKS).for_each(|block| K::Live::grant(&live, 1 << block));
        Self {
            route: RelaxedU32::new(POOL),
            inboxes: [K::Inbox::closed(), K::Inbox::closed(), K::Inbox::closed()],
            chunks: Chunks::new(BLOCKS),
            lock: G::new(),
            pool: Plain::new(Pool { partial: true, ..Pool::default() }),
            live,
            slab: Plain::new(Tally::default()),
            steps: Steps::new(),
            reopens: false,
        }
    }

    /// Heap 0 has a thread and the slab.
    pub fn with_owner() -> Self {
        let house = Self::new();
        house.inboxes[0].open();
        house.route.set(owner(0));
        house.pool.write(|pool| pool.partial = false);
        house
    }

    /// The heap of this model gets a second thread.
    pub fn that_reopens(self) -> Self {
        Self { reopens: true, ..self }
    }

    /// `Shared::lock`.
    pub fn locked<R>(&self, body: impl FnOnce(&mut Pool) -> R) -> R {
        self.lock.through(|| self.pool.write(body))
    }

    pub fn owner(&self) -> u32 {
        self.route.get()
    }

    /// `remote::free_slab_block`: `chunk` is the caller's, to send the block in; `heap` is its heap.
    pub fn free(&self, block: usize, chunk: usize, heap: Option<usize>) {
        let mut refused_by = None;
        // A refusal means that the slab has changed hands, which happens once or twice in a model.
        for _ in 0..5 {
            self.steps.step();
            match self.route.get() {
                POOL => {
                    if self.free_pooled(block, heap) {
                        return;
                    }
                }
                own if heap.map(owner) == Some(own) => return self.retire(block),
                other => {
                    assert!(
                        self.reopens || refused_by != Some(other),
                        "a refused block was routed to the same heap again"
                    );
                    self.chunks.fill(chunk, block);
                    self.steps.step();
                    if self.inboxes[(other - FIRST_HEAP) as usize].send(chunk, &self.chunks) {
                        return;
                    }
                    refused_by = Some(other);
                    if self.reopens {
                        // Loom then lets time pass: or it would try for ever what no machine does, to
                        // show the old word of an inbox that was opened again.
                        loom::thread::yield_now();
                    }
                }
            }
        }
        panic!("a block found no owner");
    }

    /// `remote::free_pooled`, with `Locked::free_block` and `Locked::hand_over`.
    fn free_pooled(&self, block: usize, heap: Option<usize>) -> bool {
        self.locked(|pool| {
            if self.route.get() != POOL {
                return false;
            }
            self.retire(block);
            pool.partial = heap.is_none();
            if let Some(heap) = heap {
                self.route.set(owner(heap));
                pool.adopted += 1;
            }
            true
        })
    }

    /// `Slab::retire` and `Slab::put`; also HOT's push. Only the slab's owner comes here.
    pub fn retire(&self, block: usize) {
        self.slab.write(|tally| {
            if K::Live::retire(&self.live, 1 << block) {
                tally.freed[block] += 1;
            } else {
                tally.reported[block] += 1;
            }
        });
    }

    /// `Slab::take` and HOT's pop: a block that was freed is in the program's hands again.
    pub fn take(&self, block: usize) {
        self.slab.write(|tally| {
            tally.freed[block] = 0;
            K::Live::grant(&self.live, 1 << block);
        });
    }

    /// `Local::begin_heap`: a heap that waits for a thread.
    pub fn begin_idle(&self) -> Option<usize> {
        let heap = self.locked(|pool| pool.idle.take())?;
        self.inboxes[heap].open();
        Some(heap)
    }

    /// `Locked::adopt`.
    pub fn adopt(&self, heap: usize) -> bool {
        self.locked(|pool| {
            let found = std::mem::take(&mut pool.partial);
            if found {
                self.route.set(owner(heap));
                pool.adopted += 1;
            }
            found
        })
    }

    /// `Local::drain`, with `Local::accept`.
    pub fn drain(&self, heap: usize) {
        self.steps.step();
        self.chunks.each(self.inboxes[heap].drain(), |chunk, block| {
            if self.route.get() == owner(heap) {
                self.retire(block);
            } else {
                self.free(block, chunk, Some(heap));
            }
        });
    }

    /// `Local::exit`, with `Locked::orphan`.
    pub fn exit(&self, heap: usize) {
        self.locked(|pool| {
            if self.route.get() == owner(heap) {
                self.route.set(POOL);
                pool.partial = true;
            }
        });
        let late = self.inboxes[heap].close();
        self.chunks.each(late, |chunk, block| self.free(block, chunk, None));
        self.locked(|pool| pool.idle = Some(heap));
    }

    /// What became of the blocks, once all threads are joined.
    pub fn tally(&self) -> Tally {
        self.slab.read(|tally| *tally)
    }
}
