//! A program's mistakes at the heap's door: which ones are noticed, how they are named, and that the
//! heap goes on unharmed. Without live-bit checks (`unchecked`) fewer are noticed at once; what must
//! still hold there is tested too.

use ace_alloc::geometry::{Host, HostTail, Small};
use ace_alloc::platform::{Misuse, MisuseKind};
use ace_alloc_tests::platforms::{Seat, Shape, TestHeap, take_misuses};

const CHECKED: bool = cfg!(not(feature = "unchecked"));
const SIZES: [usize; 9] = [1, 16, 48, 64, 100, 512, 1000, 3000, 30_000];

/// Runs one crime in every geometry.
macro_rules! in_every_geometry {
    ($crime:ident $(, $with:expr)?) => {
        $crime::<Host>($($with)?);
        $crime::<HostTail>($($with)?);
        $crime::<Small>($($with)?);
    };
}

fn free_and_listen<G: Shape>(heap: &TestHeap<G>, seat: &mut Seat, ptr: *mut u8) -> Vec<Misuse> {
    // SAFETY: deliberately not kept; the heap has to notice, and the test platform returns from the
    // report, after which the call has had no effect.
    seat.sit(|| unsafe { heap.free(ptr) });
    take_misuses()
}

/// The crime was reported once, under this name and with the address.
fn assert_reported(reports: &[Misuse], kind: MisuseKind, ptr: *mut u8, what: &str) {
    assert_eq!(reports.len(), 1, "{what}: one report, not {reports:?}");
    assert_eq!(reports[0].kind, kind, "{what}: {reports:?}");
    assert_eq!(reports[0].address, ptr.addr(), "{what}: {reports:?}");
}

/// The heap still serves distinct, writable blocks and ends with none live.
fn assert_unharmed<G: Shape>(heap: &TestHeap<G>, seat: &mut Seat, live: u64) {
    seat.sit(|| {
        let mut blocks: Vec<_> =
            SIZES.iter().cycle().take(900).map(|&b| (heap.malloc(b), b)).collect();
        for &(ptr, bytes) in &blocks {
            assert!(!ptr.is_null(), "{}: a block of {bytes} bytes", G::NAME);
            // SAFETY: a live block of this size.
            unsafe { ptr.write_bytes(0x5A, bytes) };
        }
        blocks.sort_unstable();
        blocks.dedup_by_key(|block| block.0);
        assert_eq!(blocks.len(), 900, "{}: a block was handed out twice", G::NAME);
        for (ptr, _) in blocks {
            // SAFETY: a live block, freed once.
            unsafe { heap.free(ptr) };
        }
        heap.thread_exit();
    });
    assert_eq!(take_misuses(), [], "{}: false reports afterwards", G::NAME);
    assert_eq!(heap.live_blocks(), live, "{}: live blocks afterwards", G::NAME);
}

fn double_free<G: Shape>() {
    for bytes in SIZES {
        let heap = TestHeap::<G>::new(G::LIMIT);
        let mut seat = Seat::new();
        let ptr = seat.sit(|| heap.malloc(bytes));
        assert_eq!(free_and_listen(&heap, &mut seat, ptr), []);
        if CHECKED || bytes > G::CLASS_MAX {
            let reports = free_and_listen(&heap, &mut seat, ptr);
            let large = bytes > G::CLASS_MAX;
            let what = format!("{}: second free of {bytes} bytes", G::NAME);
            assert_eq!(reports.len(), 1, "{what}: one report, not {reports:?}");
            let kind = reports[0].kind;
            // The range of a large block may have been given up by then.
            let named =
                kind == MisuseKind::DoubleFree || large && kind == MisuseKind::NeverAllocated;
            assert!(named && reports[0].address == ptr.addr(), "{what}: {reports:?}");
            assert_unharmed(&heap, &mut seat, 0);
        }
    }
}

#[test]
fn a_double_free_is_reported_at_once() {
    in_every_geometry!(double_free);
}

fn double_free_across_threads<G: Shape>() {
    for bytes in [16, 64, 1000] {
        let heap = TestHeap::<G>::new(G::LIMIT);
        let (mut owner, mut other) = (Seat::new(), Seat::new());
        let ptr = owner.sit(|| heap.malloc(bytes));
        let mut reports = free_and_listen(&heap, &mut other, ptr);
        reports.extend(free_and_listen(&heap, &mut other, ptr));
        // At the drain at the latest.
        other.sit(|| heap.thread_exit());
        owner.sit(|| {
            heap.trim(0);
            heap.thread_exit();
        });
        reports.extend(take_misuses());
        let what = format!("{}: {bytes} bytes freed twice by another thread", G::NAME);
        if CHECKED {
            assert_reported(&reports, MisuseKind::DoubleFree, ptr, &what);
            assert_unharmed(&heap, &mut Seat::new(), 0);
        }
    }
}

