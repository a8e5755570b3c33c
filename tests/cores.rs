//! `CoreHeap`: the heap of a kernel's CPUs and their interrupt handlers.

#[path = "cores/blocks.rs"]
mod blocks;
#[path = "cores/board.rs"]
mod board;
#[path = "cores/handlers.rs"]
mod handlers;
#[path = "cores/room.rs"]
mod room;

use ace_alloc::{ClaimError, CoreHeap, CoreId, Dial, stats::ClassStats};
use ace_alloc_tests::random::Random;
use blocks::{Block, layout};
use board::{BoardPages, Kernel, core, interrupt, interrupt_at, set_handler, steps, switch_to};
use std::{cell::RefCell, rc::Rc};

struct One;
// SAFETY: each heap of this kind belongs to one test, which runs on one thread.
unsafe impl CoreId for One {
    fn current() -> usize {
        0
    }
}

fn memory(bytes: usize) -> *mut u8 {
    Box::leak(vec![0xA5_u8; bytes].into_boxed_slice()).as_mut_ptr()
}

/// Nobody has a block of the heap, but for the one that the reserve is.
fn assert_nothing_is_lost(heap: &Kernel) {
    let stats = heap.stats();
    let live: Vec<_> = stats.classes.iter().filter(|class| class.live_blocks > 0).collect();
    assert!(live.is_empty(), "blocks that nobody has: {live:?}");
    // No heap keeps an empty slab of the larger classes; each that is there has a block in a magazine.
    let kept = |class: &&ClassStats| {
        class.block_bytes > 1024 && u64::from(class.slabs) > class.cached_blocks
    };
    let kept: Vec<_> = stats.classes.iter().filter(kept).collect();
    assert!(kept.is_empty(), "slabs that nobody has: {kept:?}");
    assert_eq!(stats.large.blocks, usize::from(heap.reserve_bytes().0 > 0));
    assert_eq!(stats.huge.blocks, 0);
    assert_eq!(heap.reserve_bytes().1, 0);
}

/// Blocks that code and handlers share, as a kernel's queues would.
type Table = Rc<RefCell<Vec<Block>>>;

/// Takes the block in this place, if nobody is at the table.
fn take(table: &Table, place: usize) -> Option<Block> {
    let mut blocks = table.try_borrow_mut().ok()?;
    let len = blocks.len();
    (len > 0).then(|| blocks.swap_remove(place % len))
}

fn put(table: &Table, block: Option<Block>) {
    table.borrow_mut().extend(block);
}

/// What code does while interrupts come: every kind of slow path.
fn work(heap: &Kernel, table: &Table) {
    const SIZES: [usize; 8] = [16, 24, 100, 250, 700, 1500, 3000, 20_000];
    for round in 0..2 {
        switch_to(round % 2);
        for (at, &bytes) in SIZES.iter().cycle().take(48).enumerate() {
            let block = Block::new(heap, bytes, at as u8);
            put(table, block);
        }
        if let Some(mut block) = take(table, 7) {
            block.resize(heap, 30_000);
            block.resize(heap, 10);
            put(table, Some(block));
        }
        // The other CPU frees half of what this one got.
        switch_to((round + 1) % 2);
        for at in 0..30 {
            if let Some(block) = take(table, at * 5) {
                block.free(heap);
            }
        }
        let zeroed = heap.alloc_zeroed(layout(6000));
        if !zeroed.is_null() {
            // SAFETY: the block is ours and that long.
            let bytes = unsafe { std::slice::from_raw_parts(zeroed, 6000) };
            assert!(bytes.iter().all(|&byte| byte == 0));
            // SAFETY: a live block of this layout.
            unsafe { heap.dealloc(zeroed, layout(6000)) };
        }
        heap.turn(round as u64 * 100 + 1);
        heap.trim(0);
    }
    while let Some(block) = take(table, 0) {
        block.free(heap);
    }
}

/// Blocks that the handlers of each CPU hold from one interrupt to the next.
type Held = Rc<RefCell<[Vec<Block>; 2]>>;

