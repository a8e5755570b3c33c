//! What the agents do: the simulator's trace with sizes, keys and contents of its own, and the host's model
//! of what becomes of them. Floor: second.

use crate::{
    args::{Args, Regime},
    bench::Pace,
    contents::{self, WORD},
    failure::Failure,
};
use ace_alloc_cuda_sim::{Trace, workload::Size};
use std::{collections::BTreeMap, ops::Range, thread, time::Duration};

/// The grain of sizes: whole words in each eighth.
const GRAIN: u64 = 4096;
/// Of the footprint, in bytes: larger ones take long to fill and to pin.
const MOST_BYTES: u64 = 24 << 30;
/// Of each state so many words are computed by the model, and those where something begins or ends.
const SAMPLES: u64 = 256;

/// A use of a state.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Among all, in the trace's order; arms may serve those of a step in another one.
    pub number: usize,
    pub agent: u32,
    pub key: u64,
}

/// A word of a state and what it is in the end.
type Sample = (u64, u64);

pub struct Plan {
    pub trace: Trace,
    pub steps: Vec<Vec<Request>>,
    pub seeds: Vec<u64>,
    /// Of each state's first contents.
    pub digests: Vec<u64>,
    /// What each state takes on the device.
    pub device_bytes: Vec<u64>,
    pub scale: u64,
    /// Of the states' kernels, chosen by [`Self::tune`].
    pub rounds: Vec<u32>,
    samples: Vec<Vec<Sample>>,
    /// A request and its output, as the model has it.
    output: (usize, u64),
}

/// What the plan must fit into.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    pub device_bytes: u64,
    pub host_bytes: u64,
    pub granularity: u64,
}

impl Plan {
    pub fn new(args: &Args, room: Room) -> Result<Self, Failure> {
        let size = Size { agents: args.agents, steps: args.steps };
        let trace = args.workload.trace(size, args.seed).with_hints(args.hints, args.seed);
        let scale = args.scale.map_or_else(|| fitting(&trace, room), Ok)?;
        let trace = scaled(trace, scale);
        let device_bytes: Vec<u64> =
            trace.sizes.iter().map(|bytes| bytes.next_multiple_of(room.granularity)).collect();
        let footprint: u64 = trace.sizes.iter().sum();
        if footprint > room.host_bytes / 2 {
            return Err(Failure::Unfit(format!(
                "the states take {footprint} bytes, and twice that must fit into the {} that the host \
                 has available: choose a larger --scale or fewer --agents",
                room.host_bytes
            )));
        }
        let mut number = 0;
        let mut request = |step: u64, agent: u32| {
            number += 1;
            let key = contents::seed_of(contents::seed_of(args.seed, step), agent.into());
            Request { number: number - 1, agent, key }
        };
        let steps = (0u64..).zip(&trace.steps).map(|(step, plan)| {
            plan.requests.iter().map(|agent| request(step, *agent)).collect::<Vec<_>>()
        });
        let steps: Vec<Vec<Request>> = steps.collect();
        if number == 0 {
            return Err(Failure::Unfit(
                "nobody is used in so few steps: choose more --steps".into(),
            ));
        }
        let agents = 0..trace.sizes.len() as u64;
        let seeds: Vec<u64> = agents.map(|agent| contents::seed_of(!args.seed, agent)).collect();
        let mut memory = vec![0; largest(&trace.sizes)];
        let digest =
            |(seed, bytes): (&u64, &u64)| contents::fill(&mut memory[..*bytes as usize], *seed);
        let digests = seeds.iter().zip(&trace.sizes).map(digest).collect();
        let rounds = vec![0; trace.sizes.len()];
        let (samples, output) = (Vec::new(), (0, 0));
        Ok(Self { trace, steps, seeds, digests, device_bytes, scale, rounds, samples, output })
    }

    pub fn words(&self, agent: u32) -> u64 {
        self.trace.sizes[agent as usize] / WORD
    }

    /// The words that a use writes: the last eighth, as in the simulator.
    pub fn written(&self, agent: u32) -> Range<u64> {
        let words = self.words(agent);
        words - words / 8..words
    }

    pub fn requests(&self) -> usize {
        self.steps.iter().map(Vec::len).sum()
    }

    /// On the device.
    pub fn footprint(&self) -> u64 {
        self.device_bytes.iter().sum()
    }

    pub fn host_footprint(&self) -> u64 {
        self.trace.sizes.iter().sum()
    }

    pub fn mean_bytes(&self) -> u64 {
        self.host_footprint() / self.trace.sizes.len() as u64
    }

    pub fn largest(&self) -> usize {
        largest(&self.trace.sizes)
    }

    /// So much of the footprint, but no less than the largest state takes.
    pub fn budget(&self, percent: u64) -> u64 {
        let largest = self.device_bytes.iter().copied().max().unwrap_or(0);
        (self.footprint() / 100 * percent).max(largest)
    }

    /// Chooses the rounds, so that a request computes so long whatever its state's size, and computes what
    /// must come of them.
    pub fn tune(&mut self, regime: Regime, pace: Pace, inward: f64) -> Duration {
        let copying = self.mean_bytes() as f64 / inward.max(1e6);
        let wanted = Duration::from_secs_f64(copying * regime.ratio());
        let words = self.trace.sizes.iter().map(|bytes| bytes / WORD);
        self.rounds = words.map(|words| pace.rounds(words, wanted)).collect();
        self.samples = self.model();
        self.output = self.model_output();
        wanted
    }

