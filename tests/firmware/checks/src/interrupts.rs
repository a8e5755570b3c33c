//! An interrupt that allocates while the code that it interrupts allocates.
//! Floor: the global allocator, the board's timer and critical section.

use crate::SEED;
use crate::random::Random;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::fmt;
use critical_section::{Mutex, with};

/// A timer that interrupts.
#[derive(Clone, Copy, Debug)]
pub struct Timer {
    /// The first interrupt comes soon.
    pub start: fn(),
    /// No further one comes.
    pub stop: fn(),
    /// How often the interrupt had to wait for the end of a critical section.
    pub caught: fn() -> u32,
}

/// The check ends when so many interrupts had to wait for the allocator: while it runs, nobody else has
/// critical sections that the interrupt could wait for.
const CAUGHT: u32 = 300;
/// And fails when they don't come.
const MOST_STEPS: u32 = 5_000_000;

/// What the interrupt holds.
struct Held {
    blocks: [Vec<u8>; 4],
    random: Random,
    ticks: u32,
    refused: u32,
}

static HELD: Mutex<RefCell<Held>> = Mutex::new(RefCell::new(Held {
    blocks: [const { Vec::new() }; 4],
    random: Random::new(SEED),
    ticks: 0,
    refused: 0,
}));

/// What the interrupts did.
#[derive(Clone, Copy, Debug)]
pub struct Ticks {
    ticks: u32,
    refused: u32,
    caught: u32,
    steps: u32,
}

impl fmt::Display for Ticks {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ticks, refused, caught, steps } = self;
        write!(out, "{ticks} interrupts in {steps} steps, {caught} waited, {refused} refused")
    }
}

/// What the timer's interrupt calls. Answers when the next one shall come: a small number that varies, so
/// that it falls on every instruction of the allocator.
pub fn tick() -> u32 {
    with(|section| {
        let mut held = HELD.borrow_ref_mut(section);
        let Held { blocks, random, ticks, refused } = &mut *held;
        *ticks += 1;
        let slot = random.below(blocks.len());
        let mark = slot as u8;
        assert!(blocks[slot].iter().all(|byte| *byte == mark), "what an interrupt has put there");
        let mut block = Vec::new();
        let length = 1 + random.below(100);
        match block.try_reserve_exact(length) {
            Ok(()) => block.resize(length, mark),
            Err(_) => *refused += 1,
        }
        blocks[slot] = block;
        random.below(64) as u32
    })
}

/// Allocates until enough interrupts have come in the middle of it.
pub fn may_allocate(timer: &Timer, heap: usize) -> Ticks {
    let mut random = Random::new(SEED + 1);
    let mut blocks: [Vec<u8>; 8] = [const { Vec::new() }; 8];
    let mut steps = 0;
    let before = (timer.caught)();
    (timer.start)();
    while (timer.caught)() - before < CAUGHT {
        steps += 1;
        assert!(steps < MOST_STEPS, "interrupts come");
        let slot = random.below(blocks.len());
        let mark = 0x80 | slot as u8;
        let length = 1 + random.below(heap / 64);
        let block = &mut blocks[slot];
        assert!(block.iter().all(|byte| *byte == mark), "what was interrupted keeps its blocks");
        if random.below(4) == 0 {
            *block = Vec::new();
        }
        block.resize(length, mark);
        block.shrink_to_fit();
    }
    (timer.stop)();
    with(|section| {
        let mut held = HELD.borrow_ref_mut(section);
        for block in &mut held.blocks {
            *block = Vec::new();
        }
        assert!(held.ticks >= CAUGHT);
        assert!(held.refused < held.ticks / 2, "an interrupt gets memory");
        Ticks { ticks: held.ticks, refused: held.refused, caught: (timer.caught)() - before, steps }
    })
}
