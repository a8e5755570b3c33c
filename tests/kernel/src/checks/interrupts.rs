//! Interrupts whose handlers allocate and free while the code that they interrupt is inside the allocator.
//!
//! Twice: by a fast timer on all CPUs, as in life; and by single steps, which stand for an interrupt after
//! every instruction of a call at which one could come, slow paths included.

use super::pattern::{Filled, Random};
use crate::{
    TICK_US,
    boot::CPUS,
    cpu,
    heap::HEAP,
    interrupts::{self, ON_STEP, ON_TIMER},
    say, work,
};
use ace_alloc::SpinLock;
use core::{
    mem,
    sync::atomic::{AtomicU64, Ordering},
};
use lock_api::Mutex;

/// Period of a fast timer.
pub const FAST_US: u32 = 40;
/// Interrupts inside the allocator that each CPU waits for.
const WANTED: u64 = 1000;
/// Of them, while it holds its lock.
const WANTED_LOCKED: u64 = 50;
/// Exchanges that are single-stepped.
const STEPPED: usize = 200;
/// Turns of ACE that are.
const STEPPED_TURNS: usize = 4;
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
    /// Visits to a program outside the allocator.
    outside: AtomicU64,
    /// Visits to one inside.
    inside: AtomicU64,
    /// Of those, while it held a lock of the heap.
    locked: AtomicU64,
    /// Visits that got no memory.
    refused: AtomicU64,
}

static VISITORS: [Visitors; CPUS] = [const { Visitors::new() }; CPUS];

impl Visitors {
    const fn new() -> Self {
        Self {
            side: Mutex::new(Side::new(7)),
            between: Mutex::new(None),
            outside: AtomicU64::new(0),
            inside: AtomicU64::new(0),
            locked: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// The body of a handler. Handlers of a CPU do not interrupt each other, so the lock is free.
    fn visit(&self) {
        let cpu = cpu::this();
        let count = |number: &AtomicU64| number.fetch_add(1, Ordering::Relaxed);
        count(if cpu.in_allocator() { &self.inside } else { &self.outside });
        if cpu.holds_lock() {
            count(&self.locked);
        }
        let mut side = self.side.try_lock().expect("one handler at a time");
        if !side.exchange(&self.between) {
            count(&self.refused);
        }
    }

    /// Whether the interesting moments were met often enough.
    fn is_content(&self) -> bool {
        self.inside.load(Ordering::Relaxed) >= WANTED
            && self.locked.load(Ordering::Relaxed) >= WANTED_LOCKED
    }

    /// Says what was seen and frees what the handlers hold.
    fn leave(&self, what: &str) {
        let [outside, inside, locked, refused] =
            [&self.outside, &self.inside, &self.locked, &self.refused]
                .map(|number| number.swap(0, Ordering::Relaxed));
        let all = outside + inside;
        say!(
            "   {what}: {all} visits, {inside} inside the allocator, {locked} under its lock; {refused} refused"
        );
        assert!(refused < all, "handlers do get memory");
        self.side.lock().blocks = [const { None }; HELD];
        *self.between.lock() = None;
    }
}

fn visitors() -> &'static Visitors {
    &VISITORS[cpu::this().number()]
}

/// By a fast timer, on all CPUs.
pub fn check_timer() {
    ON_TIMER.set(|_| visitors().visit());
    work::on_all(|number| {
        cpu::this().set_period_us(FAST_US);
        let mut program = Side::new(number as u64);
        while !visitors().is_content() {
            program.exchange(&visitors().between);
        }
        cpu::this().set_period_us(TICK_US);
    });
    ON_TIMER.clear();
    VISITORS.iter().for_each(|visitors| visitors.leave("timer"));
}

/// By single steps, on this CPU: of a program, and of a handler that has interrupted nobody's call.
pub fn check_steps() {
    static LAST: AtomicU64 = AtomicU64::new(0);
    ON_STEP.set(|frame| {
        // An instruction that repeats itself, as `memset` does, is visited once.
        let is_new = LAST.swap(frame.instruction, Ordering::Relaxed) != frame.instruction;
        if is_new && frame.is_interruptible() && cpu::this().in_allocator() {
            visitors().visit();
        }
    });
    let mut side = Side::new(3);
    // How often the lock is to be had depends on what the other CPU does meanwhile.
    let mut step_until_content = |step: fn(&mut dyn FnMut())| {
        let mut steps = 0;
        while steps < STEPPED || !visitors().is_content() {
            step(&mut || _ = interrupts::single_stepped(|| side.exchange(&visitors().between)));
            steps += 1;
        }
    };
    step_until_content(|step| step());
    visitors().leave("steps of a program");
    // Some turns find that the other CPU is at one.
    for _ in 0..STEPPED_TURNS {
        interrupts::single_stepped(|| cpu::this().allocating(|| HEAP.turn(cpu::now_ms())));
    }
    visitors().leave("steps of turns");
    step_until_content(|step| cpu::this().interrupted(step));
    visitors().leave("steps of a handler");
    ON_STEP.clear();
}