#[test]
fn a_double_free_by_another_thread_is_reported_at_the_drain_at_the_latest() {
    in_every_geometry!(double_free_across_threads);
}

fn double_free_after_reuse_elsewhere<G: Shape>() {
    let heap = TestHeap::<G>::new(G::LIMIT);
    let mut seat = Seat::new();
    let blocks: Vec<_> = (0..2000).map(|_| seat.sit(|| heap.malloc(64))).collect();
    for &ptr in &blocks {
        assert_eq!(free_and_listen(&heap, &mut seat, ptr), []);
    }
    // Most of them have left the magazine by now.
    for &ptr in blocks.iter().step_by(37) {
        let reports = free_and_listen(&heap, &mut seat, ptr);
        if CHECKED {
            assert_eq!(reports.len(), 1, "{}: {reports:?}", G::NAME);
            let known = [MisuseKind::DoubleFree, MisuseKind::NeverAllocated];
            assert!(known.contains(&reports[0].kind), "{}: {reports:?}", G::NAME);
        } else {
            break;
        }
    }
    if CHECKED {
        assert_unharmed(&heap, &mut seat, 0);
    }
}

#[test]
fn a_double_free_is_reported_wherever_the_block_is_kept() {
    in_every_geometry!(double_free_after_reuse_elsewhere);
}

fn interior<G: Shape>() {
    for bytes in SIZES.into_iter().filter(|&bytes| bytes > 16) {
        let heap = TestHeap::<G>::new(G::LIMIT);
        let mut seat = Seat::new();
        let ptr = seat.sit(|| heap.malloc(bytes));
        for offset in [16, (bytes / 2) & !15, bytes - 1, 1, 8] {
            let inside = ptr.wrapping_add(offset);
            if CHECKED && inside != ptr {
                let reports = free_and_listen(&heap, &mut seat, inside);
                let what = format!("{}: {offset} bytes into a block of {bytes}", G::NAME);
                assert_reported(&reports, MisuseKind::Interior, inside, &what);
            }
        }
        assert_eq!(free_and_listen(&heap, &mut seat, ptr), [], "the true start is still fine");
        assert_unharmed(&heap, &mut seat, 0);
    }
}

#[test]
fn a_free_into_the_middle_of_a_block_is_reported_and_leaves_the_block_alone() {
    in_every_geometry!(interior);
}

fn never_allocated<G: Shape>() {
    let heap = TestHeap::<G>::new(G::LIMIT);
    let mut seat = Seat::new();
    let ptr = seat.sit(|| heap.malloc(64));
    // Far beyond the only slab, still inside the reserved range.
    let beyond = ptr.wrapping_add(G::SUPERSLAB - G::UNIT);
    let reports = free_and_listen(&heap, &mut seat, beyond);
    let known = [MisuseKind::NeverAllocated, MisuseKind::Foreign];
    assert_eq!(reports.len(), 1, "{}: {reports:?}", G::NAME);
    assert!(known.contains(&reports[0].kind), "{}: {reports:?}", G::NAME);
    if CHECKED {
        // In the same slab, where a block would lie that was never handed out.
        let next = ptr.wrapping_add(64 * 20);
        let reports = free_and_listen(&heap, &mut seat, next);
        let known = [MisuseKind::NeverAllocated, MisuseKind::DoubleFree];
        assert_eq!(reports.len(), 1, "{}: {reports:?}", G::NAME);
        assert!(known.contains(&reports[0].kind), "{}: {reports:?}", G::NAME);
    }
    assert_unharmed(&heap, &mut seat, 1);
}

#[test]
fn a_free_of_memory_that_was_never_handed_out_is_reported() {
    in_every_geometry!(never_allocated);
}

