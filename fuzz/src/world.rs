//! A heap under attack, and the witness who knows what each address is: a live block's start, its
//! inside, memory without a block, or none of the heap's. So for each call he knows what must be
//! reported, and when.
//!
//! A thread does not look at blocks of another thread's slabs; it sends them home. What is wrong with
//! them is reported when their owner takes them in, so the witness then lets every thread empty its
//! caches and listens again.

use crate::attack::{Act, Aim};
use crate::verdict::Verdict;
use ace_alloc::platform::Misuse;
use ace_alloc_tests::platforms::{Seat, Shape, TestHeap, take_misuses};
use ace_alloc_tests::shadow::{Block, Shadow};
use std::alloc::Layout;
use std::collections::{BTreeMap, BTreeSet};

/// Threads. Fewer than any geometry has heap records, so that each of them gets one.
const SEATS: usize = 3;
/// Bytes of live blocks, huge ones apart: far from the limit of any geometry, so that null is never an
/// answer.
const MOST_BYTES: usize = 4 << 20;
/// Freed addresses that are remembered.
const MEMORY: usize = 256;

struct Thread {
    seat: Seat,
    /// Differs for a thread that took another's place.
    name: u32,
}

/// See the module's documentation.
pub struct World<G: Shape> {
    heap: TestHeap<G>,
    shadow: Shadow,
    threads: Vec<Thread>,
    now: usize,
    names: u32,
    /// Who allocated a live block of a slab.
    owners: BTreeMap<usize, u32>,
    freed: Vec<usize>,
    /// Blocks that may be on their way home.
    in_transit: BTreeSet<usize>,
    /// Superslabs of the range in which a block was once.
    touched: BTreeSet<usize>,
}

impl<G: Shape> World<G> {
    /// A fresh heap.
    #[must_use]
    pub fn new() -> Self {
        let threads = (0..).map(|name| Thread { seat: Seat::new(), name }).take(SEATS).collect();
        Self {
            heap: TestHeap::new(G::LIMIT),
            shadow: Shadow::default(),
            threads,
            now: 0,
            names: SEATS as u32,
            owners: BTreeMap::new(),
            freed: Vec::new(),
            in_transit: BTreeSet::new(),
            touched: BTreeSet::new(),
        }
    }

    /// One step.
    ///
    /// # Panics
    /// If the heap says anything but the truth.
    pub fn step(&mut self, act: Act) {
        match act {
            Act::Malloc(bytes) => self.allocate(bytes, None),
            Act::Alloc(shift, bytes) => {
                let layout = Layout::from_size_align(bytes.max(1), 1 << shift);
                self.allocate(bytes.max(1), Some(layout.expect("a size and an alignment")));
            }
            Act::Huge(more) if G::HUGE_MIN < G::LIMIT / 16 => {
                // One at a time: each costs the kernel more than a raid does otherwise.
                if self.heap.pages.ledger().maps == 0 {
                    self.allocate(G::HUGE_MIN + more, None);
                }
            }
            Act::Huge(_) => {}
            Act::Free(aim) => self.free(self.address(aim)),
            Act::Realloc(aim, bytes) => self.realloc(self.address(aim), bytes.max(1)),
            Act::Ask(aim) => self.ask(self.address(aim)),
            Act::Hop(number) => self.now = number % SEATS,
            Act::Exit => self.exit(),
            Act::Trim => {
                self.act(|heap| heap.trim(usize::MAX));
            }
        }
        assert_eq!(take_misuses(), [], "{}: {act:?}: reported without a reason", G::NAME);
    }

    /// Frees all that is live, ends all threads: the attacks have left no trace.
    ///
    /// # Panics
    /// If they have.
    pub fn finish(mut self) {
        self.shadow.check_all();
        while let Some(index) = self.shadow.pick(0) {
            self.free_live(index);
            self.now = (self.now + 1) % SEATS;
        }
        for thread in 0..SEATS {
            self.now = thread;
            self.exit();
        }
        self.act(|heap| heap.trim(0));
        assert_eq!(take_misuses(), [], "{}: reported without a reason", G::NAME);
        assert_eq!(self.heap.stats().dirty_bytes, 0, "{}: not given back by the trim", G::NAME);
        self.heap.audited_empty();
    }

    fn act<R>(&mut self, work: impl FnOnce(&TestHeap<G>) -> R) -> R {
        let heap = &self.heap;
        self.threads[self.now].seat.sit(|| work(heap))
    }

    fn name(&self) -> u32 {
        self.threads[self.now].name
    }

    fn exit(&mut self) {
        self.act(|heap| heap.thread_exit());
        self.threads[self.now] = Thread { seat: Seat::new(), name: self.names };
        self.names += 1;
    }

