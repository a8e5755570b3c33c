//! The engine: the planner made real over a [`Device`](crate::device::Device). Floor: third.
//!
//! ```text
//!  Engine   one thread around a Host; calls from any thread        client, lease, thread
//!  Host     planner, uses, copies, pages, arena: no thread, no clock of its own
//!             uses, admission   groups of states for an agent, all or none
//!             copies   chunks under way, marks, staging
//!             pages    physical memory behind addresses that stay
//!             arena    pinned host memory, bounded
//!             meter    the link's speed, and its spare time
//! ```
//!
//! Promises, on top of the planner's:
//!
//! * A state keeps its device address until it is unregistered or the device is lost.
//! * Memory is unmapped only when no copy and no use touches it: a use that ended after a queue's work ends
//!   when the device says that this work is done.
//! * Mapped memory and pooled memory together stay within the budget, pinned memory within its own.
//! * A group is granted whole or not at all. Groups are admitted in the order in which they came, and only
//!   while all that is claimed by uses, pins and retained states fits: no two wait for each other, and none
//!   waits for ever while others end.
//! * When the device is lost, waiting groups are refused, host copies of the newest version stay, and all
//!   else is in [`Host::losses`].
//!
//! ```
//! use ace_alloc_cuda::{
//!     device::Device,
//!     distance::{NextUse, Source},
//!     engine::{Engine, HostCopy, Settings},
//!     policy::default_policy,
//!     state::{AgentId, AgentState},
//! };
//!
//! fn serve<D: Device + Send + 'static>(
//!     device: D,
//!     adapter: &dyn AgentState,
//!     weights: &[u8],
//! ) -> Result<(), Box<dyn std::error::Error>> {
//!     let agent = AgentId(7);
//!     // 8 GiB on the device, 2 GiB pinned on the host.
//!     let engine = Engine::start(device, default_policy(), Settings::new(8 << 30, 2 << 30))?;
//!     let state = engine.register(adapter, HostCopy::KeptFrom(weights))?;
//!     engine.step(1)?;
//!     engine.expect(agent, Source::Plan, NextUse::at(3))?;
//!     let lease = engine.acquire(agent, &[state])?;
//!     if let Some(address) = lease.address(state) {
//!         // Launch work on `queue` that reads and writes there, and say what it writes.
//!         let (queue, _) = (0, address);
//!         lease.wrote(state, 0..4096)?;
//!         // SAFETY: all work that touches the state is queued on this queue of the device.
//!         unsafe { lease.end_after(queue) }?;
//!     }
//!     Ok(engine.stop()?)
//! }
//! ```
//!
//! What is not promised: while a state is being written back, its host copy is neither the old version nor
//! the new one. If the device is lost just then, both are gone, and the state is reported lost.

mod admission;
mod arena;
mod calls;
mod client;
mod copies;
mod error;
mod faults;
mod host;
mod lease;
mod memory;
mod meter;
mod moves;
mod pages;
mod thread;
mod uses;

pub use client::Engine;
pub use error::EngineError;
pub use host::{Host, Pace};
pub use lease::{EndAfterError, Lease, Ticket};
pub use memory::{Borrowed, HostCopy};
pub use uses::GroupId;

use crate::planner::{Handle, Totals};

/// The sizes an engine works with.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Device memory for states, mapped and kept for reuse together.
    pub budget_bytes: u64,
    /// Host memory that may be pinned.
    pub pinned_bytes: usize,
    /// Copies are cut into chunks of this size, so that a demand need not wait for a whole prefetch.
    pub chunk_bytes: u64,
    /// So many chunks are under way in each direction; 2 keep a link busy.
    pub chunks_in_flight: u32,
    /// The largest block of physical memory; rounded up to a power of two.
    pub block_bytes: u64,
    /// The planner hears at least so often how much time the link had to spare, in nanoseconds, and at every
    /// step unless a quarter of it has not passed. What the link carries in a quarter of it is the largest
    /// state that is fetched without being asked for, if steps are short.
    pub window_ns: u64,
    /// The speed of the link until it has been measured.
    pub assumed_bytes_per_second: u64,
}

impl Settings {
    /// So much memory on the device and so much pinned on the host; chunks and blocks of 16 MiB.
    #[must_use]
    pub const fn new(budget_bytes: u64, pinned_bytes: usize) -> Self {
        Self {
            budget_bytes,
            pinned_bytes,
            chunk_bytes: 16 << 20,
            chunks_in_flight: 2,
            block_bytes: 16 << 20,
            window_ns: 100_000_000,
            assumed_bytes_per_second: 12_000_000_000,
        }
    }

    const fn check(&self) -> Result<(), EngineError> {
        let wrong = match self {
            Self { budget_bytes: 0, .. } => "budget_bytes",
            Self { chunk_bytes: 0, .. } => "chunk_bytes",
            Self { chunks_in_flight: 0, .. } => "chunks_in_flight",
            Self { block_bytes: 0, .. } => "block_bytes",
            Self { assumed_bytes_per_second: 0, .. } => "assumed_bytes_per_second",
            _ => return Ok(()),
        };
        Err(EngineError::BadSettings(wrong))
    }
}

/// A state whose newest contents were on a lost device only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// What.
    pub state: Handle,
    /// The caller's number for it.
    pub id: u64,
    /// The version that is lost.
    pub version: u64,
    /// The version that the host has whole.
    pub host_version: Option<u64>,
}

/// What an engine did so far, and how it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// What the planner did. States count in whole grains of device memory.
    pub totals: Totals,
    /// Registered states, and those that are leaving.
    pub states: usize,
    /// Groups that wait.
    pub waiting_groups: usize,
    /// Groups that are granted and not over.
    pub groups_in_use: usize,
    /// The budget, or less if the device had less.
    pub limit_bytes: u64,
    /// What uses, pins and retained states claim of it.
    pub claimed_bytes: u64,
    /// Device memory behind states.
    pub mapped_bytes: u64,
    /// Device memory kept for reuse.
    pub pooled_bytes: u64,
    /// Device memory that could not be unmapped.
    pub stranded_bytes: u64,
    /// Pinned host memory.
    pub pinned_bytes: usize,
    /// How often the device did not pin what it was asked for.
    pub pin_refusals: u64,
    /// Bytes that arrived on the device.
    pub inward_bytes: u64,
    /// Bytes that arrived on the host.
    pub outward_bytes: u64,
    /// The measured speed to the device.
    pub inward_bytes_per_second: Option<u64>,
    /// The measured speed from the device.
    pub outward_bytes_per_second: Option<u64>,
    /// Copies between the device and a pinned host copy.
    pub direct_copies: u64,
    /// Copies through a pinned buffer.
    pub staged_copies: u64,
    /// Copies from or to memory that is not pinned, because nothing could be pinned.
    pub pageable_copies: u64,
    /// Copies, maps and unmaps that failed.
    pub failures: u64,
    /// Whether the device is lost.
    pub is_lost: bool,
}
