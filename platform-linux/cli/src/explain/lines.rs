//! The lines of a trace, as `platform-linux/src/trace` writes them. Floor: tool.
//!
//! Members that are not known are passed over, and those that are missing have their first value: traces of
//! other versions can be read as far as they tell the same.

use crate::Trouble;
use serde::Deserialize;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

/// The newest form that is known.
const FORM: u32 = 1;

/// Who wrote the trace, and how it began.
#[derive(Clone, Debug, Deserialize)]
pub struct Head {
    #[serde(rename = "trace")]
    pub form: u32,
    #[serde(default)]
    pub program: String,
    #[serde(default)]
    pub version: String,
    #[serde(default)]
    pub mode: String,
    #[serde(default)]
    pub profile: String,
    #[serde(default)]
    pub tender: bool,
    #[serde(default)]
    pub classes: Vec<Class>,
    #[serde(default)]
    pub dials: BTreeMap<String, u64>,
}

/// A size class, and the blocks that its magazines hold while no dial says otherwise.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Class {
    pub bytes: u64,
    pub cap: u64,
}

/// A turn.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Turn {
    #[serde(rename = "turn")]
    pub number: u64,
    pub ms: u64,
    pub by: String,
    pub rss_bytes: Option<u64>,
    pub used_bytes: u64,
    pub dirty_bytes: u64,
    pub huge_bytes: u64,
    pub threads: u64,
    pub minor_faults: u64,
    pub denied: u64,
    pub dropped: u64,
    pub events: BTreeMap<String, u64>,
    pub orders: Vec<Order>,
}

impl Turn {
    /// How often something happened since the line before.
    pub fn count(&self, event: &str) -> u64 {
        self.events.get(event).copied().unwrap_or(0)
    }

    /// Bytes in use: slabs, large blocks and huge ones.
    pub const fn in_use(&self) -> u64 {
        self.used_bytes + self.huge_bytes
    }
}

/// An order.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Order {
    pub act: String,
    pub dial: String,
    pub class_bytes: u64,
    pub from: u64,
    pub to: u64,
    pub keep_kib: u64,
    pub threads: u64,
    pub superslabs: u64,
    pub reason: String,
    pub applied: bool,
}

/// The program's end.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct End {
    #[serde(rename = "end")]
    pub turns: u64,
    pub ms: u64,
    pub rss_bytes: Option<u64>,
    pub minor_faults: u64,
    pub events: BTreeMap<String, u64>,
    pub dials: BTreeMap<String, u64>,
}

/// The trace of one program in one process.
#[derive(Clone, Debug)]
pub struct Trace {
    pub pid: u64,
    pub head: Head,
    pub turns: Vec<Turn>,
    pub end: Option<End>,
}

/// What a file holds.
#[derive(Debug)]
pub struct Traces {
    /// At least one, in the order in which they began.
    pub traces: Vec<Trace>,
    /// What could not be read, in words.
    pub notes: Vec<String>,
}

/// Reads a file.
pub fn read(path: &Path) -> Result<Traces, Trouble> {
    let shown = path.display();
    let file = File::open(path).map_err(|error| Trouble::own(format_args!("{shown}: {error}")))?;
    let mut reader = Reader::default();
    let mut lines = BufReader::new(file);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = lines.read_until(b'\n', &mut line);
        match read.map_err(|error| Trouble::own(format_args!("{shown}: {error}")))? {
            0 => break,
            _ => reader.take(&line),
        }
    }
    reader.finish().map_err(|why| Trouble::own(format_args!("{shown}: {why}")))
}

#[derive(Default)]
struct Reader {
    traces: Vec<Trace>,
    lines: usize,
    /// Numbers of lines that can't be read, and why.
    bad: Vec<(usize, String)>,
    last_is_whole: bool,
    newest_form: u32,
}

impl Reader {
    fn take(&mut self, line: &[u8]) {
        self.last_is_whole = line.ends_with(b"\n");
        self.lines += 1;
        if line.trim_ascii().is_empty() {
            return;
        }
        if let Err(why) = self.add(line) {
            self.bad.push((self.lines, why));
        }
    }

    fn add(&mut self, line: &[u8]) -> Result<(), String> {
        let value: Value = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        let pid = value.get("pid").and_then(Value::as_u64).ok_or("it names no process")?;
        if value.get("trace").is_some() {
            let head: Head = serde_json::from_value(value).map_err(|error| error.to_string())?;
            self.newest_form = self.newest_form.max(head.form);
            self.traces.push(Trace { pid, head, turns: Vec::new(), end: None });
            return Ok(());
        }
        // A process that becomes another program begins a new trace under its old number.
        let trace = self.traces.iter_mut().rfind(|trace| trace.pid == pid);
        let trace = trace.ok_or("its process has no first line")?;
        if value.get("turn").is_some() {
            trace.turns.push(serde_json::from_value(value).map_err(|error| error.to_string())?);
        } else if value.get("end").is_some() {
            trace.end = Some(serde_json::from_value(value).map_err(|error| error.to_string())?);
        } else {
            return Err("it is neither a head, nor a turn, nor an end".to_owned());
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Traces, String> {
        if self.lines == 0 {
            return Err("the file is empty: no program on ACE-Alloc has written to it".to_owned());
        }
        let mut notes = Vec::new();
        if !self.last_is_whole && self.bad.last().is_some_and(|(line, _)| *line == self.lines) {
            self.bad.pop();
            notes.push("the last line is cut off and was left out".to_owned());
        }
        if let Some((line, why)) = self.bad.first() {
            let count = self.bad.len();
            let lines = if count == 1 { "line was" } else { "lines were" };
            notes.push(format!("{count} {lines} left out; line {line}: {why}"));
        }
        if self.traces.is_empty() {
            let why = notes.first().map_or_else(String::new, |note| format!(" ({note})"));
            return Err(format!("not a trace of ACE: it has no first line of one{why}"));
        }
        if self.newest_form > FORM {
            notes.push("the trace is of a newer version, of which more may be missing here".into());
        }
        for trace in &mut self.traces {
            // Two threads may write their lines the other way round than they looked at the clock.
            trace.turns.sort_by_key(|turn| turn.ms);
        }
        Ok(Traces { traces: self.traces, notes })
    }
}
