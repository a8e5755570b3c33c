//! Interrupts that come anywhere: at each step of what code and handlers do, and on CPUs that exchange blocks.

use crate::{
    blocks::{Block, layout},
    board::{
        Board, BoardPages, Kernel, core, interrupt, interrupt_at, over_each_geometry, set_handler,
        steps, switch_to,
    },
};
use ace_alloc::{CoreHeap, Dial, SizeClass, geometry::shape_of, stats::ClassStats};
use ace_alloc_tests::random::Random;
use std::{cell::RefCell, rc::Rc};

over_each_geometry! {
    an_interrupt_anywhere_inside_the_heap_is_served_or_refused_but_never_waits
    handlers_may_interrupt_handlers
    handlers_have_the_reserve_when_the_heap_is_exhausted
    cpus_exchange_blocks_while_interrupts_come_anywhere
}

/// Nobody has a block of the heap, but for the one that the reserve is.
pub fn assert_nothing_is_lost<G: Board>(heap: &Kernel<G>) {
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
fn work<G: Board>(heap: &Kernel<G>, table: &Table) {
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
fn handle<G: Board>(heap: &Kernel<G>, table: &Table, held: &Held, depth: usize) {
    // Some slabs of the handlers' become full, and the next time empty.
    if depth == 1 {
        let blocks = &mut held.borrow_mut()[core()];
        if blocks.is_empty() {
            let bytes = G::CLASS_MAX.min(1500);
            let class = SizeClass::aligned(bytes, 16).expect("a class");
            let count = usize::from(shape_of::<G>(class).capacity) * 2 + 4;
            blocks.extend((0..count).map_while(|_| Block::new(heap, bytes, 0xAA)));
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
        let count = G::MAGAZINE_SLOTS * 2 + 8;
        let blocks: Vec<_> =
            (0..count).map_while(|_| Block::new(heap, bytes, depth as u8)).collect();
        blocks.into_iter().for_each(|block| block.free(heap));
    }
}

/// Works with interrupts that come as told, and returns the steps of the work.
fn work_with_interrupts<G: Board>(steps_until: u64, nested: u64) -> u64 {
    let heap: &'static Kernel<G> =
        Box::leak(Box::new(CoreHeap::over(BoardPages::new(G::BYTES, 1 << 18), |_, _| false)));
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

fn an_interrupt_anywhere_inside_the_heap_is_served_or_refused_but_never_waits<G: Board>() {
    let all = work_with_interrupts::<G>(0, 0);
    assert!(all > 1000, "{all} steps: too few to be every kind of slow path");
    for at in 1..=all {
        work_with_interrupts::<G>(at, 0);
    }
}

fn handlers_may_interrupt_handlers<G: Board>() {
    let all = work_with_interrupts::<G>(0, 0);
    for at in [all / 7, all / 2, all - all / 9] {
        for nested in (1..1500).step_by(3) {
            work_with_interrupts::<G>(at, nested);
        }
    }
}

fn handlers_have_the_reserve_when_the_heap_is_exhausted<G: Board>() {
    let heap: &'static Kernel<G> =
        Box::leak(Box::new(CoreHeap::over(BoardPages::new(G::BYTES, 0), |_, _| false)));
    switch_to(0);
    // In whole words of 2 KiB, and beyond all classes.
    let reserve = (G::CLASS_MAX + 1).max(10_000).next_multiple_of(2048);
    assert_eq!(heap.keep_reserve(10_000), reserve);
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
    assert_eq!(handled.borrow().len(), reserve / 256, "the reserve, then nothing");
    assert_eq!(heap.reserve_bytes(), (reserve, reserve));
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

fn cpus_exchange_blocks_while_interrupts_come_anywhere<G: Board>() {
    const THREADS: usize = 3;
    let seed = 0x5EED;
    let heap: &'static Kernel<G> =
        Box::leak(Box::new(CoreHeap::over(BoardPages::new(4 * G::BYTES, 0), |_, _| false)));
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
