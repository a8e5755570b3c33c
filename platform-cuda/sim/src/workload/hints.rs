//! What is predicted about a workload's requests, whatever the workload. Floor: tool.

use super::{Hint, Trace, fraction};
use ace_alloc_cuda::{
    distance::{DistanceSource, NextUse, Schedule, Source},
    random::Random,
    state::AgentId,
};
use std::f64::consts::TAU;

/// Who predicts. Every kind but the first speaks at the beginning and after each use, once, and of the
/// next use only: of what is not used again it says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hints {
    /// The class's own source: the plan of independent agents, which is exact; plans, and distance
    /// divided by velocity, of agents that meet; hops along paths and grids; nobody where there is no plan.
    Natural,
    /// The truth.
    Exact,
    /// The true gap times e^N(0, ½), in whole steps.
    Noisy,
    /// The farther the next use, the nearer it is said to be: what is used next is said to be used last.
    Inverted,
    /// The truth and its inversion in turn, a mean gap each, beginning with the truth. What is said in one
    /// phase is put to the test in the next: who measures his source believes it most while it lies, and
    /// least while it tells the truth.
    Adversarial,
    /// Nobody.
    None,
}

impl Hints {
    /// All kinds.
    pub const ALL: [Self; 6] =
        [Self::Natural, Self::Exact, Self::Noisy, Self::Inverted, Self::Adversarial, Self::None];

    /// For tables and command lines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Natural => "natural",
            Self::Exact => "exact",
            Self::Noisy => "noisy",
            Self::Inverted => "inverted",
            Self::Adversarial => "adversarial",
            Self::None => "none",
        }
    }
}

impl Trace {
    /// The same requests with other predictions. `seed` is for the noise.
    #[must_use]
    pub fn with_hints(&self, hints: Hints, seed: u64) -> Self {
        let mut trace = self.clone();
        if hints == Hints::Natural {
            return trace;
        }
        trace.forget_hints();
        let gaps = trace.gaps();
        let longest = gaps.iter().copied().max().unwrap_or(0);
        let invert = |gap| longest + 1 - gap;
        match hints {
            Hints::Natural | Hints::None => {}
            Hints::Exact => trace.predict(Source::Plan, |_, gap| gap),
            Hints::Noisy => {
                let mut random = Random::new(!seed);
                trace.predict(Source::Plan, |_, gap| blurred(gap, &mut random));
            }
            Hints::Inverted => trace.predict(Source::Plan, |_, gap| invert(gap)),
            Hints::Adversarial => {
                let phase = gaps.iter().sum::<u64>().div_ceil(gaps.len().max(1) as u64).max(1);
                trace.predict(Source::Plan, |step, gap| {
                    if (step / phase).is_multiple_of(2) { gap } else { invert(gap) }
                });
            }
        }
        trace
    }

    /// The same requests, and predictions that are the truth and are known to be.
    #[must_use]
    pub fn with_truth(&self) -> Self {
        let mut trace = self.clone();
        trace.forget_hints();
        trace.predict(Source::Oracle, |_, gap| gap);
        trace
    }

    /// The same requests, and no predictions.
    #[must_use]
    pub fn without_hints(&self) -> Self {
        self.with_hints(Hints::None, 0)
    }

    fn forget_hints(&mut self) {
        for step in &mut self.steps {
            step.before.clear();
            step.after.clear();
        }
    }

    fn schedule(&self, source: Source) -> Schedule {
        let mut plan = Schedule::new(source);
        for (number, step) in (0..).zip(&self.steps) {
            step.requests.iter().for_each(|agent| plan.plan(AgentId(u64::from(*agent)), number));
        }
        plan
    }

    /// Of each use, the steps since the use before, or since the beginning.
    fn gaps(&self) -> Vec<u64> {
        let mut last = vec![0; self.sizes.len()];
        let mut gaps = Vec::new();
        for (number, step) in (0..).zip(&self.steps) {
            for agent in &step.requests {
                gaps.push(number - std::mem::replace(&mut last[*agent as usize], number));
            }
        }
        gaps
    }

    /// Adds a prediction of the next use to every use, and of the first to the beginning. `distort` gets
    /// the step of the prediction and the true number of steps.
    pub(super) fn predict(&mut self, source: Source, mut distort: impl FnMut(u64, u64) -> u64) {
        let plan = self.schedule(source);
        let mut hint = |agent: u32, now: u64, from: u64| {
            let truth = plan.next_use(AgentId(u64::from(agent)), from)?.step()?;
            let next_use = NextUse::at(now + distort(now, truth - now));
            Some(Hint { agent, source, next_use })
        };
        let Some(first) = self.steps.first_mut() else { return };
        first.before.extend((0..self.sizes.len() as u32).filter_map(|agent| hint(agent, 0, 0)));
        for (number, step) in (0..).zip(&mut self.steps) {
            let hints = step.requests.iter().filter_map(|agent| hint(*agent, number, number + 1));
            step.after.extend(hints);
        }
    }
}