/// What a handler does.
fn handle(heap: &Kernel, table: &Table, held: &Held, depth: usize) {
    // Some slabs of the handlers' become full, and the next time empty.
    if depth == 1 {
        let blocks = &mut held.borrow_mut()[core()];
        if blocks.is_empty() {
            blocks.extend((0..24).map_while(|_| Block::new(heap, 1500, 0xAA)));
        } else {
            blocks.drain(..).for_each(|block| block.free(heap));
        }
    }
    for at in 0..12 {
        if let Some(block) = take(table, at * 3) {
            block.free(heap);
        }
    }
    for bytes in [40, 1000, 5000, 40] {
        let block = Block::new(heap, bytes, 0xE0 + depth as u8);
        if let Ok(mut blocks) = table.try_borrow_mut() {
            blocks.extend(block);
        } else if let Some(block) = block {
            block.free(heap);
        }
    }
    if let Some(mut block) = take(table, 1) {
        block.resize(heap, 300);
        put(table, Some(block));
    }
    // Magazines run over, and slabs of the handler's become empty.
    for bytes in [700, 16] {
        let blocks: Vec<_> = (0..40).map_while(|_| Block::new(heap, bytes, depth as u8)).collect();
        blocks.into_iter().for_each(|block| block.free(heap));
    }
}

/// Works with interrupts that come as told, and returns the steps of the work.
fn work_with_interrupts(steps_until: u64, nested: u64) -> u64 {
    let heap: &'static Kernel =
        Box::leak(Box::new(CoreHeap::over(BoardPages::new(1 << 20, 1 << 18), |_, _| false)));
    let (table, held) = (Table::default(), Held::default());
    switch_to(0);
    heap.keep_reserve(8192);
    // Memory goes back as soon as it is free.
    for dial in [Dial::DirtyFloorKib, Dial::DirtyPermille, Dial::WarmMax] {
        heap.dials().pin(dial, 0);
    }
    let (blocks, kept) = (Rc::clone(&table), Rc::clone(&held));
    set_handler(Some(Box::new(move |depth| handle(heap, &blocks, &kept, depth))));
    // Handlers of both CPUs get heaps of their own, which code has to make for them, and blocks in them.
    for core in [0, 1, 0, 1, 0, 1] {
        switch_to(core);
        // Not after the last ones: visitors shall find something with the handlers.
        heap.trim(0);
        interrupt();
        Block::new(heap, 64 + 64 * core, 1).into_iter().for_each(|block| block.free(heap));
    }
    assert!(heap.stats().threads >= 3, "handlers have heaps");
    interrupt_at(steps_until, nested);
    work(heap, &table);
    let taken = steps();
    interrupt_at(0, 0);
    set_handler(None);
    held.borrow_mut().iter_mut().flat_map(|held| held.drain(..)).for_each(|block| block.free(heap));
    for core in [0, 1, 0] {
        switch_to(core);
        heap.trim(0);
    }
    assert_nothing_is_lost(heap);
    // SAFETY: leaked above, and nobody has a block of it.
    drop(unsafe { Box::from_raw(std::ptr::from_ref(heap).cast_mut()) });
    taken
}

#[test]
fn an_interrupt_anywhere_inside_the_heap_is_served_or_refused_but_never_waits() {
    let all = work_with_interrupts(0, 0);
    assert!(all > 1000, "{all} steps: too few to be every kind of slow path");
    for at in 1..=all {
        work_with_interrupts(at, 0);
    }
}

#[test]
fn handlers_may_interrupt_handlers() {
    let all = work_with_interrupts(0, 0);
    for at in [all / 7, all / 2, all - all / 9] {
        for nested in (1..1500).step_by(3) {
            work_with_interrupts(at, nested);
        }
    }
}

