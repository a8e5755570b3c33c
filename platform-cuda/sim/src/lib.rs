//! What the planner's policies are worth, without a GPU: a device with a virtual clock, workloads of
//! agents, and a bound that no policy can beat.
//!
//! A model, not a measurement. Bandwidths and compute times are assumptions ([`Machine`]); requests are
//! computed one after the other; a step's requests are known when it begins, may be served in any order,
//! and must all be done before the next step begins. The figures compare policies with one another.
//!
//! ```text
//!  experiment    policies × seeds × cases, on all cores: rows of means
//!  run           one policy on one trace
//!  bound         the time and the bytes below which no policy can come
//!  device        the virtual clock, the link and the processor
//!  workload      generated traces, and what is predicted about them
//!  traces        real ones, from files of two public formats
//!  sustain       how many agents a device sustains
//!  units         sizes, speeds, times and seeds as people write them
//! ```

pub mod bound;
pub mod device;
pub mod experiment;
pub mod run;
pub mod sustain;
pub mod traces;
pub mod units;
pub mod workload;

pub use bound::Bound;
pub use device::Machine;
pub use run::{Arm, Outcome, run};
pub use workload::Trace;
