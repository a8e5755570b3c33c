//! Scripts: random sequences of heap operations, and the stage that plays them on a heap beside its
//! shadow, one operating-system thread playing all threads of the script.

use crate::pages::Fault;
use crate::platforms::{Seat, Shape, TestHeap, take_misuses, without_heaps};
use crate::random::Random;
use crate::shadow::{Shadow, assert_zero};
use ace_alloc::ace::Policy;
use std::alloc::Layout;

/// One step of a script. Numbers that pick a block or a seat are taken modulo how many there are.
#[derive(Clone, Copy, Debug)]
pub enum Op {
    /// `malloc(bytes)`.
    Malloc(usize),
    /// `calloc(bytes)`.
    Calloc(usize),
    /// `memalign(1 << shift, bytes)`.
    Memalign(u32, usize),
    /// `alloc` or `alloc_zeroed` of a layout.
    Alloc(u32, usize, bool),
    /// Gives a block back.
    Free(usize),
    /// Changes a block's size.
    Realloc(usize, usize),
    /// A block that is mapped on its own, this many bytes above the smallest such size.
    Huge(usize),
    /// `trim(keep)`.
    Trim(usize),
    /// Another thread goes on.
    Hop(usize),
    /// This thread ends; `true`: it still runs late frees, and can't have a heap any more.
    Exit(bool),
    /// From here on these calls of the provider fail.
    Fault(Fault),
}

impl Op {
    /// A random step, with blocks up to `largest` bytes.
    pub fn random(random: &mut Random, largest: usize) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "shifts below 18")]
        let shift = (random.below(17 * 17) as f64).sqrt() as u32;
        let shift = 16 - shift.min(16);
        match random.below(1000) {
            0..300 => Self::Malloc(random.size(largest)),
            300..350 => Self::Calloc(random.size(largest)),
            350..400 => Self::Memalign(shift, random.size(largest)),
            400..500 => Self::Alloc(shift.min(12), random.size(largest), random.below(4) == 0),
            500..850 => Self::Free(random.below(1 << 20)),
            850..950 => Self::Realloc(random.below(1 << 20), random.size(largest)),
            950..985 => Self::Hop(random.below(64)),
            985..990 => Self::Trim([0, 0, 64 << 10, 8 << 20][random.below(4)]),
            990..998 => Self::Exit(random.below(2) == 0),
            _ => Self::Huge(random.below(4 << 20)),
        }
    }

    /// A script of `steps` random steps for a geometry.
    #[must_use]
    pub fn script<G: Shape>(seed: u64, steps: usize) -> Vec<Self> {
        let mut random = Random::new(seed);
        (0..steps).map(|_| Self::random(&mut random, G::LARGEST)).collect()
    }
}

/// Steps of a script from audit to audit.
const AUDIT_EVERY: usize = 251;

struct Actor {
    seat: Seat,
    late: bool,
}

/// A heap, its shadow, and the threads that use it.
pub struct Stage<G: Shape, const ZEROED: bool = true> {
    /// The heap under test.
    pub heap: TestHeap<G, ZEROED>,
    /// What is live.
    pub shadow: Shadow,
    /// Whether a null is an answer that must be put up with.
    pub null_is_fine: bool,
    /// Nulls so far.
    pub nulls: u64,
    actors: Vec<Actor>,
    now: usize,
    /// Calls of the provider that had failed when this step began.
    faults_before: u64,
}

impl<G: Shape, const ZEROED: bool> Stage<G, ZEROED> {
    /// A fresh heap and threads that have not allocated.
    #[must_use]
    pub fn new() -> Self {
        let actors = (0..G::SEATS).map(|_| Actor { seat: Seat::new(), late: false }).collect();
        let heap = TestHeap::new(G::LIMIT);
        Self {
            heap,
            shadow: Shadow::default(),
            null_is_fine: false,
            nulls: 0,
            actors,
            now: 0,
            faults_before: 0,
        }
    }

