//! A region heap and its shadow: what is live, where, and what it holds; and plans, which a test draws and a
//! fuzzer reads from bytes.

use crate::random::Random;
use ace_alloc::region::{Bounded, Micro, Mini, RegionHeap, RegionStats, Scale, Wide};
use std::{
    alloc::{Layout, alloc, dealloc},
    collections::BTreeMap,
    ptr::NonNull,
};

/// Calls a test, a function that is generic over [`ace_alloc::region::Scale`], for each scale there is.
#[macro_export]
macro_rules! on_every_scale {
    ($test:ident) => {
        $test::<ace_alloc::region::Micro>();
        $test::<ace_alloc::region::Mini>();
        $test::<ace_alloc::region::Wide>();
        $test::<ace_alloc::region::Bounded<ace_alloc::region::Micro>>();
        $test::<ace_alloc::region::Bounded<ace_alloc::region::Mini>>();
        $test::<ace_alloc::region::Bounded<ace_alloc::region::Wide>>();
    };
}

/// Bytes of a granule.
pub const GRANULE: usize = 8;

/// Granules that a block of so many bytes takes.
#[must_use]
pub fn granules(bytes: usize) -> usize {
    bytes.div_ceil(GRANULE).max(2)
}

/// Memory of its own, from an odd address if asked: given back at the end.
pub struct Memory {
    whole: NonNull<u8>,
    layout: Layout,
    skipped: usize,
}

impl Memory {
    /// `bytes` that begin `skipped` bytes behind a page's start.
    #[must_use]
    pub fn new(bytes: usize, skipped: usize) -> Self {
        let layout = Layout::from_size_align(bytes + skipped, 4096).expect("a layout");
        // SAFETY: the size is not zero.
        let whole = NonNull::new(unsafe { alloc(layout) }).expect("memory");
        // SAFETY: just allocated. Not zero: a heap must not rely on it.
        unsafe { whole.write_bytes(0xA5, layout.size()) };
        Self { whole, layout, skipped }
    }

    /// First byte.
    #[must_use]
    pub fn start(&self) -> *mut u8 {
        // SAFETY: inside what was allocated.
        unsafe { self.whole.add(self.skipped) }.as_ptr()
    }

    /// How many.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.layout.size() - self.skipped
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout.
        unsafe { dealloc(self.whole.as_ptr(), self.layout) };
    }
}

/// One step of a plan. Numbers that pick a block are taken modulo how many there are.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// Allocates so many bytes, aligned to `1 << shift`.
    Take(usize, u32),
    /// Frees a block.
    Free(usize),
    /// Resizes a block in place, if that can be.
    Resize(usize, usize),
    /// Empties the caches.
    Trim,
    /// So many milliseconds later, ACE takes its turn.
    Turn(u64),
    /// Claims more memory: so many bytes from an address that is so many behind a page.
    Claim(usize, usize),
}

impl Step {
    /// A random step for blocks up to `most` bytes.
    pub fn random(random: &mut Random, most: usize) -> Self {
        // Mostly small sizes, and a few that only an empty heap has.
        let size = |random: &mut Random| match random.below(20) {
            0..12 => random.below(128.min(most) + 1),
            12..17 => random.below(most / 16 + 1),
            17..19 => random.below(most / 4 + 1),
            _ => random.below(most + most / 4 + 1),
        };
        match random.below(100) {
            0..38 => Self::Take(size(random), 0),
            38..46 => Self::Take(size(random), random.below(most.ilog2() as usize) as u32),
            46..84 => Self::Free(random.below(1 << 20)),
            84..96 => Self::Resize(random.below(1 << 20), size(random)),
            96 => Self::Trim,
            _ => Self::Turn(random.below(300) as u64),
        }
    }
}

struct Live {
    block: NonNull<u8>,
    layout: Layout,
    fill: u8,
}

impl Live {
    fn write(&self, from: usize) {
        for at in from..self.layout.size() {
            // SAFETY: a live block, inside its size.
            unsafe { self.block.add(at).write(self.byte(at)) };
        }
    }

    fn byte(&self, at: usize) -> u8 {
        self.fill.wrapping_add(at as u8).wrapping_mul(37)
    }

    fn check(&self, to: usize) {
        for at in 0..to {
            // SAFETY: as above.
            let found = unsafe { self.block.add(at).read() };
            assert_eq!(found, self.byte(at), "byte {at} of {:?} {:?}", self.block, self.layout);
        }
    }
}

