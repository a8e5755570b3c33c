//! The stage: a host on a model device, beside a shadow that knows what every state must hold.

mod ends;
mod shadow;

pub use shadow::Plain;

use super::model::{GRAIN, ModelDevice};
use ace_alloc_cuda::{
    device::DeviceAddress,
    engine::{Borrowed, EngineError, GroupId, Host, HostCopy, Pace, Settings},
    planner::Handle,
    policy::{Distance, Hedge, Lru, Policy},
    state::AgentId,
};
use ace_alloc_tests::random::Random;
use shadow::Shadow;
use std::{collections::BTreeMap, ptr::NonNull};

pub const BUDGET_BYTES: u64 = 16 * GRAIN;
/// Room for buffers that are smaller than a chunk, and for the host copies of a few states.
pub const PINNED_BYTES: usize = 2816;

/// Small enough for a state to have several chunks, and a chunk several pieces.
pub fn settings() -> Settings {
    Settings {
        chunk_bytes: 3 * GRAIN / 2,
        block_bytes: 4 * GRAIN,
        window_ns: 20_000,
        ..Settings::new(BUDGET_BYTES, PINNED_BYTES)
    }
}

pub fn policy(which: usize) -> Box<dyn Policy> {
    match which % 3 {
        0 => Box::new(Lru),
        1 => Box::new(Distance),
        _ => Box::new(Hedge),
    }
}

pub struct Use {
    pub group: GroupId,
    pub states: Vec<Handle>,
    pub is_granted: bool,
    /// It has kernels on this queue, which could not be marked.
    computes_on: Option<u64>,
}

pub struct Stage {
    pub seed: u64,
    pub device: ModelDevice,
    /// `None` only while the stage is torn down.
    host: Option<Host<ModelDevice>>,
    pub states: BTreeMap<Handle, Shadow>,
    /// Unregistered, and maybe still in the host's hands.
    leaving: Vec<(Handle, Shadow)>,
    pub uses: Vec<Use>,
    pub random: Random,
    pub refusals: Vec<EngineError>,
    pub grants: usize,
    now_ns: u64,
    next_id: u64,
    pub step: u64,
    /// The device was lost and replaced.
    pub restored: bool,
}

impl Stage {
    pub fn new(seed: u64, which: usize) -> Self {
        // More than the budget, which is to be kept nevertheless.
        let device = ModelDevice::new(seed, 2 * BUDGET_BYTES);
        let host = Host::new(device.clone(), policy(which), settings()).expect("a sound device");
        Self::with_host(seed, device, host)
    }

    pub fn with_host(seed: u64, device: ModelDevice, host: Host<ModelDevice>) -> Self {
        Self {
            seed,
            device,
            host: Some(host),
            states: BTreeMap::new(),
            leaving: Vec::new(),
            uses: Vec::new(),
            random: Random::new(seed ^ 1),
            refusals: Vec::new(),
            grants: 0,
            now_ns: 0,
            next_id: 0,
            step: 0,
            restored: false,
        }
    }

    pub fn host(&mut self) -> &mut Host<ModelDevice> {
        self.host.as_mut().expect("the stage stands")
    }

    pub fn noise(&mut self, bytes: usize) -> Vec<u8> {
        (0..bytes).map(|_| self.random.draw() as u8).collect()
    }

    pub fn handles(&self) -> Vec<Handle> {
        self.states.keys().copied().collect()
    }