    /// Plays a script from where the stage stands.
    ///
    /// # Panics
    /// If the heap breaks a promise.
    pub fn play(&mut self, script: &[Op]) {
        for (step, op) in script.iter().enumerate() {
            self.step(*op);
            let misuses = take_misuses();
            assert!(misuses.is_empty(), "step {step}, {op:?}: falsely reported {misuses:?}");
            if step % AUDIT_EVERY == 0 {
                self.audit();
            }
        }
        self.audit();
    }

    /// The thread whose turn it is takes a turn of ACE, in which `policy` decides. Returns the number of
    /// orders.
    pub fn turn_with(&mut self, now_ms: u64, policy: &mut dyn Policy) -> usize {
        self.act(|heap| heap.turn_with(now_ms, policy))
    }

    /// Holds the heap's ledger against the pages and the shadow.
    fn audit(&self) {
        let live = self.heap.audited().live_blocks();
        // Blocks that another thread freed are live until they are home.
        assert!(live >= self.shadow.len() as u64, "{}: {live} live", G::NAME);
    }

    /// Ends the faults, frees all, ends all threads, trims, and checks that nothing is left.
    ///
    /// # Panics
    /// If the heap breaks a promise.
    pub fn finish(&mut self) {
        self.step(Op::Fault(Fault::Never));
        while !self.shadow.is_empty() {
            self.step(Op::Free(self.shadow.len() - 1));
            self.step(Op::Hop(self.now + 1));
        }
        for actor in 0..self.actors.len() {
            self.now = actor;
            self.step(Op::Exit(false));
        }
        self.step(Op::Trim(0));
        assert_eq!(take_misuses(), [], "{}: falsely reported", G::NAME);
        assert_eq!(self.heap.stats().dirty_bytes, 0, "{}: not given back by the trim", G::NAME);
        self.heap.audited_empty();
    }

    fn step(&mut self, op: Op) {
        self.faults_before = self.heap.pages.ledger().faults;
        match op {
            Op::Malloc(bytes) => self.malloc(bytes),
            Op::Calloc(bytes) => self.calloc(bytes),
            Op::Memalign(shift, bytes) => self.memalign(1 << shift, bytes),
            Op::Alloc(shift, bytes, zeroed) => self.alloc(1 << shift, bytes.max(1), zeroed),
            Op::Free(number) => self.free(number),
            Op::Realloc(number, bytes) => self.realloc(number, bytes),
            Op::Huge(more) => {
                if G::HUGE_MIN < G::LIMIT / 16 {
                    self.malloc(G::HUGE_MIN + more);
                }
            }
            Op::Trim(keep) => {
                self.act(|heap| heap.trim(keep));
            }
            Op::Hop(number) => self.now = number % self.actors.len(),
            Op::Exit(late) => self.exit(late),
            Op::Fault(fault) => self.heap.pages.set_fault(fault),
        }
    }

    fn act<R>(&mut self, work: impl FnOnce(&TestHeap<G, ZEROED>) -> R) -> R {
        let heap = &self.heap;
        let actor = &mut self.actors[self.now];
        let late = actor.late;
        actor.seat.sit(|| if late { without_heaps(|| work(heap)) } else { work(heap) })
    }

    fn exit(&mut self, late: bool) {
        self.act(|heap| heap.thread_exit());
        if late {
            self.actors[self.now].late = true;
        } else {
            self.actors[self.now] = Actor { seat: Seat::new(), late: false };
        }
    }

    /// Judges a null: `true` if the block is there. A null is an answer only to a call during which
    /// the provider failed, or near the limit.
    fn served(&mut self, ptr: *mut u8, bytes: usize) -> bool {
        if !ptr.is_null() {
            return true;
        }
        self.nulls += 1;
        let faulty = self.heap.pages.ledger().faults > self.faults_before;
        if self.null_is_fine || faulty {
            return false;
        }
        let live = self.shadow.claimed_bytes();
        // A provider that failed while the heap began has left it with less.
        let room = self.heap.stats().reserved_bytes.min(G::LIMIT);
        assert!(
            live + bytes > room / 8,
            "{}: no memory for {bytes} bytes with {live} bytes claimed of {room}",
            G::NAME
        );
        false
    }

