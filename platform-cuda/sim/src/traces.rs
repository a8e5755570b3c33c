//! Replay of real traces: readers of two public formats, and how their requests become uses of states.
//! Floor: tool.
//!
//! Both formats say when a request arrived and how many tokens it had; neither says whose state it used.
//!
//! * **Mooncake** (JSONL; Qin et al., FAST 2025) names the blocks of 512 tokens of each prompt by hashes of
//!   the whole prefix, so equal names mean equal keys and values. Requests are put into *sessions*, chains
//!   of a shared prefix: see [`Sessions::Blocks`].
//! * **Azure** (CSV; the LLM inference traces of 2023 and 2024 in `AzurePublicDataset`) has no names at
//!   all. Sessions are drawn by a rule with a seed: see [`Sessions::Drawn`]. What is reused when is then
//!   the rule's doing; the order of arrivals and sizes are the trace's.
//!
//! A session is an agent with one state, its keys and values, as large as its longest request makes it. It
//! begins without contents, every request writes to it, and none of it is predicted unless hints are added
//! ([`with_hints`](crate::Trace::with_hints)). Requests within the same bucket of time make a step; a session that has several
//! in one step uses its state once. Steps follow one another without pause: what is measured is how fast the
//! requests can be served, not how late they are at the rate at which they came.

mod azure;
mod mooncake;
mod sessions;

pub use azure::azure;
pub use mooncake::mooncake;
pub use sessions::{Replay, Sessions, Settings, replay};

use std::io;

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Since whenever the trace counts from.
    pub at_ms: u64,
    /// Tokens of the prompt.
    pub prompt_tokens: u64,
    /// Tokens of the answer.
    pub answer_tokens: u64,
    /// Names of the prompt's blocks, each for the whole prefix up to its end; empty if there are none.
    pub blocks: Box<[u64]>,
}

/// No request has more tokens.
const MOST_TOKENS: u64 = 1 << 24;
/// No trace is longer: ten years.
const MOST_MS: u64 = 10 * 366 * 24 * 3_600_000;

/// Why a trace can't be replayed.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The file itself.
    #[error("the trace can't be read: {0}")]
    Io(#[from] io::Error),
    /// A line, counted from 1.
    #[error("line {line}: {problem}")]
    Line {
        /// Which.
        line: u64,
        /// What about it.
        problem: Problem,
    },
    /// No lines, or none with a request.
    #[error("there are no requests in the trace")]
    Empty,
    /// A step for each bucket would be too many.
    #[error("{steps} steps are too many (at most {most}): a larger --bucket-ms makes fewer")]
    TooManySteps {
        /// So many there would be.
        steps: u64,
        /// So many there may be.
        most: u64,
    },
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Not an object of the format.
    #[error("this is no Mooncake request: {0}")]
    NotMooncake(String),
    /// Not as many fields as the header has, or not text.
    #[error("this is no row of the table: {0}")]
    NotCsv(String),
    /// The header lacks it.
    #[error("the header has no column {0}")]
    MissingColumn(&'static str),
    /// Neither `2023-11-16 18:15:46.6805900` nor the same with an offset.
    #[error("'{0}' is no date and time")]
    BadTime(String),
    /// Not a whole number.
    #[error("{column} is '{text}', which is no whole number")]
    BadNumber {
        /// Of which column.
        column: &'static str,
        /// As it is written.
        text: String,
    },
    /// Negative or absurd.
    #[error("{column} is {value}, which is not from 0 to {most}")]
    OutOfRange {
        /// Of which column.
        column: &'static str,
        /// As it is written.
        value: i64,
        /// The largest that makes sense.
        most: u64,
    },
    /// Requests are in the order of their arrival.
    #[error("time runs backwards, from {before_ms} ms to {now_ms} ms: sort the trace by time")]
    Backwards {
        /// Of the request before.
        before_ms: i64,
        /// Of this one.
        now_ms: i64,
    },
}

impl Problem {
    const fn at(self, line: u64) -> TraceError {
        TraceError::Line { line, problem: self }
    }
}

fn in_range(column: &'static str, value: i64, most: u64) -> Result<u64, Problem> {
    let number = u64::try_from(value).ok().filter(|number| *number <= most);
    number.ok_or(Problem::OutOfRange { column, value, most })
}

/// Sees to it that time does not run backwards, nor too far.
#[derive(Debug, Default)]
struct Clock(Option<i64>);

impl Clock {
    fn check(&mut self, column: &'static str, now_ms: i64) -> Result<u64, Problem> {
        match self.0.replace(now_ms) {
            Some(before_ms) if now_ms < before_ms => Err(Problem::Backwards { before_ms, now_ms }),
            _ => in_range(column, now_ms, MOST_MS),
        }
    }
}
