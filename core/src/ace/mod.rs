//! ACE: the loop that tunes the heap. Observe, decide, apply. Floor: garden.
//!
//! Pure: a turn sees numbers ([`Seen`]) and answers with [`Order`]s; it touches no memory, asks no
//! clock and knows no lock. `heap/turn.rs` gathers what is seen and carries the orders out, or only
//! reports them.
//!
//! | file | decides |
//! |---|---|
//! | `cap` | how many blocks the magazines of each class hold |
//! | `refill` | how many blocks a refill brings |
//! | `trim` | when caches of idle classes and sleeping threads are emptied |
//! | `tiering` | when a superslab stops serving |
//! | `purge` | how much free memory stays resident |
//! | `outbox` | how many blocks travel together |
//! | `warm` | how many empty slabs are kept ready |
//! | `promote` | which superslabs get huge pages |
//! | `larder` | how much a heap over regions keeps for the next request of the same size |
//! | `hold` | nothing: the smallest policy, to copy from |
//! | `learner` | which profile the others start from |
//! | `trial` | whether an order was worth it; if not, it is taken back |
//!
//! `supervisor` asks the last two, by `phase`, which says when the program began to do something
//! else, and `objective`, which says what a stretch of time cost.
//!
//! Laws (`tests/ace_laws.rs`): orders are in bounds; on a steady workload they cease; what made
//! things worse is taken back; every order has a reason.

mod cap;
mod hold;
mod home;
mod larder;
mod learner;
pub mod objective;
mod order;
mod outbox;
pub mod phase;
mod profile;
mod promote;
mod purge;
mod refill;
#[cfg(test)]
mod scene;
mod seen;
mod supervisor;
mod tiering;
mod trial;
mod trim;
mod warm;

pub use cap::Cap;
pub use hold::Hold;
pub use larder::{Larder, Ration, Stock};
pub use learner::Learner;
pub use order::{Act, Order, Orders, Reason};
pub use outbox::Outbox;
pub use profile::Profile;
pub use promote::Promote;
pub use purge::Purge;
pub use refill::Refill;
pub use seen::{ClassSeen, Levels, Seen};
pub use supervisor::Supervisor;
pub use tiering::Tiering;
pub use trim::Trim;
pub use warm::Warm;

use crate::dials::Dials;

/// How much ACE does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Mode {
    /// Nothing: no turn is taken, and every dial stays where the host put it.
    Off = 0,
    /// Turns are taken and reported; no order is carried out.
    Observe = 1,
    /// Orders are carried out.
    Tune = 2,
}

impl Mode {
    /// All of them, by number.
    pub const ALL: [Self; 3] = [Self::Off, Self::Observe, Self::Tune];

    /// What it is called in options and traces.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Observe => "observe",
            Self::Tune => "tune",
        }
    }
}

/// What a turn saw and wanted: for traces.
#[derive(Debug)]
pub struct Turn<'a> {
    /// What it saw.
    pub seen: &'a Seen,
    /// The dials as they stood when it decided.
    pub dials: &'a Dials,
    /// What it wants.
    pub orders: &'a [Order],
    /// Whether that is carried out now (mode `tune`) or only reported.
    pub applied: bool,
}

/// A rule that answers what is seen with orders. Pure: the same numbers in the same order give the
/// same orders, so that a trace can be replayed.
pub trait Policy {
    /// Looks at one turn. `dials` are as they stand; orders that would change nothing are left out.
    fn decide(&mut self, seen: &Seen, dials: &Dials, orders: &mut Orders);
}

/// The policies whose orders are judged by what comes of them.
#[derive(Debug)]
struct Tuning {
    refill: Refill,
    warm: Warm,
    tiering: Tiering,
    promote: Promote,
    outbox: Outbox,
    cap: Cap,
}

impl Policy for Tuning {
    fn decide(&mut self, seen: &Seen, dials: &Dials, orders: &mut Orders) {
        if seen.denied == 0 {
            self.refill.decide(seen, dials, orders);
        }
        self.warm.decide(seen, dials, orders);
        self.tiering.decide(seen, dials, orders);
        self.promote.decide(seen, dials, orders);
        // Last those that may fill the bounded list: they speak for each class.
        self.outbox.decide(seen, dials, orders);
        self.cap.decide(seen, dials, orders);
    }
}

/// The controller's state.
#[derive(Debug)]
pub struct Ace {
    purge: Purge,
    trim: Trim,
    tuning: Tuning,
    supervisor: Supervisor,
}

impl Ace {
    /// Nothing seen yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            purge: Purge::new(),
            trim: Trim::new(),
            tuning: Tuning {
                refill: Refill::new(),
                warm: Warm::new(),
                tiering: Tiering::new(),
                promote: Promote::new(),
                outbox: Outbox::new(),
                cap: Cap::new(),
            },
            supervisor: Supervisor::new(),
        }
    }

    /// One turn: what to do about what was seen.
    pub fn turn(&mut self, seen: &Seen, dials: &Dials, orders: &mut Orders) {
        // Reflexes come first: they hurry, and are right or wrong at once.
        self.purge.decide(seen, dials, orders);
        self.trim.decide(seen, dials, orders);
        self.supervisor.decide(seen, dials, orders, &mut self.tuning);
        // After whatever the supervisor put back: one at a time is what helps now.
        if seen.denied > 0 {
            self.tuning.refill.decide(seen, dials, orders);
        }
    }

    /// What was learned about profiles.
    #[must_use]
    pub const fn learner(&self) -> &Learner {
        self.supervisor.learner()
    }
}

impl Policy for Ace {
    fn decide(&mut self, seen: &Seen, dials: &Dials, orders: &mut Orders) {
        self.turn(seen, dials, orders);
    }
}

impl Default for Ace {
    fn default() -> Self {
        Self::new()
    }
}
