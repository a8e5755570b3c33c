//! Bytes and a time below which no schedule can come, not even one that knows the future and may keep parts
//! of states.
//!
//! **Bytes.** Take a byte of a state and two uses of it that follow one another, in steps a < b. Either the
//! byte is copied in between, or it *stays*: it is on the device at each of the b − a boundaries between
//! those steps, and all through the steps between a and b. At each boundary there is room for as many bytes
//! as the device has; through a step, for as many less the largest state used in it, which is there whole
//! when it is computed. Every stay saves one byte of copying, so what counts is the greatest number of stays
//! that the room allows. Stays are intervals, all worth the same, and a sweep finds the greatest number:
//! where there are too many, those that last longest are given up (Faigle and Nawijn, "Note on scheduling
//! intervals on-line", 1995). Any other choice can be exchanged for this one: of the stays at the point
//! where the sweep stands, the longest takes part in all points to come that another takes part in.
//! The sweep gives up what ends later than step k before all that ends by k. So one sweep tells the
//! greatest number for every prefix of its steps.
//!
//! Counted are boundaries between steps, not requests: a runtime may serve a step's requests in any order,
//! and would beat a bound that knows one order. PFOO (Berger, Beckmann, Harchol-Balter, arXiv 1711.03709)
//! would be valid, too, but it adds up the room of all boundaries and is looser.
//!
//! **Time.** Step k ends no sooner than
//! * step k − 1 ends and the processor computes all requests of step k;
//! * for any j ≤ k: step j − 1 ends, the link copies what the steps j to k need at least, whatever
//!   bytes were there before, and the request that waited for the last byte is computed;
//! * for any j ≤ k: step j − 1 ends, and the link copies to the host what was born on the device in the
//!   steps j to k, less what may still be there.

use crate::{device::Machine, workload::Trace};
use std::collections::BTreeMap;

/// See the module's documentation.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    /// What must be copied to the device at least.
    pub bytes: u64,
    /// How long it takes at least.
    pub ns: u64,
}

/// The time of a step's end is derived from so many earlier ones, evenly spread: all in traces of usual
/// length. Fewer make the bound looser, not wrong.
const MOST_SWEEPS: usize = 128;

/// A use of a state in a step.
struct Use {
    bytes: u64,
    /// What it has to copy if nothing stayed: nothing, where the state is born.
    asked: u64,
    before: Option<usize>,
    after: Option<usize>,
}

impl Bound {
    /// Of a trace on a machine.
    #[must_use]
    pub fn of(trace: &Trace, machine: &Machine) -> Self {
        let steps = uses(trace);
        let spacing = steps.len().div_ceil(MOST_SWEEPS).max(1);
        let mut ends_ns = vec![0; steps.len()];
        let mut all = Vec::new();
        for from in 0..steps.len() {
            let begun_ns = from.checked_sub(1).map_or(0, |before| ends_ns[before]);
            ends_ns[from] =
                ends_ns[from].max(begun_ns + steps[from].len() as u64 * machine.compute_ns);
            if from % spacing != 0 {
                continue;
            }
            let least = least_bytes(&steps, from, machine.memory_bytes);
            for (end_ns, bytes) in ends_ns[from..].iter_mut().zip(&least) {
                if *bytes > 0 {
                    let copied_ns = begun_ns + machine.copies_in_ns(*bytes);
                    *end_ns = (*end_ns).max(copied_ns + machine.compute_ns);
                }
            }
            let mut born = 0;
            for (end_ns, uses) in ends_ns[from..].iter_mut().zip(&steps[from..]) {
                born += uses.iter().map(|ask| ask.bytes - ask.asked).sum::<u64>();
                let written = born.saturating_sub(machine.memory_bytes);
                *end_ns = (*end_ns).max(begun_ns + machine.copies_out_ns(written));
            }
            if from == 0 {
                all = least;
            }
        }
        let last = |of: &[u64]| of.last().copied().unwrap_or(0);
        Self { bytes: last(&all), ns: last(&ends_ns) }
    }
}

fn uses(trace: &Trace) -> Vec<Vec<Use>> {
    let mut steps: Vec<Vec<Use>> = Vec::new();
    let mut last: Vec<Option<(usize, usize)>> = vec![None; trace.sizes.len()];
    for (step, plan) in trace.steps.iter().enumerate() {
        let mut uses = Vec::new();
        for (at, agent) in plan.requests.iter().enumerate() {
            let before = last[*agent as usize].replace((step, at));
            if let Some((step_before, at_before)) = before {
                steps[step_before][at_before].after = Some(step);
            }
            let bytes = trace.sizes[*agent as usize];
            let asked = if before.is_none() && trace.born { 0 } else { bytes };
            uses.push(Use { bytes, asked, before: before.map(|before| before.0), after: None });
        }
        steps.push(uses);
    }
    steps
}

/// Bytes that stay, by the step in which they end.
#[derive(Default)]
struct Stays {
    by_end: BTreeMap<usize, u64>,
    sum: u64,
}

impl Stays {
    fn add(&mut self, end: usize, bytes: u64) {
        *self.by_end.entry(end).or_default() += bytes;
        self.sum += bytes;
    }

    fn end(&mut self, step: usize) -> u64 {
        let ended = self.by_end.remove(&step).unwrap_or(0);
        self.sum -= ended;
        ended
    }

    fn shrink_to(&mut self, room: u64) {
        while self.sum > room
            && let Some(mut longest) = self.by_end.last_entry()
        {
            let given_up = (self.sum - room).min(*longest.get());
            self.sum -= given_up;
            *longest.get_mut() -= given_up;
            if *longest.get() == 0 {
                longest.remove();
            }
        }
    }
}

/// For each step since `from`: what must be copied since the end of the step before `from`. At the very
/// beginning nothing is on the device; later it may be whatever fits.
fn least_bytes(steps: &[Vec<Use>], from: usize, memory_bytes: u64) -> Vec<u64> {
    let mut stays = Stays::default();
    for (step, uses) in steps.iter().enumerate().skip(from) {
        let is_first = |ask: &&Use| ask.before.is_none_or(|before| before < from);
        for ask in uses.iter().filter(is_first).filter(|_| from > 0) {
            stays.add(step, ask.asked);
        }
    }
    stays.shrink_to(memory_bytes);
    let (mut copied, mut least) = (0, Vec::new());
    for (step, uses) in steps.iter().enumerate().skip(from) {
        let asked: u64 = uses.iter().map(|ask| ask.asked).sum();
        copied += asked - stays.end(step);
        least.push(copied);
        let largest = uses.iter().map(|ask| ask.bytes).max().unwrap_or(0);
        stays.shrink_to(memory_bytes.saturating_sub(largest));
        for ask in uses {
            if let Some(after) = ask.after {
                stays.add(after, ask.bytes);
            }
        }
        stays.shrink_to(memory_bytes);
    }
    least
}

#[cfg(test)]
mod tests;