#[test]
fn a_region_serves_once_and_only_if_it_is_large_enough() {
    let heap: CoreHeap<One, 1> = CoreHeap::new();
    assert!(heap.alloc(layout(10)).is_null(), "there is no memory yet");
    let start = memory(1 << 20);
    // SAFETY: the memory is this heap's alone, or refused.
    let claim = |start: *mut u8, bytes| unsafe { heap.claim(start, bytes) };
    assert_eq!(claim(std::ptr::null_mut(), 1 << 20), Err(ClaimError::Invalid));
    assert_eq!(claim(start, usize::MAX), Err(ClaimError::Invalid));
    assert_eq!(claim(start, 0), Err(ClaimError::TooSmall));
    assert_eq!(claim(start, 10_000), Err(ClaimError::TooSmall));
    let usable = claim(start, 1 << 19).expect("half a MiB is enough");
    assert!(usable >= 1 << 18, "{usable}");
    assert_eq!(claim(start, 1 << 19), Err(ClaimError::Overlaps));
    assert_eq!(claim(start.wrapping_add(1000), 5000), Err(ClaimError::Overlaps));
    assert_eq!(claim(start.wrapping_add((1 << 19) - 1), 5000), Err(ClaimError::Overlaps));
    assert_eq!(claim(start.wrapping_add(1 << 19), 100), Err(ClaimError::TooSmall));
    for at in 0..7 {
        let part = start.wrapping_add((1 << 19) + at * 10_000 + 1);
        assert!(claim(part, 9000).expect("a spare region") > 8900);
    }
    assert_eq!(claim(start.wrapping_add(1_000_000), 9000), Err(ClaimError::TooMany));
}

#[test]
fn zeroed_blocks_are_zero_whatever_the_memory_held() {
    let heap: CoreHeap<One, 1> = CoreHeap::new();
    // SAFETY: the memory is this heap's alone.
    unsafe { heap.claim(memory(1 << 20), 1 << 20) }.expect("enough");
    for _ in 0..2 {
        for bytes in [10, 1000, 8000, 20_000, 300_000] {
            let start = heap.alloc_zeroed(layout(bytes));
            assert!(!start.is_null());
            // SAFETY: the block is ours and that long.
            let block = unsafe { std::slice::from_raw_parts_mut(start, bytes) };
            assert!(block.iter().all(|&byte| byte == 0), "{bytes} bytes");
            block.fill(0xFF);
            // SAFETY: a live block of this layout.
            unsafe { heap.dealloc(start, layout(bytes)) };
        }
    }
}

#[test]
fn what_the_range_has_no_room_for_comes_from_spare_regions_and_goes_back() {
    let heap: CoreHeap<One, 1> = CoreHeap::new();
    // SAFETY: the memory is this heap's alone.
    let usable = unsafe { heap.claim(memory(1 << 19), 1 << 19) }.expect("enough");
    // SAFETY: likewise.
    let spare = unsafe { heap.claim(memory(1 << 18), 1 << 18) }.expect("enough");
    for round in 0..3 {
        let mut blocks = Vec::new();
        for at in 0.. {
            let Some(block) = Block::new(&heap, [100, 3000, 9000][at % 3], at as u8) else { break };
            blocks.push(block);
        }
        let held: usize = (0..blocks.len()).map(|at| [100, 3000, 9000][at % 3]).sum();
        assert!(held > (usable + spare) * 3 / 4, "round {round}: {held} of {usable} + {spare}");
        assert!(heap.spare_bytes().1 < 9000, "the spare region is used up");
        for block in &mut blocks {
            block.resize(&heap, 90);
        }
        blocks.into_iter().for_each(|block| block.free(&heap));
        assert_eq!(heap.spare_bytes(), (spare, spare));
    }
}

#[test]
fn a_heap_that_is_empty_asks_for_more() {
    fn more<const N: usize>(heap: &CoreHeap<One, N>, wanted: core::alloc::Layout) -> bool {
        // SAFETY: fresh memory, for this heap alone.
        unsafe { heap.claim(memory(1 << 20), 1 << 20) }.is_ok() && wanted.size() <= 1 << 20
    }
    let heap: CoreHeap<One, 1> = CoreHeap::with_oom(more);
    let blocks: Vec<_> = (0..60).map_while(|at| Block::new(&heap, 50_000, at)).collect();
    assert_eq!(blocks.len(), 60, "3 MB in regions of 1 MiB");
    assert!(
        heap.alloc(layout(5 << 20)).is_null(),
        "all regions are too small, and no more are noted"
    );
    blocks.into_iter().for_each(|block| block.free(&heap));
}

