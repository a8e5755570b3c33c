//! States as the tests describe them, and what each must hold.

use ace_alloc_cuda::{
    device::DeviceAddress,
    state::{AgentId, AgentState, Contents, Kind},
};
use std::ptr::NonNull;

/// A state as the tests describe it.
#[derive(Clone, Debug)]
pub struct Plain {
    pub id: u64,
    pub owners: Vec<AgentId>,
    pub bytes: u64,
    pub on_host: bool,
    pub recompute_ns: Option<u64>,
}

impl Plain {
    pub fn new(id: u64, agent: u64, bytes: u64) -> Self {
        Self { id, owners: vec![AgentId(agent)], bytes, on_host: true, recompute_ns: None }
    }
}

impl AgentState for Plain {
    fn id(&self) -> u64 {
        self.id
    }
    fn owners(&self) -> Vec<AgentId> {
        self.owners.clone()
    }
    fn bytes(&self) -> u64 {
        self.bytes
    }
    fn kind(&self) -> Kind {
        Kind::Opaque
    }
    fn contents(&self) -> Contents {
        if self.on_host { Contents::Host { version: 1 } } else { Contents::None }
    }
    fn reload_cost_ns(&self) -> u64 {
        0
    }
    fn recompute_cost_ns(&self) -> Option<u64> {
        self.recompute_ns
    }
}

pub struct Shadow {
    pub plain: Plain,
    /// What it holds; `None` if nothing was computed yet.
    pub truth: Option<Vec<u8>>,
    /// All that it has ever held.
    pub history: Vec<Vec<u8>>,
    pub address: Option<DeviceAddress>,
    pub users: u32,
    pub pins: u32,
    pub borrowed: Option<NonNull<[u8]>>,
}

impl Shadow {
    pub fn set(&mut self, truth: Vec<u8>) {
        self.history.push(truth.clone());
        self.truth = Some(truth);
    }
}
