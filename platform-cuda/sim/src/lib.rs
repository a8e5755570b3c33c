//! What the planner's policies are worth, without a GPU: a device with a virtual clock, workloads of
//! agents, and a bound that no policy can beat.
//!
//! A model, not a measurement. Bandwidths and compute times are assumptions ([`Machine`]); requests are
//! computed one after the other; a step's requests are known when it begins, may be served in any order,
//! and must all be done before the next step begins. The figures compare policies with one another.

pub mod bound;
pub mod device;
pub mod experiment;
pub mod run;
pub mod traces;
pub mod units;
pub mod workload;

pub use bound::Bound;
pub use device::Machine;
pub use run::{Arm, Outcome, run};
pub use workload::Trace;