#[test]
fn a_reserve_has_all_of_the_memory_that_it_takes() {
    for (wanted, usable) in
        [(0, 0), (1, 10_240), (2048, 10_240), (12_000, 12_288), (1 << 20, 1 << 15)]
    {
        let heap: CoreHeap<One, 1> = CoreHeap::new();
        assert_eq!(heap.keep_reserve(wanted), 0, "there is no memory yet");
        // SAFETY: the memory is this heap's alone.
        unsafe { heap.claim(memory(1 << 20), 1 << 20) }.expect("enough");
        assert_eq!(heap.keep_reserve(wanted), usable, "{wanted} bytes");
        assert_eq!(heap.reserve_bytes(), (usable, 0));
        let large = heap.stats().large.bytes;
        assert!((usable..usable + 4096).contains(&large), "{large} bytes taken for {usable}");
    }
}

#[test]
fn handlers_have_the_reserve_when_the_heap_is_exhausted() {
    let heap: &'static Kernel =
        Box::leak(Box::new(CoreHeap::over(BoardPages::new(1 << 19, 0), |_, _| false)));
    switch_to(0);
    assert_eq!(heap.keep_reserve(10_000), 10_240);
    assert_eq!(heap.keep_reserve(10_000), 0, "once");
    let mut held: Vec<_> = (0..).map_while(|at| Block::new(heap, 256, at as u8)).collect();
    let handled = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&handled);
    set_handler(Some(Box::new(move |_| {
        let blocks = std::iter::from_fn(|| Block::new(heap, 256, 0xFF));
        seen.borrow_mut().extend(blocks.take(1000));
    })));
    interrupt();
    set_handler(None);
    assert_eq!(handled.borrow().len(), 40, "the reserve in blocks of 256 bytes, then nothing");
    assert_eq!(heap.reserve_bytes(), (10_240, 10_240));
    // Code may free what handlers got.
    handled.borrow_mut().drain(..).for_each(|block| block.free(heap));
    let first = held.swap_remove(0);
    let place = first.start();
    first.free(heap);
    let again = Block::new(heap, 256, 1).expect("there is room for one again");
    assert_eq!(again.start(), place);
    again.free(heap);
    held.into_iter().for_each(|block| block.free(heap));
    heap.trim(0);
    assert_nothing_is_lost(heap);
}

#[test]
fn cpus_exchange_blocks_while_interrupts_come_anywhere() {
    const THREADS: usize = 3;
    let seed = 0x5EED;
    let heap: &'static Kernel =
        Box::leak(Box::new(CoreHeap::over(BoardPages::new(4 << 20, 0), |_, _| false)));
    heap.keep_reserve(4096);
    let (to, from) = crossbeam_channel::bounded::<Block>(256);
    std::thread::scope(|scope| {
        // One CPU more than has a front.
        for core in 0..THREADS {
            let (to, from) = (to.clone(), from.clone());
            scope.spawn(move || {
                switch_to(core);
                let mut random = Random::new(seed + core as u64);
                let (into, out) = (to.clone(), from.clone());
                set_handler(Some(Box::new(move |depth| {
                    for bytes in [32, 500, 3000] {
                        if let Some(block) = Block::new(heap, bytes, depth as u8)
                            && let Err(full) = into.try_send(block)
                        {
                            full.into_inner().free(heap);
                        }
                    }
                    out.try_iter().take(4).for_each(|block| block.free(heap));
                })));
                for round in 0..20_000_u64 {
                    if round % 4 == 0 {
                        interrupt_at(random.below(60) as u64 + 1, random.below(60) as u64);
                    }
                    let bytes = [16, 40, 200, 1000, 1900, 6000][random.below(6)];
                    if let Some(block) = Block::new(heap, bytes, round as u8)
                        && let Err(full) = to.try_send(block)
                    {
                        full.into_inner().free(heap);
                    }
                    if let Ok(block) = from.try_recv() {
                        block.free(heap);
                    }
                    if round % 1000 == 0 {
                        heap.turn(round);
                    }
                }
                interrupt_at(0, 0);
                set_handler(None);
            });
        }
    });
    from.try_iter().for_each(|block| block.free(heap));
    for core in [0, 1, 2, 0] {
        switch_to(core);
        heap.trim(0);
    }
    assert_nothing_is_lost(heap);
}