fn foreign<G: Shape>() {
    static CONSTANT: [u64; 4] = [1, 2, 3, 4];
    let heap = TestHeap::<G>::new(G::LIMIT);
    let other = TestHeap::<G>::new(G::LIMIT);
    let (mut seat, mut there) = (Seat::new(), Seat::new());
    let mut local = [0_u8; 64];
    let mut boxed = Box::new([0_u8; 64]);
    let theirs = there.sit(|| other.malloc(64));
    let strangers = [
        ("the stack", local.as_mut_ptr()),
        ("another allocator", boxed.as_mut_ptr()),
        ("another heap", theirs),
        ("a constant", CONSTANT.as_ptr().cast_mut().cast()),
        ("a low address", std::ptr::without_provenance_mut(16)),
        ("a wild address", std::ptr::without_provenance_mut(usize::MAX & !15)),
        ("half the address space", std::ptr::without_provenance_mut(1 << 63)),
    ];
    for before in [true, false] {
        for (whose, ptr) in strangers {
            let reports = free_and_listen(&heap, &mut seat, ptr);
            let what = format!("{}: {whose}, before the first malloc: {before}", G::NAME);
            assert_reported(&reports, MisuseKind::Foreign, ptr, &what);
        }
        if before {
            let ptr = seat.sit(|| heap.malloc(64));
            assert_eq!(free_and_listen(&heap, &mut seat, ptr), []);
        }
    }
    assert_unharmed(&heap, &mut seat, 0);
}

#[test]
fn a_free_of_memory_that_is_not_the_heaps_is_reported_as_foreign() {
    in_every_geometry!(foreign);
}

fn free_of_null<G: Shape>() {
    let heap = TestHeap::<G>::new(G::LIMIT);
    let mut seat = Seat::new();
    assert_eq!(free_and_listen(&heap, &mut seat, std::ptr::null_mut()), []);
    let ptr = seat.sit(|| heap.malloc(10));
    assert_eq!(free_and_listen(&heap, &mut seat, std::ptr::null_mut()), []);
    assert_eq!(free_and_listen(&heap, &mut seat, ptr), []);
    assert_eq!(free_and_listen(&heap, &mut seat, std::ptr::null_mut()), []);
    // SAFETY: null is allowed.
    assert_eq!(seat.sit(|| unsafe { heap.usable_size(std::ptr::null_mut()) }), 0);
    assert_unharmed(&heap, &mut seat, 0);
}

#[test]
fn a_free_of_null_does_nothing() {
    in_every_geometry!(free_of_null);
}

#[cfg(not(feature = "unchecked"))]
fn realloc_of_a_freed_block<G: Shape>() {
    let heap = TestHeap::<G>::new(G::LIMIT);
    let mut seat = Seat::new();
    let ptr = seat.sit(|| heap.malloc(64));
    assert_eq!(free_and_listen(&heap, &mut seat, ptr), []);
    // SAFETY: deliberately not kept, as in `free_and_listen`.
    let again = seat.sit(|| unsafe { heap.realloc(ptr, 4000) });
    let reports = take_misuses();
    assert_eq!(reports.len(), 1, "{}: realloc of a freed block: {reports:?}", G::NAME);
    assert_eq!(reports[0].kind, MisuseKind::DoubleFree, "{}: {reports:?}", G::NAME);
    assert!(again.is_null(), "{}: the faulty call has no effect", G::NAME);
    assert_unharmed(&heap, &mut seat, 0);
}

#[cfg(not(feature = "unchecked"))]
#[test]
fn a_realloc_of_a_freed_block_is_reported() {
    in_every_geometry!(realloc_of_a_freed_block);
}

/// Blocks that go home one by one are linked through their own memory. A program that writes to one
/// after it freed it breaks the link: that is noticed when the owner takes them in.
fn write_to_a_stray<G: Shape>(scribble: u8) {
    let heap = TestHeap::<G>::new(G::LIMIT / 16);
    let (mut owner, mut other) = (Seat::new(), Seat::new());
    // SAFETY: a live block, freed once.
    other.sit(|| unsafe { heap.free(heap.malloc(64)) });
    let mut blocks = Vec::new();
    owner.sit(|| {
        loop {
            let block = heap.malloc(64);
            if block.is_null() {
                return;
            }
            blocks.push(block);
        }
    });
    for &block in &blocks {
        assert_eq!(free_and_listen(&heap, &mut other, block), []);
    }
    let written = blocks[blocks.len() - 10];
    // SAFETY: deliberately not kept: the block is freed. Its memory is still the heap's.
    unsafe { written.write_bytes(scribble, 8) };
    owner.sit(|| heap.thread_exit());
    assert_reported(&take_misuses(), MisuseKind::Corrupt, written, "a write to a freed block");
}

#[test]
fn a_write_to_a_freed_block_that_waits_for_its_owner_is_reported() {
    for scribble in [0, 1, 0xFF] {
        in_every_geometry!(write_to_a_stray, scribble);
    }
}
