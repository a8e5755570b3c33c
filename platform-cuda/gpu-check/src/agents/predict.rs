//! What the simulator makes of the same trace, with the speeds that were measured on this device.
//! Floor: third.

use super::{Speeds, plan::Plan};
use crate::{args::ArmName, link::Link, pages};
use ace_alloc_cuda::policy::{Distance, Lru, Policy, Swap, default_policy};
use ace_alloc_cuda_sim::{Arm, Bound, Machine, Trace, run};

/// What a prediction rests on.
pub struct World<'a> {
    pub plan: &'a Plan,
    pub speeds: &'a Speeds<'a>,
    /// Measured.
    pub kernel_ns: u64,
}

#[derive(Clone, Copy, Debug)]
pub struct Prediction {
    pub seconds: f64,
    pub bound_seconds: f64,
}

impl World<'_> {
    /// `None` of arms that the simulator does not have.
    pub fn predict(&self, arm: ArmName, memory_bytes: u64) -> Option<Prediction> {
        let (overlaps, policy): (bool, Box<dyn Policy>) = match arm {
            ArmName::Resident => return None,
            ArmName::Naive => (false, Box::new(Swap)),
            ArmName::Lru => (true, Box::new(Lru)),
            ArmName::Scalesim => (true, Box::new(Distance)),
            ArmName::Ace => (true, default_policy()),
        };
        let trace = Trace { sizes: self.plan.device_bytes.clone(), ..self.plan.trace.clone() };
        let (inward, outward) = Link::best(&self.speeds.link.pinned);
        let pinned = Machine {
            memory_bytes,
            inward_bytes_per_second: speed(inward),
            outward_bytes_per_second: speed(outward),
            compute_ns: self.kernel_ns.max(1),
            map_ns: pages::map_ns(self.speeds.pages, self.plan.mean_bytes()),
        };
        let machine = if overlaps { pinned } else { self.pageable(pinned) };
        let outcome = run(&trace, machine, Arm { policy, overlaps });
        let bound = Bound::of(&trace, &pinned);
        Some(Prediction { seconds: outcome.ns as f64 / 1e9, bound_seconds: bound.ns as f64 / 1e9 })
    }

    /// The simulator takes a fifth off the speeds of an arm that does not overlap; here they are known.
    fn pageable(&self, machine: Machine) -> Machine {
        let (inward, outward) = Link::best(&self.speeds.link.pageable);
        Machine {
            inward_bytes_per_second: speed(inward * 1.25),
            outward_bytes_per_second: speed(outward * 1.25),
            ..machine
        }
    }
}

fn speed(bytes_per_second: f64) -> u64 {
    bytes_per_second.max(1e6) as u64
}