    /// The keys of each state's uses, in order.
    fn keys(&self) -> BTreeMap<u32, Vec<u64>> {
        let mut keys: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
        for request in self.steps.iter().flatten() {
            keys.entry(request.agent).or_default().push(request.key);
        }
        keys
    }

    fn model(&self) -> Vec<Vec<Sample>> {
        let keys = self.keys();
        let sample = |agent: u32| {
            let (written, rounds) = (self.written(agent), self.rounds[agent as usize]);
            let keys = keys.get(&agent).map_or(&[][..], Vec::as_slice);
            let value = |at: u64| {
                let word = contents::initial(self.seeds[agent as usize], at);
                let keys = if written.contains(&at) { keys } else { &[] };
                keys.iter().fold(word, |word, key| contents::mix(word, at, rounds, *key))
            };
            let words = self.words(agent);
            let spread = (0..words).step_by((words / SAMPLES).max(1) as usize);
            let edges = [written.start.saturating_sub(1), written.start, words - 1];
            spread.chain(edges).map(|at| (at, value(at))).collect()
        };
        (0..self.trace.sizes.len() as u32).map(sample).collect()
    }

    /// Of the first use of the smallest state that is used.
    fn model_output(&self) -> (usize, u64) {
        let mut seen = std::collections::BTreeSet::new();
        let first = self.steps.iter().flatten().filter(|request| seen.insert(request.agent));
        let Some(request) = first.min_by_key(|request| self.words(request.agent)) else {
            return (0, 0);
        };
        let (seed, rounds) =
            (self.seeds[request.agent as usize], self.rounds[request.agent as usize]);
        let part = |words: Range<u64>| {
            words.fold(0u64, |sum, at| {
                let mixed = contents::mix(contents::initial(seed, at), at, rounds, request.key);
                sum.wrapping_add(contents::term(mixed, at))
            })
        };
        let words = self.words(request.agent);
        let share = words.div_ceil(contents::threads() as u64);
        let sum = thread::scope(|scope| {
            let starts = (0..words).step_by(share as usize);
            let parts = starts.map(|at| scope.spawn(move || part(at..words.min(at + share))));
            contents::sum(parts.collect())
        });
        (request.number, sum)
    }

    /// Holds what a kernel and the copies around it did against the model: `sums` has three digests a
    /// request.
    pub fn check_sums(&self, sums: &[[u64; 3]]) -> Result<Vec<u64>, Failure> {
        let mut digests = self.digests.clone();
        for (step, requests) in self.steps.iter().enumerate() {
            for request in requests {
                let [before, after, _] = sums[request.number];
                let digest = &mut digests[request.agent as usize];
                if before != *digest {
                    let agent = request.agent;
                    return Err(Failure::Contents(format!(
                        "agent {agent}'s state, used in step {step}, is not as its last use left it"
                    )));
                }
                *digest = after;
            }
        }
        let (request, output) = self.output;
        if sums[request][2] != output {
            let text = "the kernel's output is not that of the host's model";
            return Err(Failure::Contents(text.into()));
        }
        Ok(digests)
    }

    /// Holds a state's last contents against the digest that its last use left, and against the model.
    pub fn check_state(&self, agent: u32, bytes: &[u8], digest: u64) -> Result<(), Failure> {
        let wrong = |what: &str| Err(Failure::Contents(format!("agent {agent}'s state, {what}")));
        if contents::digest(bytes, 0) != digest {
            return wrong("brought back at the end, is not as its last use left it");
        }
        let is_wrong = |(at, value): &&Sample| {
            let start = (at * WORD) as usize;
            contents::word_of(&bytes[start..]) != *value
        };
        match self.samples[agent as usize].iter().find(is_wrong) {
            Some((at, _)) => wrong(&format!("word {at}, is not what the model makes of it")),
            None => Ok(()),
        }
    }
}

fn largest(sizes: &[u64]) -> usize {
    sizes.iter().copied().max().unwrap_or(0) as usize
}

fn scaled(trace: Trace, scale: u64) -> Trace {
    let size = |bytes: &u64| (bytes / scale / GRAIN * GRAIN).max(GRAIN);
    let sizes = trace.sizes.iter().map(size).collect();
    Trace { sizes, writes: true, ..trace }
}

/// The least power of two from 2 on.
fn fitting(trace: &Trace, room: Room) -> Result<u64, Failure> {
    let fits = |scale: &u64| {
        let sizes = scaled(trace.clone(), *scale).sizes;
        let host: u64 = sizes.iter().sum();
        let device: u64 = sizes.iter().map(|bytes| bytes.next_multiple_of(room.granularity)).sum();
        host <= MOST_BYTES.min(room.host_bytes / 2) && device <= room.device_bytes / 10 * 9
    };
    let scale = (1..=12).map(|power| 1u64 << power).find(fits);
    let text = "so many states do not fit into the device and twice into the host: fewer --agents";
    scale.ok_or_else(|| Failure::Unfit(text.into()))
}
