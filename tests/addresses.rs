//! Heaps of which no thread holds anything: `AddressHeap`, which touches no block, and a `Heap` with
//! `NoThreads`. (Over memory that can't be touched at all: `platform-cuda/tests/device_heap`.)

use ace_alloc::geometry::{Geometry, Host};
use ace_alloc::platform::{Misuse, MisuseKind, NoThreads, Platform};
use ace_alloc::{AddressHeap, Heap};
use ace_alloc_tests::pages::{Fault, MockPages};
use ace_alloc_tests::platforms::audited;
use ace_alloc_tests::random::{self, Random};
use ace_alloc_tests::shadow::Shadow;
use std::collections::BTreeMap;

struct Alone;

impl Platform for Alone {
    type Geometry = Host;
    type Pages = MockPages;
    type Threads = NoThreads;
    type Lock = parking_lot::RawMutex;

    fn misuse(misuse: Misuse) {
        panic!("{misuse:?}");
    }
}

const LIMIT: usize = 4 << 30;

fn free(heap: &AddressHeap<Alone>, address: usize) -> Result<usize, MisuseKind> {
    // SAFETY: nothing here touches a block, so none is in use.
    unsafe { heap.free(address) }
}

#[test]
fn addresses_are_apart_and_nothing_touches_them() {
    let seed = random::seed();
    let pages = MockPages::new(LIMIT);
    let heap = AddressHeap::<Alone>::new(pages.clone());
    let mut random = Random::new(seed);
    let mut live: Vec<(usize, usize)> = Vec::new();
    let mut ends = BTreeMap::new();
    for _ in 0..random::cases(20_000) {
        if live.is_empty() || random.below(100) < 55 {
            let (bytes, align) = (random.size(1 << 20), 1 << random.below(16));
            let block = heap.alloc(bytes, align).expect("there is enough");
            assert!(block.bytes >= bytes && block.address.is_multiple_of(align.max(16)));
            assert_eq!(heap.size_of(block.address), Ok(block.bytes));
            let end = block.address + block.bytes;
            let below = ends.range(..end).next_back();
            assert!(below.is_none_or(|(_, other_end)| *other_end <= block.address), "overlap");
            ends.insert(block.address, end);
            live.push((block.address, block.bytes));
        } else {
            let (address, bytes) = live.swap_remove(random.below(live.len()));
            ends.remove(&address);
            assert_eq!(free(&heap, address), Ok(bytes));
        }
    }
    let bytes: usize = live.iter().map(|(_, bytes)| bytes).sum();
    let counted = heap.live();
    assert_eq!((counted.blocks, counted.bytes), (live.len(), bytes));
    assert!(heap.peak_bytes() >= bytes && bytes > 32 << 20, "{bytes} bytes: too few to be a test");
    let ledger = heap.ledger();
    ledger.audit().expect("the sums come out");
    assert_eq!(ledger.live_blocks(), live.len() as u64);
    let touched = pages.resident();
    assert!(touched <= ledger.metadata_bytes, "{touched} bytes touched, more than the tables");
    for (address, bytes) in live {
        assert_eq!(free(&heap, address), Ok(bytes));
    }
    heap.trim(0);
    heap.ledger().audit_empty().expect("everything is back");
    // SAFETY: the heap is not used any more.
    unsafe { pages.unmap_all() };
}

#[test]
fn misuse_of_an_address_is_an_answer() {
    let pages = MockPages::new(LIMIT);
    let heap = AddressHeap::<Alone>::new(pages.clone());
    assert_eq!(free(&heap, 4096), Err(MisuseKind::Foreign));
    assert_eq!(heap.trim(0), 0);
    assert_eq!(pages.ledger().calls, 0, "a question reserves nothing");
    let [first, second] = [0, 1].map(|_| heap.alloc(100, 16).expect("memory").address);
    let large = heap.alloc(1 << 20, 1 << 20).expect("memory").address;
    assert_eq!(free(&heap, first + 16), Err(MisuseKind::Interior));
    assert_eq!(heap.size_of(large + 16), Err(MisuseKind::Interior));
    assert_eq!(free(&heap, large + Host::UNIT), Err(MisuseKind::Interior));
    assert!(free(&heap, first).is_ok());
    assert_eq!(free(&heap, first), Err(MisuseKind::DoubleFree));
    assert_eq!(heap.size_of(first), Err(MisuseKind::DoubleFree));
    assert_eq!(heap.size_of(second), Ok(112));
    assert!(free(&heap, second).is_ok());
    assert_eq!(free(&heap, second), Err(MisuseKind::NeverAllocated));
    assert_eq!(free(&heap, large), Ok(1 << 20));
    assert_eq!(free(&heap, large), Err(MisuseKind::NeverAllocated));
    assert_eq!(free(&heap, 0), Err(MisuseKind::Foreign));
    heap.ledger().audit().expect("nothing was changed by it");
    // SAFETY: the heap is not used any more.
    unsafe { pages.unmap_all() };
}

#[test]
fn without_pages_there_is_no_address_and_later_there_is() {
    let pages = MockPages::new(LIMIT);
    let heap = AddressHeap::<Alone>::new(pages.clone());
    for call in 0..12 {
        pages.set_fault(Fault::From(call));
        let got = heap.alloc(5 << 20, 16);
        pages.set_fault(Fault::Never);
        let block = got.or_else(|| heap.alloc(5 << 20, 16)).expect("memory again");
        assert!(free(&heap, block.address).is_ok());
    }
    assert!(heap.alloc(usize::MAX, 16).is_none() && heap.alloc(LIMIT, 16).is_none());
    heap.trim(0);
    heap.ledger().audit_empty().expect("everything is back");
    // SAFETY: the heap is not used any more.
    unsafe { pages.unmap_all() };
}

#[test]
fn a_heap_without_threads_serves_all_from_its_pool() {
    let seed = random::seed();
    let pages = MockPages::new(LIMIT);
    let heap = Heap::<Alone>::new(pages.clone());
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let heap = &heap;
            scope.spawn(move || {
                let mut random = Random::new(seed + thread);
                let mut shadow = Shadow::default();
                for _ in 0..2000 {
                    if let Some(index) =
                        shadow.pick(random.below(1 << 20)).filter(|_| random.below(2) == 0)
                    {
                        // SAFETY: the model gives up a live block of this heap.
                        unsafe { heap.free(shadow.surrender(index).ptr) };
                    } else {
                        let bytes = random.size(200 << 10);
                        // SAFETY: a block of that many bytes is ours.
                        unsafe { shadow.adopt(heap.malloc(bytes), bytes, 16, None) };
                    }
                }
                shadow.check_all();
                while !shadow.is_empty() {
                    // SAFETY: as above.
                    unsafe { heap.free(shadow.surrender(0).ptr) };
                }
            });
        }
    });
    audited(&heap, &pages).audit_empty().expect("everything is back");
    assert_eq!(heap.stats().events.refilled_blocks, 0, "no magazine was filled");
    // SAFETY: the heap is not used any more.
    unsafe { pages.unmap_all() };
}
