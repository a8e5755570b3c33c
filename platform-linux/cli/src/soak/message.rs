//! What the soak's worker tells `ace`: one line of JSON a message, through its standard output.
//! Floor: tool.

use serde::{Deserialize, Serialize};
use std::{path::PathBuf, process};

/// A message of the worker, or of a process that it forked.
#[derive(Debug, Serialize, Deserialize)]
pub enum Message {
    /// The first one: the file whose `malloc` the worker calls.
    Begun { malloc_is_in: PathBuf },
    /// How far it is.
    Progress(Progress),
    /// A broken promise.
    Finding(String),
    /// The last one.
    Ended(Account),
}

/// Counts since the start, and the state of the moment.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Calls of the allocator.
    pub operations: u64,
    /// Blocks whose pattern was looked at and found whole.
    pub verified: u64,
    pub live_bytes: u64,
    pub resident_bytes: u64,
    pub threads: u64,
    pub forks: u64,
}

/// The end: everything was freed and trimmed.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Account {
    pub progress: Progress,
    pub peak_resident_bytes: u64,
    pub before: Held,
    pub after: Held,
}

/// What a process without a block of its own holds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Held {
    /// In the program's hands, as the allocator counts it (`mallinfo2`).
    pub live_bytes: u64,
    pub resident_bytes: u64,
}

/// Sends a message: one write, and no lock of this process is taken, so that a forked child can do it.
/// Where nobody listens any more, the work has no purpose and the process ends.
pub fn say(message: &Message) {
    let mut line = serde_json::to_vec(message).unwrap_or_default();
    line.push(b'\n');
    let mut rest = &line[..];
    while !rest.is_empty() {
        // SAFETY: a valid slice.
        let wrote = unsafe { libc::write(libc::STDOUT_FILENO, rest.as_ptr().cast(), rest.len()) };
        match usize::try_from(wrote) {
            Ok(wrote) => rest = &rest[wrote..],
            Err(_) if interrupted() => {}
            Err(_) => process::exit(1),
        }
    }
}

fn interrupted() -> bool {
    std::io::Error::last_os_error().kind() == std::io::ErrorKind::Interrupted
}
