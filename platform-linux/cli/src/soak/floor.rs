//! What the soak's threads share: the bound of live bytes, the phase, the shelf on which blocks change
//! hands, the counts and the findings. Floor: tool.

use super::{
    block::Block,
    message::{Message, Progress, say},
    mix::Mix,
};
use fastrand::Rng;
use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed},
};

const SHELF_SLOTS: usize = 64;
/// Findings that are told. After the first the soak ends, and what comes then is mostly its echo.
const MOST_FINDINGS: u32 = 20;

/// See the module's documentation.
pub struct Floor {
    /// Most bytes that may live.
    memory: usize,
    live: AtomicUsize,
    /// Live bytes that the phase wants.
    target: AtomicUsize,
    mix: AtomicU8,
    idle: AtomicBool,
    done: AtomicBool,
    shelf: Vec<Mutex<Vec<Block>>>,
    findings: AtomicU32,
    operations: AtomicU64,
    verified: AtomicU64,
    threads: AtomicU64,
    forks: AtomicU64,
    seed: u64,
}

impl Floor {
    pub fn new(memory: usize, seed: u64) -> Self {
        Self {
            memory,
            live: AtomicUsize::new(0),
            target: AtomicUsize::new(0),
            mix: AtomicU8::new(Mix::Real as u8),
            idle: AtomicBool::new(false),
            done: AtomicBool::new(false),
            shelf: (0..SHELF_SLOTS).map(|_| Mutex::default()).collect(),
            findings: AtomicU32::new(0),
            operations: AtomicU64::new(0),
            verified: AtomicU64::new(0),
            threads: AtomicU64::new(0),
            forks: AtomicU64::new(0),
            seed,
        }
    }

    /// The numbers of the soak's `thread`-th thread.
    pub fn random(&self, thread: u64) -> Rng {
        // fastrand's next seed is the last one plus a constant, so mere neighbours would overlap.
        Rng::with_seed(Rng::with_seed(self.seed ^ thread.rotate_left(32)).u64(..))
    }

    /// Begins a phase that wants `percent` of the bound to live.
    pub fn begin_phase(&self, mix: Mix, percent: usize, idle: bool) {
        self.mix.store(mix as u8, Relaxed);
        self.target.store(self.memory / 100 * percent, Relaxed);
        self.idle.store(idle, Relaxed);
    }

    pub fn mix(&self) -> Mix {
        Mix::ALL[usize::from(self.mix.load(Relaxed))]
    }

    pub fn wants_more(&self) -> bool {
        self.live.load(Relaxed) < self.target.load(Relaxed)
    }

    /// Whether far more lives than the phase wants.
    pub fn wants_much_less(&self) -> bool {
        self.live.load(Relaxed) > self.target.load(Relaxed) + self.memory / 20
    }

    pub fn is_idle(&self) -> bool {
        self.idle.load(Relaxed)
    }

    pub fn end(&self) {
        self.done.store(true, Relaxed);
    }

    pub fn is_done(&self) -> bool {
        self.done.load(Relaxed)
    }

    /// Sets bytes aside for a block. `false`: they would be more than may live.
    pub fn admit(&self, bytes: usize) -> bool {
        let fits = self.live.fetch_add(bytes, Relaxed) + bytes <= self.memory;
        if !fits {
            self.dismiss(bytes);
        }
        fits
    }

    /// A block turned out to be longer than was asked.
    pub fn admit_anyway(&self, bytes: usize) {
        self.live.fetch_add(bytes, Relaxed);
    }

    /// The opposite of `admit`.
    pub fn dismiss(&self, bytes: usize) {
        self.live.fetch_sub(bytes, Relaxed);
    }

    /// A place of the shelf.
    pub fn slot(&self, random: &mut Rng) -> MutexGuard<'_, Vec<Block>> {
        let slot = &self.shelf[random.usize(..SHELF_SLOTS)];
        slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that is on the shelf.
    pub fn clear_shelf(&self) -> Vec<Block> {
        let take = |slot: &Mutex<Vec<Block>>| {
            std::mem::take(&mut *slot.lock().unwrap_or_else(PoisonError::into_inner))
        };
        self.shelf.iter().flat_map(take).collect()
    }

    /// Tells of a broken promise, and ends the soak.
    #[cold]
    pub fn find(&self, what: String) {
        if self.findings.fetch_add(1, Relaxed) < MOST_FINDINGS {
            say(&Message::Finding(what));
        }
        self.end();
    }

    pub fn count(&self, operations: u64, verified: u64) {
        self.operations.fetch_add(operations, Relaxed);
        self.verified.fetch_add(verified, Relaxed);
    }

    /// Counts a thread; its number.
    pub fn count_thread(&self) -> u64 {
        self.threads.fetch_add(1, Relaxed)
    }

    pub fn count_fork(&self) {
        self.forks.fetch_add(1, Relaxed);
    }

    pub fn progress(&self, resident_bytes: u64) -> Progress {
        Progress {
            operations: self.operations.load(Relaxed),
            verified: self.verified.load(Relaxed),
            live_bytes: self.live.load(Relaxed) as u64,
            resident_bytes,
            threads: self.threads.load(Relaxed),
            forks: self.forks.load(Relaxed),
        }
    }
}