/// A region heap beside its shadow.
pub struct Yard<S: Scale> {
    /// The heap.
    pub heap: RegionHeap<S>,
    live: Vec<Live>,
    ranges: BTreeMap<usize, usize>,
    now_ms: u64,
    fills: u8,
    // Last: blocks and regions are gone before their memory.
    memories: Vec<Memory>,
}

impl<S: Scale> Default for Yard<S> {
    fn default() -> Self {
        let heap = RegionHeap::empty();
        let (live, ranges, memories) = (Vec::new(), BTreeMap::new(), Vec::new());
        Self { heap, live, ranges, now_ms: 0, fills: 0, memories }
    }
}

impl<S: Scale> Yard<S> {
    /// A heap with one region from an address that is `skipped` bytes behind a page.
    #[must_use]
    pub fn new(bytes: usize, skipped: usize) -> Self {
        let mut yard = Self::default();
        assert!(yard.claim(bytes, skipped), "{bytes} bytes are enough");
        yard
    }

    /// Gives the heap more memory. `false`: it was too little.
    pub fn claim(&mut self, bytes: usize, skipped: usize) -> bool {
        let memory = Memory::new(bytes, skipped);
        let before = self.heap.stats();
        // SAFETY: the memory is the yard's, which keeps it for as long as the heap.
        let claimed = unsafe { self.heap.claim(memory.start(), memory.bytes()) };
        let after = self.heap.stats();
        if let Ok(usable) = claimed {
            assert_eq!(after.free, before.free + usable);
            self.memories.push(memory);
        } else {
            assert_eq!(after, before);
        }
        claimed.is_ok()
    }

    /// Blocks in the program's hands.
    #[must_use]
    pub fn blocks(&self) -> usize {
        self.live.len()
    }

