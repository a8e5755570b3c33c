//! Promises of the whole house, from agents to the driver: the engine over `CudaDevice` over the fake, with
//! kernels of the users' own. Contents are right whenever they are granted, nothing goes too early, nothing
//! is left over; whichever call fails, once or for good. Floor: garden.
//!
//! `ACE_TEST_SEED` varies the runs.

#![cfg(feature = "driver")]

use ace_alloc_cuda::device::DeviceAddress;
use ace_alloc_cuda::distance::{NextUse, Source};
use ace_alloc_cuda::driver::{Argument, CudaDevice, Function, Grid, Library, Stream};
use ace_alloc_cuda::engine::{EngineError, GroupId, Host, HostCopy, Pace, Settings};
use ace_alloc_cuda::planner::Handle;
use ace_alloc_cuda::policy::Hedge;
use ace_alloc_cuda::state::{AgentId, AgentState, Contents, Kind};
use ace_alloc_tests::fake_cuda::{self, Fake, Live};
use ace_alloc_tests::random::{self, Random};
use std::collections::BTreeMap;
use std::ptr;

const GRAIN: u64 = 64 << 10;
const BUDGET_BYTES: u64 = 8 * GRAIN;
/// Memory is short: of 16 states, a few fit. A grain is copied in 16 µs, and a question takes 10.
const OPTIONS: &str = "memory_bytes=786432 granularity_bytes=65536 kernel_ns=30000 \
    in_bytes_per_second=4000000000 out_bytes_per_second=4000000000";
const AGENTS: u64 = 8;
const GRID: Grid = Grid { blocks: [1, 1, 1], threads: [256, 1, 1] };
/// A queue that goes nowhere for so many turns is stuck.
const MOST_TURNS: usize = 20_000;

/// Of a run in which a call fails; and so many calls there are in it.
const ROUNDS: u64 = 16;
const LEAST_CALLS: u64 = 300;

/// A state of an agent: so many grains.
struct Plain {
    agent: AgentId,
    grains: u64,
}

impl AgentState for Plain {
    fn id(&self) -> u64 {
        self.agent.0
    }
    fn owners(&self) -> Vec<AgentId> {
        vec![self.agent]
    }
    fn bytes(&self) -> u64 {
        self.grains * GRAIN
    }
    fn kind(&self) -> Kind {
        Kind::Opaque
    }
    fn contents(&self) -> Contents {
        Contents::Host { version: 1 }
    }
    fn reload_cost_ns(&self) -> u64 {
        self.grains * 16_000
    }
}

/// What a state must hold: this number, in every word.
struct Shadow {
    agent: AgentId,
    words: u64,
    value: u32,
}

struct House<'a> {
    fake: &'a Fake,
    host: Host<CudaDevice>,
    stream: Stream,
    fill: Function,
    states: BTreeMap<Handle, Shadow>,
    random: Random,
    refused: u64,
}

fn bytes_of(value: u32, words: u64) -> Vec<u8> {
    value.to_le_bytes().repeat(words as usize)
}

impl<'a> House<'a> {
    /// An engine with two states for each agent. Nothing fails yet.
    fn new(fake: &'a Fake, seed: u64) -> Self {
        fake.reset();
        fake.configure(OPTIONS);
        // SAFETY: The fake has the driver's ABI.
        let library = unsafe { Library::open(fake.path()) }.expect("a driver");
        let device = CudaDevice::open(library, 0).expect("a device");
        let stream = device.stream().expect("a stream");
        let module = device.module(c".version 7.0\n.target sm_52\n.visible .entry ace_fill(\n)");
        let fill = module.and_then(|module| module.function(c"ace_fill")).expect("a kernel");
        let settings = Settings {
            chunk_bytes: 3 * GRAIN / 2,
            block_bytes: 2 * GRAIN,
            window_ns: 200_000,
            ..Settings::new(BUDGET_BYTES, 6 * GRAIN as usize)
        };
        let host = Host::new(device, Box::new(Hedge), settings).expect("an engine");
        let (states, random) = (BTreeMap::new(), Random::new(seed));
        let mut house = Self { fake, host, stream, fill, states, random, refused: 0 };
        for number in 0..2 * AGENTS {
            let plain = Plain { agent: AgentId(number % AGENTS), grains: 1 + number % 3 };
            let (words, value) = (plain.bytes() / 4, number as u32);
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
            let ends = [address, address.plus(4 * (shadow.words - 1))].map(word);
            assert_eq!(ends, [shadow.value; 2], "contents that were granted");
            let words = shadow.words;
            if self.random.below(2) == 0 && self.host.wrote(id, *state, 0..4 * words).is_ok() {
                self.launch(*state, address);
            }
        }
        let queue = self.stream.as_queue();
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
        let arguments =
            [Argument::Address(address), Argument::U64(shadow.words), Argument::U32(value)];
        // SAFETY: The kernel's arguments; the engine keeps the memory until the stream has come past it.
        if unsafe { self.fill.launch(GRID, &self.stream, &arguments) }.is_ok() {
            shadow.value = value;
        }
    }

    /// Whether all have ended well.
    fn wait_for_kernels(&self) -> bool {
        // One call fails at most; after a loss all do.
        self.stream.synchronize().or_else(|_| self.stream.synchronize()).is_ok()
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

/// A word of the fake's device memory, which is the host's.
fn word(address: DeviceAddress) -> u32 {
    // SAFETY: The engine granted the address, and nothing on the device writes there now.
    unsafe { ptr::with_exposed_provenance::<u32>(address.0 as usize).read() }
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
