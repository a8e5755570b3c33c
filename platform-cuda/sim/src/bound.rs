//! A time below which no schedule can come.
//!
//! After PFOO (Berger, Beckmann, Harchol-Balter, arXiv 1711.03709): a state that stays on the device from
//! one use to the next takes its bytes times that time of memory and saves its bytes of copying. The best
//! that all the memory there is could save, cut as finely as one likes, is at least what any policy saves.
//!
//! One trap: a runtime may serve the requests of a step in any order, so the time in which bytes are held
//! must not be counted in requests; a schedule that reorders would beat such a "bound". Counted here are the
//! boundaries between steps: what is held from step a to step b is there at b − a of them, and at each there
//! is room for no more than the device has.

use crate::{device::Machine, workload::Trace};

/// See the module's documentation.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    /// What must be copied to the device at least.
    pub bytes: u64,
    /// How long it takes at least.
    pub ns: u64,
}

impl Bound {
    /// Of a trace on a machine.
    #[must_use]
    pub fn of(trace: &Trace, machine: &Machine) -> Self {
        let mut last = vec![None; trace.sizes.len()];
        let (mut asked, mut requests, mut intervals) = (0u64, 0u64, Vec::new());
        for (step, plan) in (0u64..).zip(&trace.steps) {
            for agent in &plan.requests {
                let bytes = trace.sizes[*agent as usize];
                requests += 1;
                let before = last[*agent as usize].replace(step);
                // What is born on the device is not copied to it.
                asked += if before.is_none() && trace.born { 0 } else { bytes };
                intervals.extend(before.map(|before| (step - before, bytes)));
            }
        }
        let boundaries = trace.steps.len().saturating_sub(1) as u128;
        let mut room = boundaries * u128::from(machine.memory_bytes);
        let mut saved = 0;
        // A byte saved costs as many boundaries as the interval has: the shortest are worth most.
        intervals.sort_unstable();
        for (length, bytes) in intervals {
            let kept = (u128::from(length) * u128::from(bytes)).min(room);
            room -= kept;
            saved += (kept / u128::from(length)) as u64;
        }
        let bytes = asked - saved;
        let copying =
            u128::from(bytes) * 1_000_000_000 / u128::from(machine.inward_bytes_per_second);
        Self { bytes, ns: (copying as u64).max(requests * machine.compute_ns) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Step;

    fn bound_of(born: bool, memory_bytes: u64, steps: &[&[u32]]) -> u64 {
        let steps =
            steps.iter().map(|requests| Step { requests: requests.to_vec(), ..Step::default() });
        let (sizes, steps) = (vec![10, 10, 10], steps.collect());
        let trace = Trace { name: "bound", sizes, steps, writes: false, born };
        Bound::of(&trace, &Machine { memory_bytes, ..Machine::link_bound(0) }).bytes
    }

    fn bound(memory_bytes: u64, steps: &[&[u32]]) -> u64 {
        bound_of(false, memory_bytes, steps)
    }

    #[test]
    fn what_fits_is_loaded_once_and_what_does_not_is_loaded_again() {
        assert_eq!(bound(30, &[&[0, 1, 2], &[0, 1, 2]]), 30);
        assert_eq!(bound(20, &[&[0, 1, 2], &[0, 1, 2]]), 40);
        assert_eq!(bound(0, &[&[0, 1, 2], &[0, 1, 2]]), 60);
    }

    #[test]
    fn what_is_born_on_the_device_is_copied_from_its_second_use_on() {
        assert_eq!(bound_of(true, 30, &[&[0, 1, 2], &[0, 1, 2]]), 0);
        assert_eq!(bound_of(true, 20, &[&[0, 1, 2], &[0, 1, 2]]), 10);
    }

    #[test]
    fn reordering_within_a_step_is_allowed_for() {
        // In the order 0 1, 1 0 both hits would overlap at one request; at the boundary 10 bytes are kept.
        assert_eq!(bound(10, &[&[0, 1], &[1, 0]]), 30);
    }
}
