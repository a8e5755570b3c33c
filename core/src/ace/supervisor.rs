//! What stands above the tuning policies: the phase that the program is in, the profile that they
//! start from, and whether their orders were worth it. Floor: garden.

use super::{Learner, Orders, Policy, Seen, phase::Phases, trial::Trial};
use crate::dials::Dials;

/// See the module's documentation.
#[derive(Debug)]
pub struct Supervisor {
    phases: Phases,
    learner: Learner,
    trial: Trial,
}

impl Supervisor {
    /// Nothing learned.
    #[must_use]
    pub const fn new() -> Self {
        Self { phases: Phases::new(), learner: Learner::new(), trial: Trial::new() }
    }

    /// What was learned about profiles.
    #[must_use]
    pub const fn learner(&self) -> &Learner {
        &self.learner
    }

    /// One turn. `tuning` is asked unless profiles are being switched or compared, and is on trial.
    pub fn decide(
        &mut self,
        seen: &Seen,
        dials: &Dials,
        orders: &mut Orders,
        tuning: &mut dyn Policy,
    ) {
        let look = self.phases.look(seen);
        let switched = self.learner.decide(seen, look, dials, orders);
        // Where memory was denied, what is tuned is not what makes the difference.
        if switched || self.learner.is_away() || seen.denied > 0 {
            self.trial.restart();
            return;
        }
        let from = orders.list().len();
        tuning.decide(seen, dials, orders);
        self.trial.watch(seen, look, dials, orders, from);
    }
}

impl Default for Supervisor {
    fn default() -> Self {
        Self::new()
    }
}
