//! The engine call by call, on a clock of the fake's: whichever call of the driver fails, once or for good.
//! Floor: garden.

use super::agents::{AGENTS, BUDGET_BYTES, Filler, Plain, bytes_of, device, ends, settings};
use ace_alloc_cuda::device::DeviceAddress;
use ace_alloc_cuda::distance::{NextUse, Source};
use ace_alloc_cuda::driver::CudaDevice;
use ace_alloc_cuda::engine::{EngineError, GroupId, Host, HostCopy, Pace};
use ace_alloc_cuda::planner::Handle;
use ace_alloc_cuda::policy::Hedge;
use ace_alloc_cuda::state::AgentId;
use ace_alloc_tests::fake_cuda::{self, Fake, Live};
use ace_alloc_tests::random::{self, Random};
use std::collections::BTreeMap;

/// A queue that goes nowhere for so many turns is stuck.
const MOST_TURNS: usize = 20_000;

/// Of a run in which a call fails; and so many calls there are in it.
const ROUNDS: u64 = 16;
const LEAST_CALLS: u64 = 300;

/// What a state must hold: this number, in every word.
struct Shadow {
    agent: AgentId,
    words: u64,
    value: u32,
}

struct House<'a> {
    fake: &'a Fake,
    host: Host<CudaDevice>,
    filler: Filler,
    states: BTreeMap<Handle, Shadow>,
    random: Random,
    refused: u64,
}

impl<'a> House<'a> {
    /// An engine with two states for each agent. Nothing fails yet.
    fn new(fake: &'a Fake, seed: u64) -> Self {
        let device = device(fake);
        let filler = Filler::new(&device);
        let host = Host::new(device, Box::new(Hedge), settings()).expect("an engine");
        let (states, random) = (BTreeMap::new(), Random::new(seed));
        let mut house = Self { fake, host, filler, states, random, refused: 0 };
        for (value, plain) in (0..).zip(Plain::all()) {
            let words = plain.words();
            let contents = bytes_of(value, words);
            let state = house.host.register(&plain, HostCopy::KeptFrom(&contents));
            let shadow = Shadow { agent: plain.agent, words, value };
            house.states.insert(state.expect("a sound state"), shadow);
        }
        house
    }

    fn turn(&mut self) -> Pace {
        let now_ns = self.fake.pass(500);
        self.host.turn(now_ns)
    }

    /// One use of one or both states of an agent, from its request to its end.
    fn round(&mut self, step: u64) {
        if self.host.is_lost() {
            return;
        }
        self.host.step(step).expect("steps grow");
        let agent = AgentId(self.random.below(AGENTS as usize) as u64);
        let next = NextUse::at(step + 1 + self.random.below(20) as u64);
        self.host.expect(agent, Source::Hint, next).expect("an agent with states");
        let own = self.states.iter().filter(|(_, shadow)| shadow.agent == agent);
        let mut group: Vec<Handle> = own.map(|(state, _)| *state).collect();
        group.truncate(1 + self.random.below(2));
        let wanted = self.host.request(agent, &group);
        let granted = wanted.and_then(|id| self.outcome(id).map(|()| id));
        match granted {
            Ok(id) => self.compute(id, &group),
            Err(EngineError::Twice(_) | EngineError::UnknownState) => panic!("{granted:?}"),
            Err(_) => self.refused += 1,
        }
    }

    fn outcome(&mut self, id: GroupId) -> Result<(), EngineError> {
        for _ in 0..MOST_TURNS {
            if let Some(outcome) = self.host.outcome(id) {
                return outcome;
            }
            self.turn();
        }
        panic!("a request was neither granted nor refused");
    }

    /// Looks at what was granted, and writes to some of it by a kernel that runs late.
    fn compute(&mut self, id: GroupId, group: &[Handle]) {
        // A state that stayed may still be in the hands of an earlier use's kernel.
        let is_well = self.wait_for_kernels();
        for state in group.iter().filter(|_| is_well) {
            let Ok((address, is_fresh)) = self.host.granted_state(id, *state) else { continue };
            assert!(!is_fresh, "all of them came with contents");
            let shadow = &self.states[state];
            let words = shadow.words;
            assert_eq!(ends(address, words), [shadow.value; 2], "contents that were granted");
            if self.random.below(2) == 0 && self.host.wrote(id, *state, 0..4 * words).is_ok() {
                self.launch(*state, address);
            }
        }
        let queue = self.filler.stream.as_queue();
        // SAFETY: The stream lives as long as the house.
        let ended = unsafe { self.host.end_after(id, queue) };
        if let Err(EngineError::Device(_)) = ended {
            // No mark could be set: the work is waited for instead.
            self.wait_for_kernels();
            self.host.end(id).expect("the use goes on");
        }
    }

