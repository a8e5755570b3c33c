//! How many instructions each call of a heap over one region takes, counted and not sampled: for a
//! machine whose time stamp counts instructions (QEMU's `-icount shift=0,sleep=off`, one CPU). Two
//! runs say the same to the last byte.

use crate::{
    boot,
    checks::Random,
    heap::HEAP,
    interrupts,
    paths::{self, Longest, Place},
    say,
    storage::Storage,
};
use ace_alloc::{
    LockedHeap, RegionHeap, SpinLock,
    region::{Bounded, Micro, Mini, Scale, Wide},
};
use alloc::{vec, vec::Vec};
use core::{
    alloc::{GlobalAlloc, Layout},
    arch::asm,
    fmt,
    marker::PhantomData,
    ops::RangeInclusive,
    ptr::{self, NonNull},
};

const CALLS: usize = 400_000;
/// A call that takes this many instructions or more is counted as this many.
const MOST: usize = 1 << 17;

/// Instructions since the machine began: the lower half of their number.
#[inline(always)]
fn now() -> u32 {
    let low;
    // SAFETY: reads a counter. That it may touch memory, as the compiler must think, keeps calls in place.
    unsafe { asm!("rdtsc", out("eax") low, out("edx") _, options(nostack)) };
    low
}

/// Runs a call, and counts its instructions and those of measuring.
#[inline(always)]
fn timed<R>(call: impl FnOnce() -> R) -> (R, u32) {
    let before = now();
    let result = call();
    (result, now().wrapping_sub(before))
}

// Functions of their own, so that the arguments are in registers, and nothing of the caller's is in
// the way. The heap's functions are inlined here if they ask for it, as they are in a program with
// link-time optimization.

/// Instructions of a measurement of nothing.
#[inline(never)]
pub fn nothing() -> u32 {
    timed(|| ()).1
}

/// A block, or null, and what it took.
#[inline(never)]
pub fn alloc(heap: &impl GlobalAlloc, layout: Layout) -> (*mut u8, u32) {
    // SAFETY: no layout here is empty.
    timed(|| unsafe { heap.alloc(layout) })
}

/// Likewise without an alignment, of which the compiler knows then: as in most programs.
#[inline(never)]
fn alloc_unaligned(heap: &impl GlobalAlloc, bytes: usize) -> (*mut u8, u32) {
    // SAFETY: no mix asks for nothing, or for more than half the address space.
    timed(|| unsafe { heap.alloc(Layout::from_size_align_unchecked(bytes, 8)) })
}

/// What a free took.
#[inline(never)]
pub fn free(heap: &impl GlobalAlloc, block: *mut u8, layout: Layout) -> u32 {
    // SAFETY: blocks here were allocated with this layout, and are given up.
    timed(|| unsafe { heap.dealloc(block, layout) }).1
}

/// Whether a block could grow or shrink where it is, and what that took.
#[inline(never)]
pub fn resize<D: Deployed>(block: NonNull<u8>, layout: Layout, bytes: usize) -> (bool, u32) {
    // SAFETY: as above.
    timed(|| unsafe { D::heap().lock().resize_in_place(block, layout, bytes) })
}

/// A heap as a program has it, a `static`: where it is the compiler knows.
pub trait Deployed {
    /// Its scale.
    type Scale: Scale;
    /// The heap.
    fn heap() -> &'static LockedHeap<SpinLock, Self::Scale>;
}

macro_rules! deployed {
    ($($name:ident: $scale:ty),*) => {$(
        enum $name {}
        impl Deployed for $name {
            type Scale = $scale;
            #[inline(always)]
            fn heap() -> &'static LockedHeap<SpinLock, $scale> {
                static HEAP: LockedHeap<SpinLock, $scale> = LockedHeap::empty();
                &HEAP
            }
        }
    )*};
}
deployed!(BoundedWide: Bounded<Wide>, BoundedMini: Bounded<Mini>, BoundedMicro: Bounded<Micro>);

