//! From requests to uses of states. Floor: tool.

use super::{Request, TraceError};
use crate::workload::{Step, Trace};
use ace_alloc_cuda::random::Random;
use std::collections::{HashMap, VecDeque};

/// So many steps a trace may have.
const MOST_STEPS: u64 = 1 << 20;
/// A drawn request continues one of so many sessions that were used last.
const RECENT: usize = 64;

/// Which requests use the same state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sessions {
    /// By the names of blocks. A request looks for its longest known prefix and for the session that used
    /// that last. It continues this session if the prefix is more than half of the request's blocks or
    /// more than half of those of the session's last request; otherwise it begins a session. So what many
    /// prompts begin with does not make one session of them all.
    Blocks,
    /// By chance, where nothing is named: a request continues, with probability 1 − 1/`turns`, one of the
    /// 64 sessions used last whose prompt and answer together were no longer than its own prompt; which
    /// one, the seed decides. Otherwise, and if there is none, it begins a session.
    Drawn {
        /// Requests of a session on average, if there are always sessions to continue.
        turns: u64,
        /// Of the chance.
        seed: u64,
    },
}

/// How requests become uses of states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Requests within so many milliseconds are a step.
    pub bucket_ms: u64,
    /// Size of the keys and values of one token. 128 KiB is 32 layers of 8 heads of 128 numbers of 2 bytes,
    /// twice.
    pub kv_bytes_per_token: u64,
}

/// A real trace, ready to run.
#[derive(Clone, Debug)]
pub struct Replay {
    /// Without hints.
    pub trace: Trace,
    /// Requests in the trace; a step has at most one use for each session.
    pub requests: u64,
}

/// Makes a workload of requests.
///
/// # Errors
/// [`TraceError::Empty`], [`TraceError::TooManySteps`].
pub fn replay(
    name: &'static str,
    requests: &[Request],
    sessions: Sessions,
    settings: Settings,
) -> Result<Replay, TraceError> {
    let (first, last) = requests.first().zip(requests.last()).ok_or(TraceError::Empty)?;
    let bucket = |request: &Request| (request.at_ms - first.at_ms) / settings.bucket_ms.max(1);
    let steps = bucket(last) + 1;
    if steps > MOST_STEPS {
        return Err(TraceError::TooManySteps { steps, most: MOST_STEPS });
    }
    let mut finder: Box<dyn Finder> = match sessions {
        Sessions::Blocks => Box::<ByBlocks>::default(),
        Sessions::Drawn { turns, seed } => {
            let random = Random::new(seed);
            Box::new(ByChance { turns, random, recent: VecDeque::new(), count: 0 })
        }
    };
    let mut sizes: Vec<u64> = Vec::new();
    let mut used_in: Vec<u64> = Vec::new();
    let mut trace_steps: Vec<Step> = (0..steps).map(|_| Step::default()).collect();
    for request in requests {
        let session = finder.session(request);
        let at = session as usize;
        if at == sizes.len() {
            sizes.push(0);
            used_in.push(u64::MAX);
        }
        let tokens = (request.prompt_tokens + request.answer_tokens).max(1);
        sizes[at] = sizes[at].max(tokens * settings.kv_bytes_per_token.max(1));
        let step = bucket(request);
        if std::mem::replace(&mut used_in[at], step) != step {
            trace_steps[step as usize].requests.push(session);
        }
    }
    let trace = Trace { name, sizes, steps: trace_steps, writes: true, born: true };
    Ok(Replay { trace, requests: requests.len() as u64 })
}

/// Sessions are numbered as they come.
trait Finder {
    fn session(&mut self, request: &Request) -> u32;
}

#[derive(Default)]
struct ByBlocks {
    /// The session that used a block last.
    holders: HashMap<u64, u32>,
    /// Of each session, the number of blocks of its last request.
    lengths: Vec<usize>,
}

impl Finder for ByBlocks {
    fn session(&mut self, request: &Request) -> u32 {
        let blocks = &request.blocks;
        let known = blocks.iter().rposition(|block| self.holders.contains_key(block));
        let holder = known.and_then(|at| {
            let session = self.holders[&blocks[at]];
            let shorter = blocks.len().min(self.lengths[session as usize]);
            ((at + 1) * 2 > shorter).then_some(session)
        });
        let session = holder.unwrap_or(self.lengths.len() as u32);
        if holder.is_none() {
            self.lengths.push(0);
        }
        self.lengths[session as usize] = blocks.len();
        self.holders.extend(blocks.iter().map(|block| (*block, session)));
        session
    }
}

struct ByChance {
    turns: u64,
    random: Random,
    /// Sessions and their tokens, the one used last at the end.
    recent: VecDeque<(u32, u64)>,
    count: u32,
}

