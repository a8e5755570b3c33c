//! Programs' mistakes reach the misuse hook with their reason, and harm nothing.

use crate::heap;
use ace_alloc::MisuseKind;
use alloc::alloc::{alloc, dealloc};
use core::{alloc::Layout, cell::UnsafeCell, hint::black_box, ptr};

const LAYOUT: Layout = Layout::new::<[u64; 6]>();

/// A mistake, and what it is to be called.
type Mistake = (MisuseKind, fn());

const MISTAKES: &[Mistake] = &[
    (MisuseKind::DoubleFree, double_free),
    (MisuseKind::Interior, interior_free),
    (MisuseKind::Foreign, foreign_free),
];

// What a compiler can see to be allocated and freed it may leave out: hence `black_box`.

fn double_free() {
    // SAFETY: the layout is not empty; the second free is the mistake, and the hook decides what becomes of it.
    unsafe {
        let block = black_box(alloc(LAYOUT));
        dealloc(block, LAYOUT);
        dealloc(block, LAYOUT);
    }
}

fn interior_free() {
    // SAFETY: as above, for the first free.
    unsafe {
        let block = black_box(alloc(LAYOUT));
        dealloc(block.add(16), LAYOUT);
        dealloc(block, LAYOUT);
    }
}

fn foreign_free() {
    struct Elsewhere(UnsafeCell<[u64; 6]>);
    // SAFETY: nobody touches it.
    unsafe impl Sync for Elsewhere {}
    static ELSEWHERE: Elsewhere = Elsewhere(UnsafeCell::new([0; 6]));
    // SAFETY: as above.
    unsafe { dealloc(ELSEWHERE.0.get().cast(), LAYOUT) };
}

/// Every mistake is reported, once, and then the heap goes on.
pub fn check() {
    for (kind, make) in MISTAKES {
        heap::forgive(true);
        make();
        heap::forgive(false);
        let reported = heap::take_misuse();
        assert_eq!(reported.map(|misuse| misuse.kind), Some(*kind));
    }
    // SAFETY: the layout is not empty.
    let blocks: [*mut u8; 2] = [(); 2].map(|()| unsafe { alloc(LAYOUT) });
    assert!(blocks[0] != blocks[1] && !blocks.contains(&ptr::null_mut()), "no block is handed out twice");
    for block in blocks {
        // SAFETY: just allocated.
        unsafe { dealloc(block, LAYOUT) };
    }
}

/// Makes the mistake that is called `reason`: the end of the kernel.
pub fn end_by(reason: &str) {
    let mistake = MISTAKES.iter().find(|(kind, _)| kind.reason() == reason);
    mistake.expect("a mistake of this name").1();
}
