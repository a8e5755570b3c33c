//! Where ACE sits in a heap: its state, who may take a turn, and how often. Floor: garden.
//!
//! Invariant: the state is touched only by who is inside the turnstile.

use crate::{
    ace::{Ace, Mode, Orders, Seen},
    meter::COUNTERS,
    protocol::turnstile::Turnstile,
    sync::{AtomicU32, Ordering, RelaxedU8, RelaxedU32, RelaxedU64},
};
use core::cell::UnsafeCell;

/// Milliseconds between turns that slow paths take.
const TURN_MS: u64 = 20;
/// The next turn is never due later than this.
const LATEST_MS: u64 = 2 * TURN_MS;
/// Slow events of a thread between two looks at the clock: bounds, and where it begins.
const PACE: core::ops::RangeInclusive<u32> = 32..=1024;
const FIRST_PACE: u32 = 128;
/// Looks at the clock between two turns that are enough.
const LOOKS: u32 = 16;

/// What a turn works with.
#[derive(Debug)]
pub struct State {
    /// The policies.
    pub ace: Ace,
    /// What this turn sees.
    pub seen: Seen,
    /// What it wants.
    pub orders: Orders,
    /// Counts of the pool that earlier turns have seen.
    pub pool_told: [u64; COUNTERS],
}

impl State {
    const fn new() -> Self {
        Self { ace: Ace::new(), seen: Seen::new(), orders: Orders::new(), pool_told: [0; COUNTERS] }
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Seat {
    mode: RelaxedU8,
    door: Turnstile,
    state: UnsafeCell<State>,
    next_ms: RelaxedU64,
    pace: RelaxedU32,
    looks: AtomicU32,
    urgent: RelaxedU8,
    trims: AtomicU32,
    attended: RelaxedU8,
}

// SAFETY: the state is touched only inside the turnstile.
unsafe impl Sync for Seat {}

impl Seat {
    /// A heap that nobody tunes yet begins in this mode.
    pub const FIRST_MODE: Mode = Mode::Tune;

    /// Nothing seen yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            mode: RelaxedU8::new(Self::FIRST_MODE as u8),
            door: Turnstile::of(AtomicU32::new(0)),
            state: UnsafeCell::new(State::new()),
            next_ms: RelaxedU64::new(0),
            pace: RelaxedU32::new(FIRST_PACE),
            looks: AtomicU32::new(0),
            urgent: RelaxedU8::new(0),
            trims: AtomicU32::new(0),
            attended: RelaxedU8::new(0),
        }
    }

    /// How much ACE does.
    pub fn mode(&self) -> Mode {
        match self.mode.get() {
            0 => Mode::Off,
            1 => Mode::Observe,
            _ => Mode::Tune,
        }
    }

    /// Sets how much ACE does.
    pub fn set_mode(&self, mode: Mode) {
        self.mode.set(mode as u8);
    }

    /// Slow events that a thread lets pass before it looks at the clock again.
    pub fn pace(&self) -> u32 {
        if self.mode() == Mode::Off { *PACE.end() } else { self.pace.get() }
    }

    /// Something happened that a turn should see at once.
    pub fn hurry(&self) {
        self.urgent.set(1);
    }

    /// Whether a turn is due.
    pub fn is_due(&self, now_ms: u64) -> bool {
        // Relaxed: a count.
        self.looks.fetch_add(1, Ordering::Relaxed);
        let next = self.next_ms.get();
        // A clock that went back must not keep turns away until it is where it was.
        self.urgent.get() != 0 || now_ms >= next || now_ms < next.saturating_sub(LATEST_MS)
    }

    /// Whether freed memory may wait for the next turn: somebody takes it soon, and its orders are
    /// carried out.
    pub fn is_attended(&self) -> bool {
        self.attended.get() != 0 && self.mode() == Mode::Tune
    }

    /// Sets whether somebody takes turns whatever the threads do.
    pub fn set_attended(&self, attended: bool) {
        self.attended.set(attended.into());
    }

    /// How often caches of unused classes were asked to be emptied.
    pub fn trims(&self) -> u32 {
        self.trims.load(Ordering::Relaxed)
    }

    /// Asks every thread to empty the caches of classes that it does not use.
    pub fn ask_for_trim(&self) {
        // Relaxed: a request, which threads see at some later look.
        self.trims.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes a turn unless somebody else is at it.
    pub fn turn(&self, work: impl FnOnce(&mut State) -> usize) -> usize {
        if !self.door.try_enter() {
            return 0;
        }
        self.urgent.set(0);
        // SAFETY: inside the turnstile.
        let state = unsafe { &mut *self.state.get() };
        let done = work(state);
        self.next_ms.set(state.seen.now_ms.saturating_add(TURN_MS));
        self.adapt();
        self.door.leave();
        done
    }

    /// The clock is asked a few times between two turns, however busy the threads are.
    fn adapt(&self) {
        let looks = self.looks.swap(0, Ordering::Relaxed);
        let pace = self.pace.get();
        let pace = match looks {
            0..=2 => pace / 2,
            looks if looks > LOOKS => pace * 2,
            _ => pace,
        };
        self.pace.set(pace.clamp(*PACE.start(), *PACE.end()));
    }

    /// In the child of a fork: a turn that another thread was taking is not taken to its end. What
    /// it had learned is forgotten then, because it may be half written; what the pool's lock
    /// guards is whole. Nobody attends the child's heap.
    ///
    /// # Safety
    /// There is one thread.
    pub unsafe fn restart(&self) {
        self.attended.set(0);
        if !self.door.try_enter() {
            // SAFETY: nobody else is there, inside or outside.
            let state = unsafe { &mut *self.state.get() };
            state.ace = Ace::new();
            state.orders.clear();
        }
        self.door.leave();
    }
}

impl Default for Seat {
    fn default() -> Self {
        Self::new()
    }
}