/// Times e^N(0, ½), by Box and Muller's method.
fn blurred(gap: u64, random: &mut Random) -> u64 {
    let radius = (-2.0 * (1.0 - fraction(random)).ln()).sqrt();
    let normal = radius * (TAU * fraction(random)).cos();
    (gap as f64 * (normal / 2.0).exp()).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::{Class, Size};

    /// Of each prediction: the step in which it is made, the predicted and the true number of steps.
    fn predictions(trace: &Trace) -> Vec<(u64, u64, u64)> {
        let mut made = Vec::new();
        for (now, step) in (0u64..).zip(&trace.steps) {
            let before = step.before.iter().map(|hint| (hint, now));
            let after = step.after.iter().map(|hint| (hint, now + 1));
            for (hint, from) in before.chain(after) {
                // Found by looking at the requests one by one: the generator uses a `Schedule`.
                let uses = |at: &u64| trace.steps[*at as usize].requests.contains(&hint.agent);
                let truth = (from..trace.steps.len() as u64).find(uses).expect("a use to come");
                let said = hint.next_use.step().expect("a step");
                made.push((now, said - now, truth - now));
            }
        }
        made
    }

    fn hinted(class: Class, hints: Hints) -> Trace {
        class.trace(Size { agents: 100, steps: 40 }, 3).with_hints(hints, 3)
    }

    #[test]
    fn exact_hints_are_the_truth_and_are_there_for_every_use_to_come() {
        for class in Class::ALL {
            let trace = hinted(class, Hints::Exact);
            let made = predictions(&trace);
            assert!(made.iter().all(|(_, said, truth)| said == truth), "{}", class.name());
            let uses: usize = trace.steps.iter().map(|step| step.requests.len()).sum();
            assert_eq!(made.len(), uses, "one for each use: {}", class.name());
        }
    }

    #[test]
    fn inverted_hints_have_the_opposite_order() {
        for class in Class::ALL {
            let made = predictions(&hinted(class, Hints::Inverted));
            let longest = made.iter().map(|(_, _, truth)| *truth).max().expect("some");
            for (_, said, truth) in made {
                assert_eq!(said + truth, longest + 1, "{}", class.name());
            }
        }
    }

    #[test]
    fn noisy_hints_are_off_by_a_log_normal_factor_of_one_half() {
        let trace = Class::Independent.trace(Size { agents: 2000, steps: 200 }, 3);
        let made = predictions(&trace.with_hints(Hints::Noisy, 3));
        // In whole steps: of long gaps little is rounded away.
        let long = made.iter().filter(|(_, said, truth)| *truth >= 8 && *said > 0);
        let logs: Vec<f64> =
            long.map(|(_, said, truth)| (*said as f64 / *truth as f64).ln()).collect();
        let count = logs.len() as f64;
        let mean = logs.iter().sum::<f64>() / count;
        let deviation = (logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>() / count).sqrt();
        assert!(count > 10_000.0, "{count}");
        assert!(mean.abs() < 0.02, "{mean}");
        assert!((deviation - 0.5).abs() < 0.02, "{deviation}");
        let other = trace.with_hints(Hints::Noisy, 4);
        assert_ne!(predictions(&other), made, "another seed, another noise");
    }

    #[test]
    fn an_adversary_tells_the_truth_until_it_is_believed_and_then_the_opposite() {
        let trace = hinted(Class::Independent, Hints::Adversarial);
        let (gaps, made) = (trace.gaps(), predictions(&trace));
        let longest = gaps.iter().max().expect("some");
        let phase = gaps.iter().sum::<u64>().div_ceil(gaps.len() as u64);
        assert!((2..15).contains(&phase), "{phase}");
        let lies = made.iter().filter(|(_, said, truth)| said != truth).count();
        assert!(lies * 4 > made.len() && lies * 4 < made.len() * 3, "{lies} of {}", made.len());
        for (now, said, truth) in made {
            let said_if_lie = longest + 1 - truth;
            let honest = (now / phase).is_multiple_of(2);
            assert_eq!(said, if honest { truth } else { said_if_lie }, "in step {now}");
        }
    }

    #[test]
    fn no_hints_are_none_and_natural_ones_are_the_classes_own() {
        for class in Class::ALL {
            assert_eq!(predictions(&hinted(class, Hints::None)), [], "{}", class.name());
            let natural = hinted(class, Hints::Natural);
            let count: usize =
                natural.steps.iter().map(|step| step.before.len() + step.after.len()).sum();
            assert_eq!(count == 0, class == Class::Zipf, "{}", class.name());
        }
        let exact = hinted(Class::Independent, Hints::Exact);
        let natural = hinted(Class::Independent, Hints::Natural);
        assert_eq!(predictions(&natural), predictions(&exact), "an independent agent has a plan");
    }

    #[test]
    fn hints_leave_the_requests_as_they_are() {
        for class in Class::ALL {
            let requests = |trace: &Trace| -> Vec<Vec<u32>> {
                trace.steps.iter().map(|step| step.requests.clone()).collect()
            };
            let natural = requests(&hinted(class, Hints::Natural));
            for hints in Hints::ALL {
                assert_eq!(requests(&hinted(class, hints)), natural, "{}", hints.name());
            }
            assert_eq!(requests(&hinted(class, Hints::None).with_truth()), natural);
        }
    }
}
