//! Owns the worker of this comparison: which heaps it has, and one process for each question.

use super::plan::Load;
use crate::rounds;
use serde::Deserialize;
use serde_json::Value;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

/// A heap that the worker has.
#[derive(Clone, Debug, Deserialize)]
pub struct Heap {
    pub name: String,
    /// Crate and version.
    pub version: String,
    /// What makes it safe to share, or "none".
    pub lock: String,
}

impl Heap {
    /// The row without an allocator.
    pub fn is_floor(&self) -> bool {
        self.name == "floor"
    }

    /// Without the lock that its users have.
    pub fn is_bare(&self) -> bool {
        self.lock == "none"
    }

    /// One of ours.
    pub fn is_ace(&self) -> bool {
        self.name.starts_with("ace")
    }
}

/// The executable, and how long it may take.
pub struct Worker {
    pub program: PathBuf,
    /// Seconds.
    pub limit: u32,
}

impl Worker {
    /// All its heaps.
    pub fn heaps(&self) -> Result<Vec<Heap>, String> {
        let said = self.run(&["list"])?;
        serde_json::from_value(said).map_err(|e| format!("the worker's list: {e}"))
    }

    /// What a heap makes of a load.
    pub fn ask(&self, heap: &Heap, load: &Load) -> Result<Value, String> {
        self.about(load.task, heap, load)
    }

    /// Does a heap keep its promises under this load?
    pub fn verify(&self, heap: &Heap, load: &Load) -> Result<(), String> {
        self.about("verify", heap, load).map(drop)
    }

    fn about(&self, task: &str, heap: &Heap, load: &Load) -> Result<Value, String> {
        let words = [task, &heap.name].into_iter().chain(load.words.iter().map(String::as_str));
        self.run(&Vec::from_iter(words))
    }

    fn run(&self, words: &[&str]) -> Result<Value, String> {
        let mut command = Command::new(&self.program);
        command.args(words);
        let limit = self.limit;
        // SAFETY: alarm is async-signal-safe and touches no memory of this process.
        unsafe {
            command.pre_exec(move || {
                libc::alarm(limit);
                Ok(())
            })
        };
        let line = rounds::output(&mut command)?;
        serde_json::from_str(&line).map_err(|e| format!("it printed {line:?}: {e}"))
    }
}
