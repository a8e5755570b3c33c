//! GPU memory of agents, moved by the distance to their next invocation.
//!
//! Many agents share a device that has memory for a few of them. Each keeps states there: weights,
//! adapters, keys and values, anything else. This package decides which states are on the device and when
//! the others come and go.
//!
//! ```text
//!  planner        states, demands, copies in chunks, faults: events in, actions out
//!  policy         who goes first: one file each, from LRU to a bound against wrong predictions
//!  order          the index: a timing wheel and a heap
//!  distance       when an agent is used next, who says so, and how often that was right
//!  state ranges random                                       used by all
//!  device         what the engine asks of a device: a trait
//!  driver         that device by CUDA's driver, looked for at run time      feature `driver`
//!  options        what the environment says                                 feature `driver`
//!  engine         the planner made real: copies, memory, uses, one thread   feature `std`
//!  heap           small blocks of device memory, by the core's allocator    feature `heap`
//! ```
//!
//! What stands above the trait is pure: no clock, no threads, no device, no `std`, no unsafe code. A host
//! drives the planner with events and applies its actions:
//!
//! ```
//! use ace_alloc_cuda::{
//!     planner::{Event, Planner, Report, Settings},
//!     policy::Distance,
//!     state::{AgentId, AgentState, Contents, Kind},
//! };
//!
//! struct Adapter(AgentId);
//!
//! impl AgentState for Adapter {
//!     fn id(&self) -> u64 { self.0.0 }
//!     fn owners(&self) -> Vec<AgentId> { vec![self.0] }
//!     fn bytes(&self) -> u64 { 64 << 20 }
//!     fn kind(&self) -> Kind { Kind::Lora }
//!     fn contents(&self) -> Contents { Contents::Host { version: 1 } }
//!     fn reload_cost_ns(&self) -> u64 { 2_700_000 }
//! }
//!
//! let settings =
//!     Settings { budget_bytes: 1 << 30, chunk_bytes: 16 << 20, chunks_in_flight: 2 };
//! let mut planner = Planner::new(Box::new(Distance), settings);
//! let agent = AgentId(7);
//! let state = planner.register(&Adapter(agent)).unwrap();
//! planner.observe(Event::Begin { state, agent }).unwrap();
//! // A device applies at once here; a real one answers when its event has fired.
//! while let Some(action) = planner.decide() {
//!     planner.observe(Event::Applied { action, result: Ok(()) }).unwrap();
//! }
//! let granted = std::iter::from_fn(|| planner.report())
//!     .any(|report| matches!(report, Report::Granted { agent: AgentId(7), .. }));
//! assert!(granted);
//! ```

#![no_std]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

pub mod device;
#[forbid(unsafe_code)]
pub mod distance;
#[cfg(feature = "driver")]
pub mod driver;
#[cfg(feature = "std")]
pub mod engine;
#[cfg(feature = "heap")]
pub mod heap;
#[cfg(feature = "driver")]
#[forbid(unsafe_code)]
pub mod options;
#[forbid(unsafe_code)]
pub mod order;
#[forbid(unsafe_code)]
pub mod planner;
#[forbid(unsafe_code)]
pub mod policy;
#[forbid(unsafe_code)]
pub mod random;
#[forbid(unsafe_code)]
pub mod ranges;
#[forbid(unsafe_code)]
pub mod state;