    /// Bytes that were asked for and are live.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.live.iter().map(|live| live.layout.size()).sum()
    }

    /// Allocates, and fills the block. `false`: refused.
    pub fn take(&mut self, bytes: usize, align: usize) -> bool {
        let layout = Layout::from_size_align(bytes, align).expect("a layout");
        let Some(block) = self.heap.allocate(layout) else {
            self.assert_refused(granules(bytes), align.div_ceil(GRANULE));
            return false;
        };
        let start = block.addr().get();
        assert_eq!(start % align.max(GRANULE), 0, "{layout:?} at {start:#x}");
        let end = start + granules(bytes) * GRANULE;
        let inside = |memory: &Memory| {
            memory.start().addr() <= start && end <= memory.start().addr() + memory.bytes()
        };
        assert!(self.memories.iter().any(inside), "{layout:?} at {start:#x} is nowhere");
        self.reserve(start, end);
        self.fills = self.fills.wrapping_add(29);
        let live = Live { block, layout, fill: self.fills };
        live.write(0);
        self.live.push(live);
        true
    }

    fn reserve(&mut self, start: usize, end: usize) {
        if let Some((_, &before)) = self.ranges.range(..end).next_back() {
            assert!(before <= start, "{start:#x}..{end:#x} overlaps what ends at {before:#x}");
        }
        self.ranges.insert(start, end);
    }

    /// What a refusal means: no free block would have done, up to what a scale that is bounded may overlook.
    fn assert_refused(&self, granules: usize, align: usize) {
        let free = self.heap.largest_free() / GRANULE;
        let align = if align > 1 { align + 2 } else { 0 };
        let enough = granules + align + 2;
        let enough = if S::BOUNDED { (enough + 2) * 5 / 4 + 1 } else { enough };
        assert!(free < enough, "refused {granules} granules with a free block of {free}");
    }

    /// Frees a block.
    pub fn free(&mut self, pick: usize) {
        if self.live.is_empty() {
            return;
        }
        let live = self.live.swap_remove(pick % self.live.len());
        live.check(live.layout.size());
        self.ranges.remove(&live.block.addr().get()).expect("a live block");
        // SAFETY: a live block and its layout.
        unsafe { self.heap.deallocate(live.block, live.layout) };
    }

    /// Resizes a block in place, if the heap can. `false`: it is as it was.
    pub fn resize(&mut self, pick: usize, bytes: usize) -> bool {
        if self.live.is_empty() {
            return false;
        }
        let pick = pick % self.live.len();
        let Live { block, layout, .. } = self.live[pick];
        // SAFETY: a live block and its layout.
        let done = unsafe { self.heap.resize_in_place(block, layout, bytes) };
        if done {
            let start = block.addr().get();
            self.ranges.remove(&start).expect("a live block");
            self.reserve(start, start + granules(bytes) * GRANULE);
            let live = &mut self.live[pick];
            live.check(layout.size().min(bytes));
            live.layout = Layout::from_size_align(bytes, layout.align()).expect("a layout");
            live.write(layout.size().min(bytes));
        }
        done
    }

    /// Plays a step, after which the heap's sums are right.
    pub fn play(&mut self, step: Step) {
        match step {
            Step::Take(bytes, shift) => drop(self.take(bytes, 1 << shift)),
            Step::Free(pick) => self.free(pick),
            Step::Resize(pick, bytes) => drop(self.resize(pick, bytes)),
            Step::Trim => self.heap.trim(),
            Step::Turn(ms) => {
                self.now_ms += ms;
                let _reason = self.heap.turn(self.now_ms);
            }
            Step::Claim(bytes, skipped) => drop(self.claim(bytes, skipped)),
        }
        self.check_sums();
    }

    /// Claimed memory is control data, live, cached or free; and live is what is live.
    pub fn check_sums(&self) {
        let stats = self.heap.stats();
        assert_eq!(stats.claimed, stats.control + stats.live + stats.cached + stats.free);
        let live: usize = self.ranges.iter().map(|(start, end)| end - start).sum();
        assert_eq!(stats.live, live, "{stats:?}");
    }

    /// R1 to R3, and as many live blocks as the shadow has.
    pub fn audit(&self) {
        match self.heap.audit() {
            Ok(audit) => assert_eq!(audit.live, self.live.len(), "live blocks"),
            Err(broken) => panic!("{broken:?}: {:?}", self.heap.stats()),
        }
    }

    /// Every live block holds what was written.
    pub fn check_bytes(&self) {
        self.live.iter().for_each(|live| live.check(live.layout.size()));
    }

    /// Frees all that is live, in an order that depends on `random`, and empties the caches.
    pub fn clear(&mut self, random: &mut Random) {
        while !self.live.is_empty() {
            self.free(random.below(self.live.len()));
        }
        self.heap.trim();
        self.check_sums();
        self.audit();
    }

    /// What a heap that nobody used looks like: sums, the largest free block, free blocks.
    #[must_use]
    pub fn shape(&self) -> (RegionStats, usize, usize) {
        let stats =
            RegionStats { least_free: 0, missed: 0, spilled: 0, refused: 0, ..self.heap.stats() };
        (stats, self.heap.largest_free(), self.heap.audit().expect("intact").binned)
    }
}

/// Steps between audits.
fn rhythm(memory: usize) -> usize {
    if memory <= 64 << 10 { 1 } else { 97 }
}

/// Plays steps on a heap over these regions (bytes, and bytes behind a page), then frees everything: the heap is
/// as on its first day.
pub fn play_on<S: Scale>(regions: &[(usize, usize)], steps: &[Step], seed: u64) {
    let mut yard = Yard::<S>::default();
    for &(bytes, skipped) in regions {
        yard.claim(bytes, skipped);
    }
    let mut first_day = yard.shape();
    let rhythm = rhythm(first_day.0.claimed);
    for (number, &step) in steps.iter().enumerate() {
        if let Step::Claim(..) = step {
            yard.clear(&mut Random::new(seed));
            yard.play(step);
            first_day = yard.shape();
            continue;
        }
        yard.play(step);
        if number % rhythm == 0 {
            yard.audit();
        }
    }
    yard.check_bytes();
    yard.clear(&mut Random::new(seed));
    assert_eq!(yard.shape(), first_day, "as on the first day");
}

/// As [`play_on`], on the scale of this number.
pub fn play(scale: usize, regions: &[(usize, usize)], steps: &[Step], seed: u64) {
    let play = [
        play_on::<Micro>,
        play_on::<Mini>,
        play_on::<Wide>,
        play_on::<Bounded<Micro>>,
        play_on::<Bounded<Mini>>,
        play_on::<Bounded<Wide>>,
    ];
    play[scale % play.len()](regions, steps, seed);
}

/// How many scales there are.
pub const SCALES: usize = 6;
