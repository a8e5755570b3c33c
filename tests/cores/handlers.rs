//! What handlers do in the rare moments: they interrupt who is at their own heap, or hold the lock when a slab goes.

use crate::{
    assert_nothing_is_lost,
    blocks::Block,
    board::{
        BoardLock, BoardPages, CORES, Cpu, Kernel, interrupt, interrupt_at, set_handler, steps,
        switch_to,
    },
};
use ace_alloc::{
    CoreHeap, Dial, SizeClass, cores::Cores, geometry::Small, pool::Shared, route::Entry,
};
use std::{cell::RefCell, mem, rc::Rc};

/// Of this size a magazine holds four blocks, and a slab has sixteen.
const BYTES: usize = 1000;
const OF_A_SLAB: usize = 16;

/// What a handler does next, and the blocks that it, and code, hold.
#[derive(Default)]
struct Hands {
    /// Whether it takes what it will free; then it frees it once.
    takes: bool,
    for_code: Vec<Block>,
    own: Vec<Block>,
    of_code: Vec<Block>,
    small: Vec<Block>,
}

impl Hands {
    fn handle(&mut self, heap: &Kernel) {
        if mem::take(&mut self.takes) {
            let take = |count| (0..count).map_while(|at| Block::new(heap, BYTES, at as u8));
            self.for_code.extend(take(2 * OF_A_SLAB));
            self.own.extend(take(2 * OF_A_SLAB));
            // The magazine behind the one that will run over.
            self.small.extend(Block::new(heap, 16, 0x55));
            return;
        }
        if self.own.is_empty() {
            return Block::new(heap, BYTES, 0).into_iter().for_each(|block| block.free(heap));
        }
        self.own.drain(..).chain(self.of_code.drain(..)).for_each(|block| block.free(heap));
        self.small.extend((0..20).map_while(|at| Block::new(heap, 16, at)));
        self.small.extend((0..20).map_while(|at| Block::new(heap, BYTES, at)));
        self.small.drain(..).for_each(|block| block.free(heap));
    }
}

/// Code visits the handlers' heap, where an interrupt comes at that step. Returns the steps of the visit, and how many
/// blocks had to go home one by one.
fn visited_and_interrupted(at: u64) -> (u64, u64) {
    let heap: &'static Kernel =
        Box::leak(Box::new(CoreHeap::over(BoardPages::new(1 << 20, 0), |_, _| false)));
    switch_to(0);
    // What gets empty goes to the pool at once, and from there to the provider.
    for dial in [Dial::DirtyFloorKib, Dial::DirtyPermille, Dial::WarmMax] {
        heap.dials().pin(dial, 0);
    }
    let hands = Rc::new(RefCell::new(Hands::default()));
    let of_handler = Rc::clone(&hands);
    set_handler(Some(Box::new(move |_| of_handler.borrow_mut().handle(heap))));
    // Memory, which handlers can't ask for, and the heap that this one wants, which code makes.
    Block::new(heap, 300 << 10, 0).into_iter().for_each(|block| block.free(heap));
    for _ in 0..2 {
        interrupt();
        heap.trim(0);
    }
    hands.borrow_mut().takes = true;
    interrupt();
    let mut blocks = mem::take(&mut hands.borrow_mut().for_code);
    assert!(blocks.len() >= 2 * OF_A_SLAB, "the handler has a heap");
    hands.borrow_mut().of_code.extend((0..20).map_while(|at| Block::new(heap, BYTES, at)));
    blocks.drain(..).for_each(|block| block.free(heap));
    let strays = heap.stats().events.strays;
    interrupt_at(at, 0);
    heap.trim(0);
    let taken = steps();
    interrupt_at(0, 0);
    let strays = heap.stats().events.strays - strays;
    interrupt();
    set_handler(None);
    assert!(hands.borrow().own.is_empty());
    for _ in 0..2 {
        heap.trim(0);
        switch_to(1);
        heap.trim(0);
        switch_to(0);
    }
    assert_nothing_is_lost(heap);
    // SAFETY: leaked above, and nobody has a block of it.
    drop(unsafe { Box::from_raw(std::ptr::from_ref(heap).cast_mut()) });
    (taken, strays)
}

#[test]
fn a_handler_whose_heap_is_being_visited_frees_more_than_its_magazine_holds() {
    let (all, none) = visited_and_interrupted(0);
    assert_eq!(none, 0);
    let strays = (1..=all).map(|at| visited_and_interrupted(at).1).max();
    assert!(
        strays >= Some(2 * OF_A_SLAB as u64 - 4),
        "{strays:?} of {all} steps: no visit was met"
    );
}

#[test]
fn a_handler_that_empties_a_slab_leaves_what_is_the_providers_work_to_others() {
    type Platform = Cores<Cpu, CORES, Small, BoardLock, BoardPages>;
    let shared: &'static Shared<Platform> =
        Box::leak(Box::new(Shared::new(BoardPages::new(1 << 20, 0))));
    switch_to(0);
    // The slab is not wanted, nor its memory, and its superslab has huge pages.
    for dial in [Dial::DirtyFloorKib, Dial::DirtyPermille, Dial::WarmMax] {
        shared.dials.set(dial, 0);
    }
    shared.dials.set(Dial::PromotePermille, 1);
    let class = SizeClass::tiny(BYTES);
    let mut pool = shared.lock().expect("there are pages");
    let slab = pool.adopt(class, Entry::FIRST_HEAP).expect("there is memory");
    assert_eq!(pool.promote(1), 1);
    drop(pool);
    set_handler(Some(Box::new(move |_| {
        shared.lock().expect("nobody has the lock").publish(&slab);
    })));
    interrupt();
    set_handler(None);
    let mut pool = shared.lock().expect("there are pages");
    assert_eq!(pool.warm_slabs(class), (1, 1));
    assert!(pool.spans.dirty_units() > 0);
    pool.cool();
    pool.settle();
    assert_eq!((pool.supers.counts().promoted, pool.spans.dirty_units()), (0, 0));
}