    /// Registers a state whose host copy is kept, or lent, as chance has it.
    pub fn register(&mut self, mut plain: Plain) -> Result<Handle, EngineError> {
        self.next_id += 1;
        plain.id = self.next_id;
        let contents = self.noise(plain.bytes as usize);
        let mut borrowed = None;
        let is_lent = self.random.below(3) == 0;
        let copy = if is_lent {
            let memory: Box<[u8]> = contents.clone().into();
            let bytes = memory.len();
            let memory = NonNull::from(Box::leak(memory));
            borrowed = Some(memory);
            // SAFETY: it is freed when the host does not hold the state any more.
            HostCopy::Borrowed(unsafe { Borrowed::new(memory.cast(), bytes) })
        } else {
            HostCopy::KeptFrom(&contents)
        };
        let answer = self.host().register(&plain, copy);
        let truth = plain.on_host.then(|| contents.clone());
        let history = truth.iter().cloned().collect();
        let (address, users, pins) = (None, 0, 0);
        let shadow = Shadow { plain, truth, history, address, users, pins, borrowed };
        match answer {
            Ok(handle) => assert!(self.states.insert(handle, shadow).is_none()),
            Err(_) => free(&shadow),
        }
        answer
    }

    pub fn unregister(&mut self, state: Handle) -> Result<(), EngineError> {
        let answer = self.host().unregister(state);
        if answer.is_ok() {
            let shadow = self.states.remove(&state).expect("registered");
            self.leaving.push((state, shadow));
        }
        self.hear();
        answer
    }

    pub fn request(&mut self, agent: AgentId, states: &[Handle]) -> Result<(), EngineError> {
        let group = self.host().request(agent, states)?;
        self.uses.push(Use {
            group,
            states: states.to_vec(),
            is_granted: false,
            computes_on: None,
        });
        self.hear();
        Ok(())
    }

    /// So many turns of the host.
    pub fn turns(&mut self, count: usize) -> Pace {
        let mut pace = Pace::Idle;
        for _ in 0..count {
            self.now_ns += 1000;
            let now_ns = self.now_ns;
            pace = self.host().turn(now_ns);
            self.hear();
        }
        pace
    }

    /// Turns until nothing waits and nothing moves.
    pub fn rest(&mut self) {
        for _ in 0..20_000 {
            let pace = self.turns(1);
            let waits = self.uses.iter().any(|one| !one.is_granted);
            if !waits && matches!(pace, Pace::Idle | Pace::After(_)) {
                return;
            }
        }
        let stats = self.host().stats();
        panic!("seed {}: no rest: {stats:?}", self.seed);
    }

    /// Takes in what came of requests.
    fn hear(&mut self) {
        let _ = self.host().take_news();
        for at in (0..self.uses.len()).rev() {
            if self.uses[at].is_granted {
                continue;
            }
            let group = self.uses[at].group;
            match self.host().outcome(group) {
                None => {}
                Some(Ok(())) => self.granted(at),
                Some(Err(error)) => {
                    self.refusals.push(error);
                    self.uses.remove(at);
                }
            }
        }
        let host = self.host.as_ref().expect("the stage stands");
        self.leaving.retain(|(state, shadow)| {
            let stays = host.holds(*state);
            if !stays {
                free(shadow);
            }
            stays
        });
    }

    fn granted(&mut self, at: usize) {
        self.grants += 1;
        let (group, states) = (self.uses[at].group, self.uses[at].states.clone());
        self.uses[at].is_granted = true;
        for state in states {
            let seed = self.seed;
            let (address, fresh) = match self.host().granted_state(group, state) {
                Ok(part) => part,
                Err(EngineError::DeviceLost) => continue,
                Err(error) => panic!("seed {seed}: {error}"),
            };
            let new = self.noise(self.states[&state].plain.bytes as usize);
            let shadow = self.states.get_mut(&state).expect("registered");
            shadow.users += 1;
            let before = shadow.address.replace(address);
            assert!(before.is_none_or(|before| before == address), "seed {seed}: it has moved");
            if fresh {
                let may = shadow.truth.is_none() || shadow.plain.recompute_ns.is_some();
                assert!(may, "seed {seed}: contents were thrown away");
                if shadow.users == 1 {
                    self.device.model().write(address, &new);
                    shadow.set(new.clone());
                    let whole = 0..new.len() as u64;
                    self.host().wrote(group, state, whole).expect("granted");
                }
                continue;
            }
            let mut model = self.device.model();
            if !model.is_lost && !model.has_kernel(address, new.len()) {
                let found = model.read(address, new.len());
                assert_eq!(Some(&found), shadow.truth.as_ref(), "seed {seed}: wrong contents");
            }
        }
    }

