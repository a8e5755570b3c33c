//! A heap over regions beside the global one, as early boot and drivers have it: claims that are refused, all
//! that can be had of several regions, a region that is claimed when the others are used up.

use super::{
    interrupts::FAST_US,
    pattern::{Filled, Random},
};
use crate::{
    TICK_US, cpu, heap, interrupts::ON_TIMER, lock::InterruptLock, say, storage::Storage, work,
};
use ace_alloc::{
    LockedHeap, Misuse, RegionHeap,
    region::{ClaimError, Scale, Wide},
};
use alloc::{alloc::GlobalAlloc, vec::Vec};
use core::{
    alloc::Layout,
    sync::atomic::{AtomicBool, Ordering},
};

/// What each CPU does together with the others: exchanges, and blocks at a time.
const ROUNDS: usize = 20_000;
const BLOCKS: usize = 250;

/// The scale `Wide`, but for what it does about mistakes.
pub enum Strict {}

impl Scale for Strict {
    type Link = <Wide as Scale>::Link;
    const EXACT: usize = Wide::EXACT;
    const CACHED: usize = Wide::CACHED;
    const CACHE_SHIFT: u32 = Wide::CACHE_SHIFT;

    fn misuse(misuse: Misuse) -> ! {
        heap::end_by_misuse(misuse)
    }
}

type Regions = LockedHeap<InterruptLock, Strict>;
static HEAP: Regions = LockedHeap::with_oom(claim_reserve);

static TINY: Storage<32> = Storage::new();
static FIRST: Storage<{ 64 << 10 }> = Storage::new();
static SECOND: Storage<{ 256 << 10 }> = Storage::new();
static RESERVE: Storage<{ 128 << 10 }> = Storage::new();
static RESERVE_ASKED: AtomicBool = AtomicBool::new(false);

fn claim_reserve(heap: &mut RegionHeap<Strict>, _: Layout) -> bool {
    if RESERVE_ASKED.swap(true, Ordering::Relaxed) {
        return false;
    }
    // SAFETY: nobody else uses the reserve.
    unsafe { heap.claim(RESERVE.start(), RESERVE.bytes()) }.is_ok()
}

/// The heap with one region, for mistakes that are made before the checks.
pub fn heap() -> &'static Regions {
    // SAFETY: nobody else uses the memory.
    let claimed = unsafe { HEAP.claim(FIRST.start(), FIRST.bytes()) };
    claimed.expect("memory of its own");
    &HEAP
}

/// See the module's documentation.
pub fn check() {
    claims();
    all_that_can_be_had();
    ON_TIMER.set(|_| drop(Filled::new_in(&HEAP, 40, 7)));
    work::on_all(|number| {
        cpu::this().set_period_us(FAST_US);
        together(number);
        cpu::this().set_period_us(TICK_US);
    });
    ON_TIMER.clear();
    HEAP.trim();
    let stats = HEAP.stats();
    assert_eq!((stats.regions, stats.live), (3, 0), "{stats:?}");
    say!("   {} of {} bytes are free again", stats.free, stats.claimed);
}

fn claims() {
    // SAFETY: nobody else uses the memory; what is claimed twice is refused.
    let claim = |start: *mut u8, bytes| unsafe { HEAP.claim(start, bytes) };
    assert_eq!(claim(TINY.start(), TINY.bytes()), Err(ClaimError::TooSmall));
    assert_eq!(claim(core::ptr::null_mut(), 4096), Err(ClaimError::Invalid));
    heap();
    assert!(claim(SECOND.start(), SECOND.bytes()).is_ok());
    assert_eq!(claim(FIRST.start(), FIRST.bytes()), Err(ClaimError::Overlaps));
    assert_eq!(claim(FIRST.start().wrapping_add(4096), 4096), Err(ClaimError::Overlaps));
    assert_eq!(HEAP.stats().regions, 2, "what was refused is not there");
}

/// Of every region, the reserve included; and the same again.
fn all_that_can_be_had() {
    let layout = Layout::new::<[u64; 100]>();
    let mut last = 0;
    for _ in 0..3 {
        // SAFETY: the layout is not empty.
        let take = || Some(unsafe { HEAP.alloc(layout) }).filter(|block| !block.is_null());
        let blocks: Vec<*mut u8> = core::iter::from_fn(take).collect();
        assert!(RESERVE_ASKED.load(Ordering::Relaxed) && HEAP.stats().regions == 3);
        let (live, claimed) = (blocks.len() * layout.size(), HEAP.stats().claimed);
        assert!(live > claimed / 10 * 9, "{live} of {claimed} bytes");
        assert!(last == 0 || last == live, "the same again");
        last = live;
        for block in blocks {
            // SAFETY: allocated above, with this layout.
            unsafe { HEAP.dealloc(block, layout) };
        }
    }
}

/// Every CPU takes, grows, shrinks and gives back; at times there is no memory. Handlers do so too: the lock keeps them
/// away from a CPU that holds it.
fn together(number: usize) {
    let mut random = Random::new(number as u64);
    let mut blocks: Vec<Option<Filled>> = (0..BLOCKS).map(|_| None).collect();
    for round in 0..ROUNDS {
        let place = &mut blocks[random.below(BLOCKS)];
        let bytes = random.bytes();
        match place {
            Some(block) if round % 3 == 0 => _ = block.resize(bytes),
            _ => *place = Filled::new_in(&HEAP, bytes, round as u8),
        }
    }
}