/// The allocator that has such a heap.
pub struct Static<D>(PhantomData<D>);

impl<D: Deployed> Static<D> {
    /// With a heap that has no memory (any more).
    pub fn new() -> Self {
        *D::heap().lock() = RegionHeap::empty();
        Self(PhantomData)
    }
}

// SAFETY: the calls are passed on.
unsafe impl<D: Deployed> GlobalAlloc for Static<D> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { D::heap().alloc(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { D::heap().dealloc(block, layout) };
    }
}

/// How often calls took how many instructions.
struct Counts {
    calls: Vec<u32>,
    /// Instructions of a measurement of nothing.
    overhead: u32,
}

impl Counts {
    fn new() -> Self {
        Self { calls: vec![0; MOST + 1], overhead: nothing() }
    }

    fn add(&mut self, took: u32) {
        let took = (took - self.overhead) as usize;
        self.calls[took.min(MOST)] += 1;
    }

    /// Instructions that a call takes which is dearer than this part of a thousand of the others.
    fn quantile(&self, permille: u64) -> usize {
        let all: u64 = self.calls.iter().map(|calls| u64::from(*calls)).sum();
        let mut seen = 0;
        let reached = |calls: &u32| {
            seen += u64::from(*calls);
            seen * 1000 >= all * permille
        };
        self.calls.iter().position(reached).unwrap_or(MOST)
    }

    fn max(&self) -> usize {
        self.calls.iter().rposition(|calls| *calls > 0).unwrap_or(0)
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (p50, p999, max) = (self.quantile(500), self.quantile(999), self.max());
        write!(f, r#"{{"p50":{p50},"p999":{p999},"max":{max}}}"#)
    }
}

/// What a heap that is about half full is asked for.
pub trait Mix {
    /// Its name.
    const NAME: &'static str;
    /// Whether blocks are aligned to more than eight bytes.
    const ALIGNED: bool;
    /// Places for blocks.
    fn blocks(&self) -> usize;
    /// The least and the largest size, in bytes.
    fn bytes(&self) -> (usize, usize);
    /// The next request.
    fn layout(&self, random: &mut Random) -> Layout;
}

/// Each size as often as any other, and none aligned.
pub struct Even {
    bytes: RangeInclusive<usize>,
    blocks: usize,
}

impl Mix for Even {
    const NAME: &'static str = "even";
    const ALIGNED: bool = false;

    fn blocks(&self) -> usize {
        self.blocks
    }

    fn bytes(&self) -> (usize, usize) {
        (*self.bytes.start(), *self.bytes.end())
    }

    fn layout(&self, random: &mut Random) -> Layout {
        let (low, high) = self.bytes();
        let bytes = low + random.below(high - low + 1);
        Layout::from_size_align(bytes, 8).expect("a small layout")
    }
}

/// Each doubling half as often as the one before, the last as often as that; one block in 16 is
/// aligned to 64 bytes. Both ends are powers of two.
struct Tailed {
    bytes: RangeInclusive<usize>,
    blocks: usize,
}

impl Mix for Tailed {
    const NAME: &'static str = "tailed";
    const ALIGNED: bool = true;

    fn blocks(&self) -> usize {
        self.blocks
    }

    fn bytes(&self) -> (usize, usize) {
        (*self.bytes.start(), *self.bytes.end())
    }

