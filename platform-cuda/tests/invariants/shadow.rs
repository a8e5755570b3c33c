//! The shadow of one state: host copy, device memory and true contents, byte by byte.

use ace_alloc_cuda::{
    planner::{CommandId, Span},
    ranges::Ranges,
    state::{AgentId, AgentState, Contents, Kind},
};

/// What a test registers.
#[derive(Clone, Debug)]
pub struct Plain {
    pub id: u64,
    pub owners: Vec<AgentId>,
    pub bytes: u64,
    pub on_host: bool,
    pub recompute_ns: Option<u64>,
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
        Kind::Custom(self.bytes as u32)
    }
    fn contents(&self) -> Contents {
        if self.on_host { Contents::Host { version: 1 } } else { Contents::None }
    }
    fn dirty(&self) -> Ranges {
        Ranges::none()
    }
    fn reload_cost_ns(&self) -> u64 {
        100
    }
    fn recompute_cost_ns(&self) -> Option<u64> {
        self.recompute_ns
    }
}

#[derive(Debug)]
pub struct Shadow {
    pub plain: Plain,
    pub is_registered: bool,
    /// What a reader must find; `None` if there is nothing to be found.
    pub truth: Option<Vec<u64>>,
    pub host: Vec<u64>,
    pub device: Option<Vec<u64>>,
    pub users: u32,
    pub pins: u32,
    pub retained_until: u64,
    pub waiting: Vec<AgentId>,
    /// The one command that may act on it now.
    pub command: Option<CommandId>,
    /// That command brings it to the device.
    pub is_load: bool,
}

impl Shadow {
    pub fn new(plain: &Plain, host: Vec<u64>) -> Self {
        Self {
            plain: plain.clone(),
            is_registered: true,
            truth: plain.on_host.then(|| host.clone()),
            host,
            device: None,
            users: 0,
            pins: 0,
            retained_until: 0,
            waiting: Vec::new(),
            command: None,
            is_load: false,
        }
    }

    pub fn assert_free(&self, step: u64) {
        let kept = self.is_registered && (self.pins > 0 || self.retained_until > step);
        assert!(self.users == 0 && (self.is_load || !kept), "invariant 1: {self:?}");
    }

    /// Device memory was given up: the contents are on the host, or were not worth keeping.
    pub fn check_given_up(&mut self) {
        let cheap = self.plain.recompute_ns.is_some_and(|cost_ns| cost_ns < 100);
        if self.truth.as_ref().is_some_and(|truth| *truth != self.host) {
            assert!(cheap || !self.is_registered, "invariant 8: {self:?}");
            self.truth = None;
        }
    }

    pub fn stop_waiting(&mut self, agent: AgentId) {
        let at = self.waiting.iter().position(|other| *other == agent);
        self.waiting.remove(at.expect("invariant 10: an answer that nobody waits for"));
    }
}

pub fn copy(from: &[u64], to: &mut [u64], span: Span, garbage: Option<u64>) {
    for at in span.offset_bytes as usize..(span.offset_bytes + span.bytes) as usize {
        to[at] = garbage.unwrap_or(from[at]);
    }
}
