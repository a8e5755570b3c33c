//! What an agent keeps on a device: [`AgentState`], and the names of agents and kinds. Floor: cellar.
//!
//! A state is one contiguous range of device memory with one host copy. An agent may have several, and a
//! state may belong to several agents. A new sort of state is a new type that implements [`AgentState`];
//! nothing in this package needs to know it.

use crate::ranges::Ranges;
use alloc::vec::Vec;

/// An agent, by the caller's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentId(pub u64);

/// What a state holds. The planner treats all alike; it is for reports and for policies of your own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A model's own weights.
    Weights,
    /// A low-rank adapter.
    Lora,
    /// Keys and values of attention.
    Kv,
    /// Anything else.
    Opaque,
    /// A kind of the caller's, by the caller's number.
    Custom(u32),
}

/// Where the contents of a state are when it is registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contents {
    /// Nowhere yet: the first user computes them.
    None,
    /// On the host, in this version.
    Host {
        /// Counts the writes; the planner goes on counting from here.
        version: u64,
    },
}

/// One state of one or more agents, as its owner describes it.
pub trait AgentState {
    /// The caller's number for it; it comes back in reports.
    fn id(&self) -> u64;
    /// The agents that use it. They need not be known before.
    fn owners(&self) -> Vec<AgentId>;
    /// Its size on the device, above 0.
    fn bytes(&self) -> u64;
    /// What it holds.
    fn kind(&self) -> Kind;
    /// Where its contents are now.
    fn contents(&self) -> Contents;
    /// Bytes that differ on the device from the host copy once it is there; usually none.
    fn dirty(&self) -> Ranges {
        Ranges::none()
    }
    /// What it costs to copy it to the device.
    fn reload_cost_ns(&self) -> u64;
    /// What it costs to compute it anew; `None` if that can't be done.
    fn recompute_cost_ns(&self) -> Option<u64> {
        None
    }
}
