//! How many agents a device sustains: the greatest number with which a workload runs nearly as fast as with
//! memory for all.
//!
//! With memory for all, every state is copied once and nothing else is waited for. With more agents than
//! the memory holds, copies are repeated, and at some number they can no longer be hidden.

use crate::{
    device::Machine,
    run::{Arm, run},
    workload::Trace,
};

/// A workload for a number of agents, and a way to use the device.
pub struct Trial<'a> {
    /// The workload of so many agents.
    pub trace: &'a dyn Fn(u32) -> Trace,
    /// A new arm for each run.
    pub arm: &'a dyn Fn() -> Arm,
    /// The memory is the same for all numbers of agents.
    pub machine: Machine,
    /// The least throughput, as a part of that with memory for all.
    pub least: f64,
}

impl Trial<'_> {
    fn is_sustained(&self, agents: u32) -> bool {
        let trace = (self.trace)(agents);
        let roomy = Machine { memory_bytes: trace.sizes.iter().sum(), ..self.machine };
        let [whole_ns, ns] = [roomy, self.machine].map(|m| run(&trace, m, (self.arm)()).ns);
        whole_ns as f64 >= self.least * ns as f64
    }

    /// Tries numbers up to `most`; the answer is exact to a thirty-second of itself, if more agents are
    /// never easier.
    #[must_use]
    pub fn agents(&self, most: u32) -> u32 {
        let (mut fine, mut too_many) = (0, most.saturating_add(1));
        while too_many - fine > (fine / 32).max(1) {
            let middle = fine + (too_many - fine) / 2;
            *(if self.is_sustained(middle) { &mut fine } else { &mut too_many }) = middle;
        }
        fine
    }
}