    /// Takes a C block over, with all the bytes that `usable_size` promises.
    fn adopt(&mut self, ptr: *mut u8, bytes: usize, align: usize) {
        // SAFETY: `ptr` is a block that the heap has just handed out.
        let usable = self.act(|heap| unsafe { heap.usable_size(ptr) });
        assert!(usable >= bytes, "{}: {usable} usable bytes of {bytes} asked", G::NAME);
        // SAFETY: usable bytes are the program's.
        unsafe { self.shadow.adopt(ptr, usable, align, None) };
    }

    fn malloc(&mut self, bytes: usize) {
        let ptr = self.act(|heap| heap.malloc(bytes));
        if self.served(ptr, bytes) {
            self.adopt(ptr, bytes, 16);
        }
    }

    fn calloc(&mut self, bytes: usize) {
        let ptr = self.act(|heap| heap.calloc(bytes));
        if self.served(ptr, bytes) {
            // SAFETY: the bytes asked for are the program's.
            unsafe { assert_zero(ptr, bytes) };
            self.adopt(ptr, bytes, 16);
        }
    }

    fn memalign(&mut self, align: usize, bytes: usize) {
        let ptr = self.act(|heap| heap.memalign(align, bytes));
        if self.served(ptr, bytes + align) {
            self.adopt(ptr, bytes, align);
        }
    }

    fn alloc(&mut self, align: usize, bytes: usize, zeroed: bool) {
        let layout = Layout::from_size_align(bytes, align).expect("a valid layout");
        // SAFETY: the layout is not empty.
        let ptr = self.act(|heap| unsafe {
            if zeroed { heap.alloc_zeroed(layout) } else { heap.alloc(layout) }
        });
        if !self.served(ptr, bytes + align) {
            return;
        }
        if zeroed {
            // SAFETY: the bytes asked for are the program's.
            unsafe { assert_zero(ptr, bytes) };
        }
        // SAFETY: as above.
        unsafe { self.shadow.adopt(ptr, bytes, align, Some(layout)) };
    }

    fn free(&mut self, number: usize) {
        let Some(index) = self.shadow.pick(number) else { return };
        let block = self.shadow.surrender(index);
        // SAFETY: a live block, freed once, with the layout it was asked with.
        self.act(|heap| unsafe {
            match block.layout {
                Some(layout) => heap.dealloc(block.ptr, layout),
                None => heap.free(block.ptr),
            }
        });
    }

    fn realloc(&mut self, number: usize, bytes: usize) {
        let Some(index) = self.shadow.pick(number) else { return };
        let mut block = self.shadow.surrender(index);
        let bytes = bytes.max(1);
        // SAFETY: a live block, with the layout it was asked with, and a size that is not zero.
        let ptr = self.act(|heap| unsafe {
            match block.layout {
                Some(layout) => heap.realloc_layout(block.ptr, layout, bytes),
                None => heap.realloc(block.ptr, bytes),
            }
        });
        let align = block.layout.map_or(16, |layout| layout.align());
        if self.served(ptr, bytes + align) {
            block.ptr = ptr;
            block.check(bytes.min(block.bytes));
            match block.layout {
                Some(_) => {
                    let layout = Layout::from_size_align(bytes, align).expect("a valid layout");
                    // SAFETY: the bytes asked for are the program's.
                    unsafe { self.shadow.adopt(ptr, bytes, align, Some(layout)) };
                }
                None => self.adopt(ptr, bytes, align),
            }
        } else {
            // Untouched on failure: still the program's, pattern and all.
            block.check(block.bytes);
            // SAFETY: the block was the model's before, and the heap did not take it.
            unsafe { self.shadow.adopt(block.ptr, block.bytes, align, block.layout) };
        }
    }
}

impl<G: Shape, const ZEROED: bool> Default for Stage<G, ZEROED> {
    fn default() -> Self {
        Self::new()
    }
}