    fn has_room_for(&self, bytes: usize) -> bool {
        let huge = self.heap.pages.ledger().mapped;
        bytes >= G::HUGE_MIN || self.shadow.bytes().saturating_sub(huge) + bytes <= MOST_BYTES
    }

    fn allocate(&mut self, bytes: usize, layout: Option<Layout>) {
        if !self.has_room_for(bytes) {
            return;
        }
        let ptr = self.act(|heap| match layout {
            // SAFETY: the layout is not empty.
            Some(layout) => unsafe { heap.alloc(layout) },
            None => heap.malloc(bytes),
        });
        assert!(!ptr.is_null(), "{}: no block of {bytes} bytes", G::NAME);
        self.adopt(ptr, bytes, layout, self.name());
    }

    fn adopt(&mut self, ptr: *mut u8, bytes: usize, layout: Option<Layout>, owner: u32) {
        let align = layout.map_or(16, |layout| layout.align());
        let usable = match layout {
            Some(layout) => layout.size(),
            // SAFETY: a block that the heap has just handed out.
            None => self.act(|heap| unsafe { heap.usable_size(ptr) }),
        };
        assert!(usable >= bytes, "{}: {usable} usable bytes of {bytes} asked", G::NAME);
        // SAFETY: usable bytes are the program's.
        unsafe { self.shadow.adopt(ptr, usable, align, layout) };
        self.owners.insert(ptr.addr(), owner);
        self.in_transit.remove(&ptr.addr());
        self.touched.extend(superslabs::<G>(ptr.addr(), usable));
    }

    /// What an address is. Nothing is asked of the heap but where its range is.
    fn judge(&self, address: usize) -> Verdict {
        if address == 0 {
            return Verdict::Null;
        }
        let in_range = self.range().contains(&address);
        for index in 0..self.shadow.len() {
            let block = self.shadow.block(index);
            let start = block.ptr.addr();
            if address == start {
                return Verdict::Start(index);
            }
            if in_range && (start..start + block.bytes).contains(&address) {
                return Verdict::Inside(index);
            }
        }
        match in_range {
            true if self.touched.contains(&(address / G::SUPERSLAB)) => Verdict::Empty,
            true => Verdict::Virgin,
            false => Verdict::Outside,
        }
    }

    fn range(&self) -> std::ops::Range<usize> {
        self.heap.pages.reservation().unwrap_or(0..0)
    }

    /// Whether a wrong free of this thread must be noticed at once.
    fn is_noticed_at_once(&self, verdict: Verdict) -> bool {
        let Verdict::Inside(index) = verdict else { return verdict != Verdict::Empty };
        let block = self.shadow.block(index);
        let is_own = self.owners.get(&block.ptr.addr()) == Some(&self.name());
        is_own || block.bytes > G::CLASS_MAX
    }

    fn free(&mut self, address: usize) {
        let verdict = self.judge(address);
        if let Verdict::Start(index) = verdict {
            return self.free_live(index);
        }
        // SAFETY: deliberately not kept: the address is no live block's. The platform returns from the
        // report, and the call has no effect.
        self.act(|heap| unsafe { heap.free(std::ptr::without_provenance_mut(address)) });
        if verdict == Verdict::Null {
            return;
        }
        let mut reports = take_misuses();
        if reports.is_empty() && !self.is_noticed_at_once(verdict) {
            self.settle();
            reports = take_misuses();
        }
        self.assert_reported(&reports, verdict, address, "free");
    }

    fn free_live(&mut self, index: usize) {
        let block = self.shadow.surrender(index);
        self.forget(&block);
        // SAFETY: a live block, freed once, with the layout it was asked with.
        self.act(|heap| unsafe {
            match block.layout {
                Some(layout) => heap.dealloc(block.ptr, layout),
                None => heap.free(block.ptr),
            }
        });
    }

    /// Notes that a block is being freed by the thread whose turn it is.
    fn forget(&mut self, block: &Block) {
        let address = block.ptr.addr();
        if self.owners.remove(&address) != Some(self.name()) {
            self.in_transit.insert(address);
        }
        if self.freed.len() == MEMORY {
            self.freed.remove(0);
        }
        self.freed.push(address);
    }

    fn realloc(&mut self, address: usize, bytes: usize) {
        let verdict = self.judge(address);
        match verdict {
            // For `realloc` null is no block; the C library's does not hand it on.
            Verdict::Null => return,
            Verdict::Start(index) => return self.realloc_live(index, bytes),
            _ => {}
        }
        if self.in_transit.contains(&address) {
            self.settle();
        }
        let block = std::ptr::without_provenance_mut(address);
        // SAFETY: deliberately not kept, as in `free`.
        let answer = self.act(|heap| unsafe { heap.realloc(block, bytes) });
        assert!(answer.is_null(), "{}: realloc of {verdict:?} {address:#x} gave a block", G::NAME);
        let reports = take_misuses();
        self.assert_reported(&reports, verdict, address, "realloc");
    }