    /// A new part for a state's contents, if a granted use may write to it: it is the only user, and nobody
    /// still computes.
    fn change(&mut self, at: usize, state: Handle) -> Option<(DeviceAddress, usize, Vec<u8>)> {
        let group = self.uses[at].group;
        let address = self.host().granted_state(group, state).ok()?.0;
        let bytes = self.states[&state].plain.bytes as usize;
        let is_only = self.states[&state].users == 1 && self.states[&state].truth.is_some();
        let model = self.device.model();
        if !is_only || model.is_lost || model.has_kernel(address, bytes) {
            return None;
        }
        drop(model);
        let start = self.random.below(bytes);
        let length = 1 + self.random.below(bytes - start);
        let part = self.noise(length);
        let range = start as u64..(start + length) as u64;
        self.host().wrote(group, state, range).expect("granted");
        Some((address, start, part))
    }

    pub fn write(&mut self, at: usize, state: Handle) {
        let Some((address, start, part)) = self.change(at, state) else { return };
        self.device.model().write(address.plus(start as u64), &part);
        self.set_part(state, start, &part);
    }

    fn set_part(&mut self, state: Handle, start: usize, part: &[u8]) -> Vec<u8> {
        let shadow = self.states.get_mut(&state).expect("registered");
        let mut truth = shadow.truth.clone().expect("contents");
        let before = truth.clone();
        truth[start..start + part.len()].copy_from_slice(part);
        shadow.set(truth);
        before
    }

    pub fn end(&mut self, at: usize) {
        let one = self.uses.remove(at);
        self.leave(&one);
        if one.computes_on.is_some() {
            self.device.model().synchronize();
        }
        self.host().end(one.group).expect("a granted use");
        self.hear();
    }

    fn leave(&mut self, one: &Use) {
        for state in &one.states {
            let shadow = self.states.get_mut(state).expect("in use");
            // Granted and lost in one turn: never seen in use.
            shadow.users = shadow.users.saturating_sub(1);
        }
    }

    /// Ends a use after kernels that read, and sometimes write, all its states. Returns whether it did.
    pub fn end_after(&mut self, at: usize, queue: u64) -> bool {
        let queue = self.uses[at].computes_on.unwrap_or(queue);
        for state in self.uses[at].states.clone() {
            let group = self.uses[at].group;
            let Ok((address, _)) = self.host().granted_state(group, state) else { continue };
            let bytes = self.states[&state].plain.bytes as usize;
            let contents = self.states[&state].truth.clone();
            let busy = self.device.model().has_kernel(address, bytes);
            let Some(contents) = contents.filter(|_| !busy && !self.device.model().is_lost) else {
                continue;
            };
            let mut written = contents.clone();
            if let Some((_, start, part)) = self.change(at, state) {
                self.set_part(state, start, &part);
                written[start..start + part.len()].copy_from_slice(&part);
            }
            self.device.model().launch(queue, address, contents, written);
        }
        let group = self.uses[at].group;
        // SAFETY: the model's queues of callers always exist.
        let answer = unsafe { self.host().end_after(group, queue) };
        if answer.is_ok() {
            let one = self.uses.remove(at);
            self.leave(&one);
        } else {
            self.uses[at].computes_on = Some(queue);
        }
        self.hear();
        answer.is_ok()
    }
}

fn free(shadow: &Shadow) {
    if let Some(memory) = shadow.borrowed {
        // SAFETY: `register` leaked it, and the host does not hold the state.
        drop(unsafe { Box::from_raw(memory.as_ptr()) });
    }
}
