//! Who goes first: [`Policy`] gives each state its place in the order of eviction and says whether the
//! predictions are good enough to fetch ahead. One small file each. Floor: first.
//!
//! | policy | evicts | fetches ahead |
//! |---|---|---|
//! | [`Swap`] | what came first | no |
//! | [`Lru`] | what was used longest ago | no |
//! | [`Chance`] | any | no |
//! | [`OwnGap`] | what its own past says comes last | by that |
//! | [`Distance`] | what is predicted last | always |
//! | [`Cost`] | the most distance × bytes a nanosecond of getting it back | always |
//! | [`Ace`] | as `Distance`, `OwnGap`, `Lru` or `Chance`, whichever would have cost least | while it pays |
//! | [`Hedge`] | as `Distance` or as `OwnGap`, whichever erred less | if it errs little |
//! | [`Guard`] | as `Distance`, unless that proves wrong | if the predictions err little |
//! | [`Oracle`] | what is used last; the predictions are the truth | always |
//!
//! The ideas are others': invocation distance and its three sources from `ScaleSim` and `KVFlow` (NeurIPS
//! 2025); following predictions blindly, and together with `Marker`, from Wei (arXiv 2005.13716); `Guard`
//! from Chen et al. (arXiv 2507.16242); bounds for sizes that differ from Berger et al. (arXiv 1711.03709).
//! So are the figures and proofs in those papers, for the systems and models described there; none carries
//! over to this code. What this code does is in its tests.
//!
//! A key is written once and not changed as time goes on. A policy whose order does change with time sorts
//! states into classes in which it does not, and compares the tops of the classes.

mod ace;
mod chance;
mod cost;
mod distance;
mod ghosts;
mod guard;
mod hedge;
mod lru;
mod oracle;
mod own_gap;
mod swap;

pub use ace::Ace;
pub use chance::Chance;
pub use cost::Cost;
pub use distance::Distance;
pub use guard::Guard;
pub use hedge::Hedge;
pub use lru::Lru;
pub use oracle::Oracle;
pub use own_gap::OwnGap;
pub use swap::Swap;

use crate::{
    distance::{NextUse, Trust},
    order::Order,
    random::Random,
};
use alloc::boxed::Box;

/// What is used where nobody chose another: [`Ace`].
#[must_use]
pub fn default_policy() -> Box<dyn Policy> {
    Box::new(Ace::new())
}

/// By which prediction states are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// What the sources say of the nearest owner.
    Hinted,
    /// What the state's own past says.
    OwnGap,
    /// Nothing: what was used longest ago is the farthest.
    Recent,
    /// Nothing: a lot, drawn at each use.
    Any,
}

/// A place in the order of eviction: greater keys go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rank {
    /// Below [`Policy::classes`].
    pub class: u8,
    /// Greater is farther. A [`NextUse`]'s key is cheapest to keep.
    pub key: u64,
}

impl Rank {
    /// In the only class.
    #[must_use]
    pub const fn of(key: u64) -> Self {
        Self { class: 0, key }
    }
}

/// What a policy may know of a state.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// Its size.
    pub bytes: u64,
    /// What a copy to the device costs.
    pub reload_ns: u64,
    /// What computing it anew costs, if it can be done.
    pub recompute_ns: Option<u64>,
    /// Number of its last use among all uses; 0 before the first.
    pub use_order: u64,
    /// Number of its last load among all loads.
    pub load_order: u64,
    /// Predicted by the sources.
    pub hinted: NextUse,
    /// Predicted by its own past.
    pub own: NextUse,
}

impl Seen {
    /// The prediction of a view.
    #[must_use]
    pub const fn next_use(&self, view: View) -> NextUse {
        match view {
            View::Hinted => self.hinted,
            View::OwnGap => self.own,
            View::Recent | View::Any => NextUse::UNKNOWN,
        }
    }

    /// The key of a view. What nobody predicts comes after all that is predicted, least recent first.
    #[must_use]
    pub const fn key(&self, view: View) -> u64 {
        if matches!(view, View::Any) {
            return Random::new(self.use_order).draw();
        }
        let next_use = self.next_use(view);
        if next_use.is_known() { next_use.key() } else { u64::MAX - self.use_order }
    }
}

/// What happens, to all states, whether or not they are on the device.
#[derive(Clone, Copy, Debug)]
pub enum News<'a> {
    /// So much device memory may be used from now on.
    Budget {
        /// Of all states together.
        bytes: u64,
    },
    /// This step begins.
    Step(u64),
    /// A state is new, or something about it changed.
    Changed {
        /// The planner's number for the state.
        slot: u32,
        /// What is known of it now.
        seen: &'a Seen,
    },
    /// A use begins.
    Used {
        /// Of this state.
        slot: u32,
    },
    /// What was fetched ahead came to its end.
    Ahead {
        /// It was used; otherwise it was evicted before.
        was_used: bool,
    },
    /// There is no such state any more; the number may be used again.
    Gone {
        /// Which.
        slot: u32,
    },
}

/// See the module's documentation. Decides by what it is told and nothing else, so that a run can be
/// repeated.
pub trait Policy: Send {
    /// For tables.
    fn name(&self) -> &'static str;

    /// The orders to keep: one for each.
    fn views(&self) -> &'static [View] {
        &[View::Hinted]
    }

    /// How many classes an order has.
    fn classes(&self) -> u8 {
        1
    }

    /// The place of a state in a view's order. Asked when something about the state changed; `memo` is
    /// the policy's own, kept for it with the state.
    fn rank(&mut self, view: View, seen: &Seen, memo: &mut u64) -> Rank;

    /// Which of [`Self::views`] counts now.
    fn believed(&self, trust: &Trust) -> View {
        let _ = trust;
        self.views()[0]
    }

    /// Picks the next victim from the believed view's order.
    fn choose(&mut self, order: &Order, step: u64) -> Option<u32> {
        let _ = step;
        order.top(0).map(|(_, state)| state)
    }

    /// Picks the next victim for something that nobody waits for.
    fn spare(&mut self, order: &Order, step: u64) -> Option<u32> {
        self.choose(order, step)
    }

    /// Whether what a view predicts is to be fetched while the link is idle.
    fn foresees(&self, trust: &Trust) -> bool {
        let _ = trust;
        false
    }

    /// A use of the state begins.
    fn used(&mut self, memo: &mut u64) {
        let _ = memo;
    }

    /// Somebody waits for the state, and it is not there. Comes before `used`; `order` is the believed
    /// view's.
    fn missed(&mut self, order: &Order, memo: &mut u64) {
        let _ = (order, memo);
    }

    /// The state leaves the device.
    fn evicted(&mut self, memo: &mut u64) {
        let _ = memo;
    }

    /// For policies that look at more than victims.
    fn follow(&mut self, news: News<'_>) {
        let _ = news;
    }

    /// How many entries its own orders have moved so far ([`Order::moves`]).
    fn moves(&self) -> u64 {
        0
    }
}

/// A prediction that is off by a factor of 4 on average is not worth the link's time: chosen.
const WORTH_FETCHING_256THS: u32 = 2 << 8;
