//! Interrupts whose handlers allocate and free while the code that they interrupt is inside the allocator.
//!
//! Twice: by a fast timer on all CPUs, as in life; and by single steps, which stand for an interrupt after
//! every instruction of a call at which one could come, slow paths included.

use super::pattern::{Filled, Random};
use crate::{
    apic,
    boot::CPUS,
    cpu,
    interrupts::{self, Frame, ON_STEP, ON_TIMER},
    say,
};
use ace_alloc::SpinLock;
use core::{
    mem,
    sync::atomic::{AtomicU64, Ordering},
};
use lock_api::Mutex;

const FAST_US: u32 = 40;
/// Interrupts inside the allocator that each CPU waits for.
const WANTED: u64 = 1000;
/// Exchanges that are single-stepped.
const STEPPED: usize = 400;
/// Blocks that each side holds at a time.
const HELD: usize = 24;

/// One side: a program, or the handlers that interrupt it.
struct Side {
    random: Random,
    blocks: [Option<Filled>; HELD],
}

impl Side {
    const fn new(seed: u64) -> Self {
        Self { random: Random::new(seed), blocks: [const { None }; HELD] }
    }

    /// Puts a new block in the place of an old one, and now and then gives one to the other side for one of
    /// its own: to be freed by who did not allocate it. `false`: there was no memory.
    fn exchange(&mut self, between: &Mutex<SpinLock, Option<Filled>>) -> bool {
        let (at, bytes) = (self.random.below(HELD), self.random.bytes());
        let place = &mut self.blocks[at];
        if let Some(mut parcel) = between.try_lock() {
            mem::swap(&mut *parcel, place);
        }
        match place {
            Some(block) if bytes % 4 == 0 => return block.resize(bytes),
            _ => *place = None,
        }
        *place = Filled::new(bytes, bytes as u8);
        place.is_some()
    }
}

/// What the handlers of one CPU hold and have seen.
struct Visitors {
    side: Mutex<SpinLock, Side>,
    between: Mutex<SpinLock, Option<Filled>>,
    inside: AtomicU64,
    outside: AtomicU64,
    refused: AtomicU64,
}

static VISITORS: [Visitors; CPUS] = [const { Visitors::new() }; CPUS];

impl Visitors {
    const fn new() -> Self {
        Self {
            side: Mutex::new(Side::new(7)),
            between: Mutex::new(None),
            inside: AtomicU64::new(0),
            outside: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// The body of a handler. Handlers of a CPU do not interrupt each other, so the lock is free.
    fn visit(&self) {
        let counter = if cpu::this().in_allocator() { &self.inside } else { &self.outside };
        counter.fetch_add(1, Ordering::Relaxed);
        let mut side = self.side.try_lock().expect("one handler at a time");
        if !side.exchange(&self.between) {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Frees what handlers hold; their counts: inside, outside, refused.
    fn leave(&self) -> [u64; 3] {
        self.side.lock().blocks = [const { None }; HELD];
        *self.between.lock() = None;
        [&self.inside, &self.outside, &self.refused].map(|count| count.swap(0, Ordering::Relaxed))
    }
}

fn visitors() -> &'static Visitors {
    &VISITORS[cpu::this().number()]
}

/// By a fast timer, on all CPUs.
pub fn check_timer() {
    ON_TIMER.set(|_| visitors().visit());
    cpu::on_all(|number| {
        apic::set_period_us(FAST_US);
        let mut program = Side::new(number as u64);
        while visitors().inside.load(Ordering::Relaxed) < WANTED {
            program.exchange(&visitors().between);
        }
        apic::start_timer();
    });
    ON_TIMER.clear();
    for (number, visitors) in VISITORS.iter().enumerate() {
        let [inside, outside, refused] = visitors.leave();
        say!(
            "   CPU {number}: {inside} inside the allocator, {outside} outside; {refused} refused"
        );
        assert!(inside >= WANTED);
    }
}

/// By single steps, on this CPU.
pub fn check_steps() {
    ON_STEP.set(step);
    let mut program = Side::new(3);
    for _ in 0..STEPPED {
        interrupts::single_stepped(|| program.exchange(&visitors().between));
    }
    ON_STEP.clear();
    drop(program);
    let [inside, _, refused] = visitors().leave();
    say!("   {inside} instructions of {STEPPED} exchanges; {refused} refused");
    assert!(inside > 0);
}

fn step(frame: &Frame) {
    if frame.is_interruptible() && cpu::this().in_allocator() {
        visitors().visit();
    }
}
