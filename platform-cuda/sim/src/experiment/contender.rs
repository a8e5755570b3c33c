//! The policies by the names that users know. Floor: tool.

use crate::run::Arm;
use ace_alloc_cuda::policy::{
    Chance, Cost, Distance, Guard, Hedge, Lru, Oracle, OwnGap, Policy, Swap, default_policy,
};

/// A way to use a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contender {
    /// The product's default.
    Ace,
    /// [`Lru`]; like all but the naive one, it copies while the processor computes.
    Lru,
    /// [`Chance`].
    Random,
    /// [`Swap`]: one state after the other, and the processor waits for its copy.
    Naive,
    /// [`Distance`]: the order of `ScaleSim`.
    Scalesim,
    /// [`OwnGap`].
    Ewma,
    /// [`Hedge`].
    Hedge,
    /// [`Guard`].
    Robust,
    /// [`Cost`].
    Cost,
    /// [`Oracle`]: it is told the truth, whatever the others are told.
    Oracle,
}

impl Contender {
    /// All.
    pub const ALL: [Self; 10] = [
        Self::Ace,
        Self::Lru,
        Self::Random,
        Self::Naive,
        Self::Scalesim,
        Self::Ewma,
        Self::Hedge,
        Self::Robust,
        Self::Cost,
        Self::Oracle,
    ];

    /// Those that are compared if nobody chose: without `Cost`, which differs from `Scalesim` only where
    /// getting a state back does not cost in proportion to its size, as it does in the simulator.
    pub const USUAL: [Self; 9] = [
        Self::Ace,
        Self::Lru,
        Self::Random,
        Self::Naive,
        Self::Scalesim,
        Self::Ewma,
        Self::Hedge,
        Self::Robust,
        Self::Oracle,
    ];

    /// For tables and command lines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ace => "ace",
            Self::Lru => "lru",
            Self::Random => "random",
            Self::Naive => "naive",
            Self::Scalesim => "scalesim",
            Self::Ewma => "ewma",
            Self::Hedge => "hedge",
            Self::Robust => "robust",
            Self::Cost => "cost",
            Self::Oracle => "oracle",
        }
    }

    /// Ready to run. `seed` is for those who choose at random.
    #[must_use]
    pub fn arm(self, seed: u64) -> Arm {
        let policy: Box<dyn Policy> = match self {
            Self::Ace => default_policy(),
            Self::Lru => Box::new(Lru),
            Self::Random => Box::new(Chance::new(seed)),
            Self::Naive => Box::new(Swap),
            Self::Scalesim => Box::new(Distance),
            Self::Ewma => Box::new(OwnGap),
            Self::Hedge => Box::new(Hedge),
            Self::Robust => Box::new(Guard::new(seed)),
            Self::Cost => Box::new(Cost),
            Self::Oracle => Box::new(Oracle),
        };
        Arm { policy, overlaps: self != Self::Naive }
    }
}