    fn realloc_live(&mut self, index: usize, bytes: usize) {
        if !self.has_room_for(bytes) {
            return;
        }
        let mut block = self.shadow.surrender(index);
        let owner = self.owners[&block.ptr.addr()];
        // SAFETY: a live block with the layout it was asked with, and a size that is not zero.
        let ptr = self.act(|heap| unsafe {
            match block.layout {
                Some(layout) => heap.realloc_layout(block.ptr, layout, bytes),
                None => heap.realloc(block.ptr, bytes),
            }
        });
        assert!(!ptr.is_null(), "{}: no {bytes} bytes for a live block", G::NAME);
        let stays = ptr == block.ptr;
        if !stays {
            self.forget(&block);
        }
        block.ptr = ptr;
        block.check(bytes.min(block.bytes));
        let layout = block.layout.map(|layout| {
            Layout::from_size_align(bytes, layout.align()).expect("a size and an alignment")
        });
        self.adopt(ptr, bytes, layout, if stays { owner } else { self.name() });
    }

    fn ask(&mut self, address: usize) {
        let verdict = self.judge(address);
        let block = std::ptr::without_provenance_mut(address);
        // SAFETY: deliberately not kept, as in `free`.
        let usable = self.act(|heap| unsafe { heap.usable_size(block) });
        let reports = take_misuses();
        match verdict {
            Verdict::Null => assert_eq!((usable, reports.len()), (0, 0), "usable bytes of null"),
            Verdict::Start(index) => {
                let block = self.shadow.block(index);
                let right = match block.layout {
                    Some(layout) => usable >= layout.size(),
                    None => usable == block.bytes,
                };
                assert!(right && reports.is_empty(), "{usable} usable bytes of {block:?}");
            }
            // Whether a block is live is not asked here.
            Verdict::Empty if usable > 0 => assert_eq!(reports, [], "usable bytes and a report"),
            _ => {
                assert_eq!(usable, 0, "usable bytes of {verdict:?} {address:#x}");
                self.assert_reported(&reports, verdict, address, "usable_size");
            }
        }
    }

    fn assert_reported(&self, reports: &[Misuse], verdict: Verdict, address: usize, call: &str) {
        let kinds = verdict.kinds();
        let is_right = |report: &Misuse| report.address == address && kinds.contains(&report.kind);
        assert!(
            reports.len() == 1 && is_right(&reports[0]),
            "{}: {call}({address:#x}), which is {verdict:?}: {reports:?}",
            G::NAME
        );
    }

    /// Lets all mail arrive. Thrice, because blocks whose slab changed hands are sent on.
    fn settle(&mut self) {
        let now = self.now;
        for turn in 0..3 * SEATS {
            self.now = turn % SEATS;
            self.act(|heap| heap.trim(usize::MAX));
        }
        self.now = now;
        self.in_transit.clear();
    }

    fn address(&self, aim: Aim) -> usize {
        let live = |number| self.shadow.pick(number).map(|index| self.shadow.block(index));
        let start = |number| live(number).map_or(self.range().start, |block| block.ptr.addr());
        match aim {
            Aim::Live(number, offset) => {
                let bytes = live(number).map_or(0, |block| block.bytes);
                offset.applied(start(number), bytes)
            }
            Aim::Freed(number, offset) if !self.freed.is_empty() => {
                offset.applied(self.freed[number % self.freed.len()], 64)
            }
            Aim::Freed(number, offset) => offset.applied(start(number), 64),
            Aim::Unit(number, steps, offset) => offset
                .applied(start(number) / G::UNIT * G::UNIT, G::UNIT)
                .wrapping_add_signed(steps * G::UNIT as isize),
            Aim::Superslab(number, steps, offset) => {
                let start = start(number) / G::SUPERSLAB * G::SUPERSLAB;
                offset
                    .applied(start, G::SUPERSLAB)
                    .wrapping_add_signed(steps * G::SUPERSLAB as isize)
            }
            Aim::Range(end, offset) => {
                let range = self.range();
                offset.applied(if end { range.end } else { range.start }, 4096)
            }
            Aim::Stack(offset) => offset.applied((&raw const aim).addr(), size_of::<Aim>()),
            Aim::Wild(address) => address,
        }
    }
}

impl<G: Shape> Default for World<G> {
    fn default() -> Self {
        Self::new()
    }
}

/// Numbers of the superslabs that a range lies in.
fn superslabs<G: Shape>(start: usize, bytes: usize) -> impl Iterator<Item = usize> {
    (start / G::SUPERSLAB)..=((start + bytes - 1) / G::SUPERSLAB)
}
