//! Programs' mistakes reach the misuse hook with their reason, and harm nothing.

use super::regions;
use crate::{
    boot::CPUS,
    heap::{self, Caller, GLOBAL},
    lock::NotedLock,
    storage::Storage,
};
use ace_alloc::{CoreHeap, MisuseKind, SpinLock, geometry::Compact};
use alloc::alloc::GlobalAlloc;
use core::{alloc::Layout, mem::MaybeUninit, ptr};
use lock_api::Mutex;

const LAYOUT: Layout = Layout::new::<[u64; 6]>();

/// A mistake made with a heap, and what it is to be called.
type Mistake = (MisuseKind, fn(&dyn GlobalAlloc));

const MISTAKES: [Mistake; 3] = [
    (MisuseKind::DoubleFree, double_free),
    (MisuseKind::Interior, interior_free),
    (MisuseKind::Foreign, foreign_free),
];

fn double_free(heap: &dyn GlobalAlloc) {
    // SAFETY: the layout is not empty; the second free is the mistake, and the hook decides what becomes of it.
    unsafe {
        let block = heap.alloc(LAYOUT);
        heap.dealloc(block, LAYOUT);
        heap.dealloc(block, LAYOUT);
    }
}

fn interior_free(heap: &dyn GlobalAlloc) {
    // SAFETY: the layout is not empty and the address inside the block; the first free is the mistake.
    unsafe {
        let block = heap.alloc(LAYOUT);
        heap.dealloc(block.add(16), LAYOUT);
        heap.dealloc(block, LAYOUT);
    }
}

fn foreign_free(heap: &dyn GlobalAlloc) {
    static ELSEWHERE: Mutex<SpinLock, [MaybeUninit<u64>; 6]> =
        Mutex::new([MaybeUninit::uninit(); 6]);
    let mut elsewhere = ELSEWHERE.lock();
    // SAFETY: the mistake.
    unsafe { heap.dealloc(elsewhere.as_mut_ptr().cast(), LAYOUT) };
}

/// Every mistake is reported, once, and then the heap goes on.
pub fn check() {
    make_all(&GLOBAL);
    make_all(spare());
}

fn make_all(heap: &dyn GlobalAlloc) {
    for (kind, make) in MISTAKES {
        let reported = heap::forgiven(|| make(heap));
        assert_eq!(reported.map(|misuse| misuse.kind), Some(kind));
    }
    // SAFETY: the layout is not empty.
    let blocks: [*mut u8; 2] = [(); 2].map(|()| unsafe { heap.alloc(LAYOUT) });
    assert!(blocks[0] != blocks[1], "no block is handed out twice");
    assert!(!blocks.contains(&ptr::null_mut()));
    for block in blocks {
        // SAFETY: just allocated.
        unsafe { heap.dealloc(block, LAYOUT) };
    }
}

/// A heap of CPUs whose range is used up, so that blocks come from a spare region. Once.
fn spare() -> &'static dyn GlobalAlloc {
    static HEAP: CoreHeap<Caller, CPUS, Compact, NotedLock> = CoreHeap::new();
    static RANGE: Storage<{ 128 << 10 }> = Storage::new();
    static SPARE: Storage<{ 16 << 10 }> = Storage::new();
    // SAFETY: nobody else uses the memory.
    let range = unsafe { HEAP.claim(RANGE.start(), RANGE.bytes()) };
    range.expect("a range");
    while !HEAP.alloc(LAYOUT).is_null() {}
    // SAFETY: likewise.
    let spare = unsafe { HEAP.claim(SPARE.start(), SPARE.bytes()) };
    assert!(spare.expect("a spare region") > SPARE.bytes() / 4 * 3);
    &HEAP
}

/// Makes a mistake that nobody forgives, such as "global double free" or "regions double free": the end of the
/// kernel.
pub fn end_by(mistake: &str) {
    let (heap, reason) = mistake.split_once(' ').expect("a heap and a reason");
    let (_, make) =
        MISTAKES.into_iter().find(|(kind, _)| kind.reason() == reason).expect("a reason");
    match heap {
        "global" => make(&GLOBAL),
        "regions" => make(regions::heap()),
        "spare" => make(spare()),
        _ => panic!("no heap is called {heap}"),
    }
}