    fn layout(&self, random: &mut Random) -> Layout {
        let (mut bytes, high) = self.bytes();
        while bytes * 2 < high && random.below(2) == 0 {
            bytes *= 2;
        }
        let align = if random.below(16) == 0 { 64 } else { 8 };
        Layout::from_size_align(bytes + random.below(bytes + 1), align).expect("a small layout")
    }
}

/// A deterministic mix: a random place is emptied if it holds a block, and filled if it does not.
/// Answers how many requests were refused, too.
fn count<M: Mix>(heap: &impl GlobalAlloc, mix: &M) -> ([Counts; 2], usize) {
    let [mut allocs, mut frees] = [Counts::new(), Counts::new()];
    let mut refused = 0;
    let mut random = Random::new(1);
    let mut blocks = vec![(ptr::null_mut::<u8>(), Layout::new::<u8>()); mix.blocks()];
    for _ in 0..CALLS {
        let (block, layout) = &mut blocks[random.below(mix.blocks())];
        if block.is_null() {
            *layout = mix.layout(&mut random);
            let took;
            (*block, took) = if M::ALIGNED {
                alloc(heap, *layout)
            } else {
                alloc_unaligned(heap, layout.size())
            };
            refused += usize::from(block.is_null());
            allocs.add(took);
        } else {
            frees.add(free(heap, *block, *layout));
            *block = ptr::null_mut();
        }
    }
    for (block, layout) in blocks.into_iter().filter(|(block, _)| !block.is_null()) {
        free(heap, block, layout);
    }
    ([allocs, frees], refused)
}

/// Counts a heap's calls, and says what they took as a line of JSON. Leaves the heap as empty as it
/// was.
pub fn report<M: Mix>(name: &str, memory: usize, heap: &impl GlobalAlloc, mix: &M) {
    let ([alloc, free], refused) = count(heap, mix);
    let (kind, (low, high)) = (M::NAME, mix.bytes());
    say!(
        r#"{{"heap":"{name}","memory":{memory},"mix":"{kind}","bytes":[{low},{high}],"refused":{refused},"alloc":{alloc},"free":{free}}}"#
    );
}

/// Likewise what the longest calls of a bounded scale take: those that [`paths`] makes.
fn report_longest<D: Deployed>(name: &str, bytes: usize) {
    for before in 0..3 {
        let place = Place { memory: MEMORY.start(), bytes, before };
        let Longest { small, alloc, refusal, free, resize } = paths::longest::<D>(place);
        say!(
            r#"{{"heap":"{name}","memory":{bytes},"full":{before},"small":{small},"alloc":{alloc},"refusal":{refusal},"free":{free},"resize":{resize}}}"#
        );
    }
}

static MEMORY: Storage<{ 16 << 20 }> = Storage::new();

/// A mix in a heap that has one region of so many bytes.
fn report_bounded<D: Deployed>(name: &str, bytes: usize, mix: &impl Mix) {
    let heap = Static::<D>::new();
    // SAFETY: nothing else uses the memory: the heaps that did are empty.
    unsafe { D::heap().claim(MEMORY.start(), bytes) }.expect("memory enough");
    report(name, bytes, &heap, mix);
}

/// See the module's documentation.
pub fn run() {
    interrupts::disable();
    let large = Even { bytes: 16..=1024, blocks: 16 << 10 };
    let small = Even { bytes: 8..=128, blocks: 512 };
    let wide = "LockedHeap<SpinLock, Bounded<Wide>>";
    let mini = "LockedHeap<SpinLock, Bounded<Mini>>";
    let micro = "LockedHeap<SpinLock, Bounded<Micro>>";
    report_bounded::<BoundedWide>(wide, 16 << 20, &large);
    report_bounded::<BoundedMini>(mini, 64 << 10, &small);
    let tailed = |bytes, blocks| Tailed { bytes, blocks };
    report_bounded::<BoundedWide>(wide, 1 << 20, &tailed(16..=16 << 10, 8 << 10));
    report_bounded::<BoundedMini>(mini, 64 << 10, &tailed(16..=4 << 10, 600));
    report_longest::<BoundedWide>(wide, 1 << 20);
    report_longest::<BoundedMini>(mini, 128 << 10);
    report_longest::<BoundedMicro>(micro, 128 << 10);
    report("CoreHeap", boot::free_memory().len(), &HEAP, &large);
    #[cfg(feature = "peers")]
    // SAFETY: the heaps that had the memory are gone.
    unsafe {
        crate::peers::report_all(MEMORY.start(), 16 << 20, &large);
        crate::peers::report_all(MEMORY.start(), 64 << 10, &small);
    }
}
