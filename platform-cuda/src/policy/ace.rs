//! `Ace`: follows the predictions, the states' own pasts, what was used last, or lots, whichever would have
//! cost least of late. Floor: first.
//!
//! How far predictions are off says little about what believing them costs: an order by wrong numbers may be
//! right. So each view is judged by its [ghost](super::ghosts), and the leader is followed. All orders are
//! kept at all times, so changing sides costs nothing.
//!
//! The margin and the ghosts' window were chosen on seeds 1 to 10 of the simulator's workloads. Following the
//! leader has no bound in the worst case, for which there is `Guard`.

use super::{
    News, Policy, Rank, Seen, View,
    ghosts::{Ghosts, VIEWS},
};
use crate::distance::Trust;

/// A leader is followed until another view costs less by one part in this.
const MARGIN: u64 = 16;

/// Of what is fetched ahead, more than this is evicted unused: chosen. Then nothing is.
const MOST_IN_VAIN: u32 = 128;
/// The newest of what was fetched ahead counts so much of the mean: chosen.
const NEWEST: u32 = 16;
/// A step in which nothing is fetched ahead takes so much off the mean, so that it is tried again: chosen.
const FORGIVEN: u32 = 64;

/// See the module's documentation.
#[derive(Debug)]
pub struct Ace {
    ghosts: Ghosts,
    leader: usize,
    /// How much of what the leader wanted ahead was evicted unused, in 256ths.
    in_vain: u32,
}

impl Ace {
    /// Follows the predictions at first.
    #[must_use]
    pub fn new() -> Self {
        Self { ghosts: Ghosts::new(), leader: 0, in_vain: 0 }
    }

    fn lead(&mut self) {
        let cost = |view: usize| self.ghosts.cost(view);
        let least = (0..VIEWS.len()).min_by_key(|view| cost(*view)).unwrap_or(0);
        let bar = cost(self.leader);
        if cost(least) < bar - bar / MARGIN {
            (self.leader, self.in_vain) = (least, 0);
        }
    }
}

impl Default for Ace {
    fn default() -> Self {
        Self::new()
    }
}

impl Policy for Ace {
    fn name(&self) -> &'static str {
        "ace"
    }

    fn views(&self) -> &'static [View] {
        &VIEWS
    }

    fn rank(&mut self, view: View, seen: &Seen, _: &mut u64) -> Rank {
        Rank::of(seen.key(view))
    }

    fn believed(&self, _: &Trust) -> View {
        VIEWS[self.leader]
    }

    fn foresees(&self, trust: &Trust) -> bool {
        let error = match VIEWS[self.leader] {
            View::Hinted => trust.hinted_error(),
            View::OwnGap => trust.own_error(),
            View::Recent | View::Any => return false,
        };
        error < super::WORTH_FETCHING_256THS && self.in_vain <= MOST_IN_VAIN
    }

    fn follow(&mut self, news: News<'_>) {
        match news {
            News::Budget { bytes } => self.ghosts.set_budget(bytes),
            News::Step(step) => {
                self.ghosts.step(step);
                self.lead();
                if self.in_vain > MOST_IN_VAIN {
                    self.in_vain -= self.in_vain / FORGIVEN;
                }
            }
            News::Changed { slot, seen } => self.ghosts.change(slot, seen),
            News::Used { slot } => {
                self.ghosts.use_it(slot);
                self.lead();
            }
            News::Ahead { was_used } => {
                let vain = if was_used { 0 } else { 256 };
                self.in_vain = (self.in_vain * (NEWEST - 1) + vain) / NEWEST;
            }
            News::Gone { slot } => self.ghosts.forget(slot),
        }
    }

    fn moves(&self) -> u64 {
        self.ghosts.moves()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distance::NextUse;

    /// 8 states in turn, one a step, with room for 6. One view is right, and the other says the opposite.
    fn in_turn(ace: &mut Ace, steps: core::ops::Range<u64>, right: View) {
        for step in steps {
            ace.follow(News::Step(step));
            let slot = u32::try_from(step % 8).expect("below 8");
            let said = |view| NextUse::at(if view == right { step + 8 } else { 100_000 - step });
            let seen = Seen {
                bytes: 1,
                reload_ns: 1000,
                recompute_ns: None,
                use_order: step + 1,
                load_order: 0,
                hinted: said(View::Hinted),
                own: said(View::OwnGap),
            };
            ace.follow(News::Used { slot });
            ace.follow(News::Changed { slot, seen: &seen });
        }
    }

    #[test]
    fn the_view_that_would_have_cost_least_is_believed_as_long_as_it_does() {
        let mut ace = Ace::new();
        ace.follow(News::Budget { bytes: 6 });
        let trust = Trust::default();
        assert_eq!(ace.believed(&trust), View::Hinted, "until it is known better");
        for (begin, right) in [(0, View::OwnGap), (4000, View::Hinted), (8000, View::OwnGap)] {
            in_turn(&mut ace, begin..begin + 4000, right);
            assert_eq!(ace.believed(&trust), right);
        }
    }

    #[test]
    fn what_is_fetched_in_vain_is_fetched_no_more_for_some_steps() {
        let mut ace = Ace::new();
        let trust = Trust::default();
        for _ in 0..100 {
            ace.follow(News::Ahead { was_used: true });
            assert!(ace.foresees(&trust));
        }
        (0..40).for_each(|_| ace.follow(News::Ahead { was_used: false }));
        assert!(!ace.foresees(&trust));
        let steps = (0..1000).take_while(|step| {
            ace.follow(News::Step(*step));
            !ace.foresees(&trust)
        });
        let steps = steps.count();
        assert!((10..100).contains(&steps), "tried again after {steps}");
    }
}
