//! What handlers do in the rare moments: they interrupt who is at their own heap, or hold the lock when a slab goes.

use crate::{
    blocks::Block,
    board::{
        Board, BoardLock, BoardPages, CORES, Cpu, Kernel, interrupt, interrupt_at,
        over_each_geometry, set_handler, steps, switch_to,
    },
    interrupts::assert_nothing_is_lost,
};
use ace_alloc::{
    CoreHeap, Dial, SizeClass,
    cores::Cores,
    geometry::{Placement, shape_of},
    pool::Shared,
    route::Entry,
};
use std::{cell::RefCell, mem, ops::Range, rc::Rc};

over_each_geometry! {
    a_handler_whose_heap_is_being_visited_frees_more_than_its_magazine_holds
    a_handler_that_empties_a_slab_leaves_what_is_the_providers_work_to_others
}

const BYTES: usize = 1000;

/// Blocks of [`BYTES`] that a magazine holds.
fn of_a_magazine<G: Board>() -> usize {
    shape_of::<G>(SizeClass::tiny(BYTES)).magazine.into()
}

/// More of them than a magazine holds, and of more than one slab.
fn many<G: Board>() -> usize {
    let of_a_slab: usize = shape_of::<G>(SizeClass::tiny(BYTES)).capacity.into();
    2 * of_a_slab.max(of_a_magazine::<G>())
}

/// More than any magazine holds.
fn some<G: Board>() -> Range<u8> {
    0..G::MAGAZINE_SLOTS as u8 + 4
}

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
    fn handle<G: Board>(&mut self, heap: &Kernel<G>) {
        if mem::take(&mut self.takes) {
            let take = |count| (0..count).map_while(|at| Block::new(heap, BYTES, at as u8));
            self.for_code.extend(take(many::<G>()));
            self.own.extend(take(many::<G>()));
            // The magazine behind the one that will run over.
            self.small.extend(Block::new(heap, 16, 0x55));
            return;
        }
        if self.own.is_empty() {
            return Block::new(heap, BYTES, 0).into_iter().for_each(|block| block.free(heap));
        }
        self.own.drain(..).chain(self.of_code.drain(..)).for_each(|block| block.free(heap));
        for bytes in [16, BYTES] {
            self.small.extend(some::<G>().map_while(|at| Block::new(heap, bytes, at)));
        }
        self.small.drain(..).for_each(|block| block.free(heap));
    }
}

/// Code visits the handlers' heap, where an interrupt comes at that step. Returns the steps of the visit, and how many
/// blocks had to go home one by one.
fn visited_and_interrupted<G: Board>(at: u64) -> (u64, u64) {
    let heap: &'static Kernel<G> =
        Box::leak(Box::new(CoreHeap::over(BoardPages::new(G::BYTES, 0), |_, _| false)));
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
    assert_eq!(blocks.len(), many::<G>(), "the handler has a heap");
    hands.borrow_mut().of_code.extend(some::<G>().map_while(|at| Block::new(heap, BYTES, at)));
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

fn a_handler_whose_heap_is_being_visited_frees_more_than_its_magazine_holds<G: Board>() {
    let (all, none) = visited_and_interrupted::<G>(0);
    assert_eq!(none, 0);
    let strays = (1..=all).map(|at| visited_and_interrupted::<G>(at).1).max();
    let over = many::<G>() - of_a_magazine::<G>();
    assert!(strays >= Some(over as u64), "{strays:?} of {all} steps: no visit was met");
}

fn a_handler_that_empties_a_slab_leaves_what_is_the_providers_work_to_others<G: Board>() {
    type Platform<G> = Cores<Cpu, CORES, G, BoardLock, BoardPages>;
    let shared: &'static Shared<Platform<G>> =
        Box::leak(Box::new(Shared::new(BoardPages::new(G::BYTES, 0))));
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
    // A prefix in the slab's tail goes with a purge: such a slab is dirty only when it is given up.
    assert_eq!(pool.spans.dirty_units() > 0, G::PREFIX == Placement::Table);
    pool.cool();
    pool.settle();
    assert_eq!(pool.warm_slabs(class), (0, 0));
    assert_eq!((pool.supers.counts().promoted, pool.spans.dirty_units()), (0, 0));
}