    fn launch(&mut self, state: Handle, address: DeviceAddress) {
        let value = self.random.draw() as u32;
        let Some(shadow) = self.states.get_mut(&state) else { return };
        // SAFETY: The engine keeps the memory until the stream has come past it.
        if unsafe { self.filler.fill(address, shadow.words, value) } {
            shadow.value = value;
        }
    }

    /// Whether all have ended well.
    fn wait_for_kernels(&self) -> bool {
        // One call fails at most; after a loss all do.
        self.filler.stream.synchronize().or_else(|_| self.filler.stream.synchronize()).is_ok()
    }

    fn rest(&mut self) {
        for _ in 0..MOST_TURNS {
            if let Pace::Idle | Pace::After(_) = self.turn() {
                return;
            }
        }
        panic!("the engine does not come to rest");
    }

    /// After a loss, what the host has is the newest, or it was reported.
    fn assert_nothing_lost_in_silence(&mut self) {
        let lost: Vec<Handle> = self.host.losses().iter().map(|loss| loss.state).collect();
        for (state, shadow) in &self.states {
            let mut found = vec![0; 4 * shadow.words as usize];
            let read = self.host.read_host(*state, 0, &mut found);
            let is_right = read.is_ok() && found == bytes_of(shadow.value, shadow.words);
            assert!(is_right || lost.contains(state), "{state:?}: {read:?}");
        }
    }

    /// All states leave, and with them all that was made.
    fn finish(mut self) {
        self.rest();
        let states: Vec<Handle> = self.states.keys().copied().collect();
        for state in states {
            self.host.unregister(state).expect("not in use");
        }
        self.rest();
        let (fake, misuses) = (self.fake, self.fake.misuses());
        drop(self);
        assert_eq!((fake.live(), misuses), (Live::default(), 0));
    }
}

/// A run in which a rule is in force. Returns whether there were calls enough for it.
fn run(fake: &Fake, seed: u64, rounds: u64, rule: Option<(u64, &str)>) -> bool {
    let mut house = House::new(fake, seed);
    let before = fake.calls(None);
    if let Some((call, what)) = rule {
        fake.configure(&format!("fail=*:{call}:{what}"));
    }
    for step in 1..=rounds {
        house.round(step);
    }
    let calls = fake.calls(None) - before;
    fake.configure("fail=none");
    if house.host.is_lost() {
        house.assert_nothing_lost_in_silence();
    } else {
        assert!(rule.is_some() || house.refused == 0, "nothing failed");
        // What was learned from a failure is forgotten, and all are served again.
        house.host.set_budget(BUDGET_BYTES);
        let refused = house.refused;
        for step in 1..=AGENTS {
            house.round(rounds + step);
        }
        assert_eq!(house.refused, refused, "{rule:?}");
    }
    house.finish();
    rule.is_some_and(|(call, _)| call <= calls)
}

#[test]
fn contents_are_right_whenever_they_are_granted_and_nothing_is_left() {
    let (fake, seed) = (fake_cuda::load(), random::seed());
    for case in 0..4 {
        run(&fake, seed ^ case, 300, None);
    }
}

#[test]
fn whichever_call_fails_once_contents_are_right_and_nothing_is_left() {
    let (fake, seed) = (fake_cuda::load(), random::seed());
    // Every call is refused; every third lacks memory, which means something else to few of them.
    for (code, stride) in [("999", 1), ("2", 3)] {
        let mut call = 1;
        while run(&fake, seed, ROUNDS, Some((call, code))) {
            call += stride;
        }
        assert!(call > LEAST_CALLS, "only {call} calls could be made to fail with {code}");
    }
}

#[test]
fn whichever_call_loses_the_device_the_newest_contents_are_on_the_host_or_reported_lost() {
    let (fake, seed) = (fake_cuda::load(), random::seed());
    let mut call = 1;
    while run(&fake, seed, ROUNDS, Some((call, "719:lost"))) {
        call += 1;
    }
    assert!(call > LEAST_CALLS, "only {call} calls could be made to lose the device");
}
