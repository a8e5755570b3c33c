//! How far away the next use of an agent is: [`NextUse`], the sources that say so, and how far each can
//! be [trusted](Trust). Floor: ground.
//!
//! A prediction is an absolute step, not a distance that shrinks as time goes on: it need not be touched
//! until somebody knows better. `ScaleSim` (whose code is published with `KVFlow`) calls the remaining
//! number of steps the invocation distance and takes it from a plan, from space divided by velocity, or
//! from hops in a graph; those are `Schedule`, `Space` and `Graph` here.

mod gap;
mod graph;
mod schedule;
mod space;
mod trust;

pub use gap::Gap;
pub use graph::Graph;
pub use schedule::Schedule;
pub use space::Space;
pub use trust::{Trust, error_in_256ths};

use crate::state::AgentId;
use core::fmt;

/// A step has 256 parts.
pub const FRACTION_BITS: u32 = 8;

/// When something will be used next: an absolute time in 256ths of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NextUse(u64);

impl NextUse {
    /// Nobody knows; later than all that is known.
    pub const UNKNOWN: Self = Self(u64::MAX);

    /// In this step. Steps beyond 2^54 are the last one.
    #[must_use]
    pub const fn at(step: u64) -> Self {
        const LAST: u64 = 1 << 54;
        Self((if step < LAST { step } else { LAST }) << FRACTION_BITS)
    }

    /// So many 256ths of a step after the beginning of `step`.
    #[must_use]
    pub const fn after(step: u64, fractions: u64) -> Self {
        let whole = Self::at(step.saturating_add(fractions >> FRACTION_BITS));
        Self(whole.0 | fractions & 0xFF)
    }

    /// So many steps after the beginning of `step`, rounded down to a 256th; what is infinitely far is
    /// unknown.
    ///
    /// # Errors
    /// The distance is negative or no number.
    pub fn from_now(step: u64, distance_steps: f64) -> Result<Self, BadDistance> {
        if distance_steps.is_nan() || distance_steps < 0.0 {
            return Err(BadDistance);
        }
        if distance_steps.is_infinite() {
            return Ok(Self::UNKNOWN);
        }
        // The cast rounds down and ends at u64::MAX.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let fractions = (distance_steps * f64::from(1 << FRACTION_BITS)) as u64;
        Ok(Self::after(step, fractions))
    }

    /// As a key of an order.
    #[must_use]
    pub const fn key(self) -> u64 {
        self.0
    }

    /// The step it falls into; `None` if unknown.
    #[must_use]
    pub const fn step(self) -> Option<u64> {
        if self.is_known() { Some(self.0 >> FRACTION_BITS) } else { None }
    }

    /// Whether it is anything but [`Self::UNKNOWN`].
    #[must_use]
    pub const fn is_known(self) -> bool {
        self.0 != u64::MAX
    }
}

/// A distance that is negative or no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadDistance;

impl fmt::Display for BadDistance {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "a distance is a number of steps, 0 or more")
    }
}

impl core::error::Error for BadDistance {}

/// Where a prediction comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The trace itself, in simulations and replays.
    Oracle,
    /// A scheduler's plan.
    Plan,
    /// Hops in a graph of agents.
    Graph,
    /// Distance divided by velocity.
    Space,
    /// What the program said about one agent.
    Hint,
}

/// All sources.
pub const SOURCES: [Source; 5] =
    [Source::Oracle, Source::Plan, Source::Graph, Source::Space, Source::Hint];

/// Something that predicts.
pub trait DistanceSource {
    /// Under which name its predictions are measured.
    fn source(&self) -> Source;
    /// The next use of an agent, in this step or later.
    fn next_use(&self, agent: AgentId, step: u64) -> Option<NextUse>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distance_in_steps_is_a_number_that_is_not_negative() {
        assert_eq!(NextUse::from_now(3, 2.5), Ok(NextUse::after(3, 640)));
        assert_eq!(NextUse::from_now(3, 0.0), Ok(NextUse::at(3)));
        assert_eq!(NextUse::from_now(3, f64::INFINITY), Ok(NextUse::UNKNOWN));
        assert!(NextUse::from_now(3, f64::MAX).is_ok_and(NextUse::is_known));
        for distance in [f64::NAN, -1.0, f64::NEG_INFINITY, -f64::MIN_POSITIVE] {
            assert_eq!(NextUse::from_now(3, distance), Err(BadDistance));
        }
    }
}