impl Finder for ByChance {
    fn session(&mut self, request: &Request) -> u32 {
        let continues = self.random.below(self.turns.max(1)) > 0;
        let fits = |(_, tokens): &(u32, u64)| *tokens <= request.prompt_tokens;
        let fitting = self.recent.iter().filter(|session| fits(session)).count();
        let session = if continues && fitting > 0 {
            let chosen = self.random.below(fitting as u64) as usize;
            let mut places = (0..self.recent.len()).filter(|at| fits(&self.recent[*at]));
            let place = places.nth(chosen).and_then(|at| self.recent.remove(at));
            place.map(|(session, _)| session)
        } else {
            None
        };
        let session = session.unwrap_or_else(|| {
            self.count += 1;
            self.count - 1
        });
        self.recent.push_back((session, request.prompt_tokens + request.answer_tokens));
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
        session
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traces::{azure, mooncake};
    use std::collections::BTreeSet;

    const SETTINGS: Settings = Settings { bucket_ms: 1000, kv_bytes_per_token: 100 };

    fn with_blocks(at_ms: u64, prompt_tokens: u64, blocks: &[u64]) -> Request {
        Request { at_ms, prompt_tokens, answer_tokens: 10, blocks: blocks.into() }
    }

    #[test]
    fn a_conversation_goes_on_and_a_common_beginning_is_no_conversation() {
        let mut finder = ByBlocks::default();
        let mut session = |blocks: &[u64]| finder.session(&with_blocks(0, 1, blocks));
        assert_eq!(session(&[0, 1, 2, 3]), 0);
        assert_eq!(session(&[0, 10, 11, 12, 13]), 1, "they share a system prompt only");
        assert_eq!(session(&[0, 1, 2, 4, 5]), 0, "the last block was not full before");
        assert_eq!(session(&[0, 20]), 2, "a short one shares half, but not more");
        assert_eq!(session(&[0, 10, 11, 12, 14, 15, 16, 17, 18, 19, 21, 22]), 1, "it grew a lot");
        assert_eq!(session(&[]), 3);
        assert_eq!(session(&[]), 4, "nothing is known of it");
    }

    #[test]
    fn a_step_is_a_bucket_of_time_and_a_session_is_used_once_in_it() {
        let requests = [
            with_blocks(5000, 90, &[1, 2]),
            with_blocks(5999, 190, &[1, 2, 3]),
            with_blocks(6000, 40, &[7]),
            with_blocks(8000, 90, &[7]),
        ];
        let replay = replay("made", &requests, Sessions::Blocks, SETTINGS).expect("fine");
        let uses: Vec<Vec<u32>> =
            replay.trace.steps.iter().map(|step| step.requests.clone()).collect();
        assert_eq!(uses, [vec![0], vec![1], vec![], vec![1]]);
        assert_eq!(replay.trace.sizes, [20_000, 10_000], "of the longest request of each");
        assert_eq!(replay.requests, 4);
        assert!(replay.trace.born && replay.trace.writes);
    }

    #[test]
    fn the_samples_become_workloads_with_reuse() {
        let text = include_str!("samples/mooncake.jsonl");
        let requests: Vec<Request> =
            mooncake(text.as_bytes()).collect::<Result<_, _>>().expect("a good sample");
        let conversations = replay("made", &requests, Sessions::Blocks, SETTINGS).expect("fine");
        assert_eq!(conversations.trace.sizes.len(), 6, "conversations in the sample");
        let text = include_str!("samples/azure.csv");
        let requests: Vec<Request> =
            azure(text.as_bytes()).collect::<Result<_, _>>().expect("a good sample");
        let drawn = |seed| {
            let sessions = Sessions::Drawn { turns: 4, seed };
            replay("made", &requests, sessions, SETTINGS).expect("fine").trace
        };
        let sessions = drawn(1).sizes.len();
        assert!((2..requests.len()).contains(&sessions), "{sessions} sessions");
        assert_eq!(drawn(1).sizes, drawn(1).sizes);
        let all: BTreeSet<Vec<u64>> = (1..6).map(|seed| drawn(seed).sizes).collect();
        assert!(all.len() > 1, "the seed decides");
    }

    #[test]
    fn drawn_sessions_have_as_many_turns_as_they_should_and_only_grow() {
        let requests: Vec<Request> =
            (0..20_000).map(|at| with_blocks(at, 10 * (at + 1), &[])).collect();
        let mut finder =
            ByChance { turns: 4, random: Random::new(1), recent: VecDeque::new(), count: 0 };
        let mut longest: Vec<u64> = Vec::new();
        for request in &requests {
            let session = finder.session(request) as usize;
            if session == longest.len() {
                longest.push(0);
            }
            assert!(longest[session] <= request.prompt_tokens, "session {session}");
            longest[session] = request.prompt_tokens + request.answer_tokens;
        }
        let turns = requests.len() as f64 / longest.len() as f64;
        assert!((turns - 4.0).abs() < 0.2, "{turns}");
    }

    #[test]
    fn what_can_not_be_replayed_is_an_error() {
        let nothing = replay("made", &[], Sessions::Blocks, SETTINGS);
        assert!(matches!(nothing, Err(TraceError::Empty)));
        let requests = [with_blocks(0, 1, &[]), with_blocks(1 << 20, 1, &[])];
        let settings = Settings { bucket_ms: 1, ..SETTINGS };
        let many = replay("made", &requests, Sessions::Blocks, settings);
        let most = 1 << 20;
        assert!(matches!(many, Err(TraceError::TooManySteps { steps, .. }) if steps == most + 1));
    }
}
