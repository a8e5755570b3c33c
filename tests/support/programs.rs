//! Runs programs with and without the library, compares what they say, and watches which of their
//! processes have the library mapped.

use crate::house;
use crate::product::{library, product};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const LIBRARY: &str = "libace_alloc.so";
const TIME_LIMIT: Duration = Duration::from_secs(240);
const POLL: Duration = Duration::from_millis(3);

/// What a program did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Standard output, as text.
    pub out: String,
    /// Standard error, as text.
    pub err: String,
    /// Exit code, or the signal's number plus 128.
    pub code: i32,
    /// Names of the processes that had the library mapped when they were looked at.
    pub mapped: BTreeSet<String>,
}

/// A folder that is removed when it is dropped.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// An empty folder.
    ///
    /// # Panics
    /// If none can be made.
    #[must_use]
    pub fn new(name: &str) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder =
            std::env::temp_dir().join(format!("ace-{name}-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).expect("a scratch folder");
        Self(folder)
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file into it and returns its path.
    ///
    /// # Panics
    /// If the file can't be written.
    #[must_use]
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).expect("a file in the scratch folder");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The path of an installed program.
///
/// # Panics
/// If it is missing; the message names the Debian package.
#[must_use]
pub fn program(name: &str, package: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian's own first: a wrapper script elsewhere would be run in its place.
    let folders = [PathBuf::from("/usr/bin")].into_iter().chain(std::env::split_paths(&path));
    let found = folders.map(|folder| folder.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} is missing: apt-get install {package}"))
}

/// Compiles `tests/c/NAME.c` into the scratch folder, with the system's C compiler.
///
/// # Panics
/// If that fails.
#[must_use]
pub fn compile(name: &str, scratch: &Scratch) -> PathBuf {
    let made = scratch.path().join(name);
    let source = house::root().join(format!("tests/c/{name}.c"));
    let mut cc = Command::new(program("cc", "gcc libc6-dev"));
    cc.args(["-Wall", "-Wextra", "-Werror", "-O1", "-pthread", "-Wno-deprecated-declarations"]);
    cc.args(["-fno-builtin", "-Wno-use-after-free", "-Wno-free-nonheap-object", "-o"]);
    let outcome = run(cc.arg(&made).arg(source).arg("-ldl"));
    assert_eq!(outcome.code, 0, "cc says:\n{}{}", outcome.out, outcome.err);
    made
}

/// `ace run -- PROGRAM`, to which arguments can be added.
#[must_use]
pub fn under_ace(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(&product().ace);
    command.args(["run", "--"]).arg(program);
    command
}

/// The program with the library preloaded by hand.
#[must_use]
pub fn preloaded(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env("LD_PRELOAD", library());
    command
}

/// Runs a command to its end, without input, watching its processes.
///
/// # Panics
/// If it can't be started or takes longer than minutes.
#[must_use]
pub fn run(command: &mut Command) -> Outcome {
    let mut child = start(command);
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let out = thread::spawn(move || read_all(out.expect("piped")));
    let err = thread::spawn(move || read_all(err.expect("piped")));
    let started = Instant::now();
    let mut mapped = BTreeSet::new();
    let status = loop {
        mapped.extend(mapped_below(child.id()));
        if let Some(status) = child.try_wait().expect("a child of ours") {
            break status;
        }
        if started.elapsed() > TIME_LIMIT {
            let _ = child.kill();
            panic!("{command:?} runs longer than {TIME_LIMIT:?}");
        }
        thread::sleep(POLL);
    };
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    let read = |thread: thread::JoinHandle<String>| thread.join().expect("a reader");
    Outcome { out: read(out), err: read(err), code, mapped }
}

/// Starts a command with its output piped and no input.
///
/// # Panics
/// If it can't be started.
#[must_use]
pub fn start(command: &mut Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env("LC_ALL", "C.UTF-8");
    command.spawn().unwrap_or_else(|problem| panic!("{command:?}: {problem}"))
}

fn read_all(mut stream: impl Read) -> String {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("readable output");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Names of the process and of all below it that have the library mapped at this moment.
#[must_use]
pub fn mapped_below(root: u32) -> BTreeSet<String> {
    let mut family = BTreeSet::from([root]);
    let mut parents = parents();
    loop {
        let (children, rest): (Vec<_>, Vec<_>) =
            parents.into_iter().partition(|(_, parent)| family.contains(parent));
        if children.is_empty() {
            break;
        }
        family.extend(children.into_iter().map(|(child, _)| child));
        parents = rest;
    }
    let has_it = |pid: &&u32| {
        let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
        maps.contains(LIBRARY)
    };
    let name = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    family.iter().filter(has_it).map(|pid| name(pid).trim().to_string()).collect()
}

/// All processes with their parents.
fn parents() -> Vec<(u32, u32)> {
    let entries = fs::read_dir("/proc").expect("/proc is mounted").flatten();
    let pair = |entry: fs::DirEntry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        // After the name in parentheses: state, parent.
        let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
        Some((pid, parent))
    };
    entries.filter_map(pair).collect()
}

/// Runs a program plainly and under `ace run`, each in a scratch folder of its own, and checks that
/// the output and the exit code are equal and that a process called `name` had the library mapped.
/// Returns the output.
///
/// # Panics
/// If something differs.
#[must_use]
pub fn same_under_ace(
    program: &Path,
    name: &str,
    arrange: impl Fn(&mut Command, &Scratch),
    tidy: impl Fn(&str) -> String,
) -> String {
    let scratch = Scratch::new(name);
    let mut command = Command::new(program);
    arrange(command.current_dir(scratch.path()), &scratch);
    let plain = run(&mut command);
    let scratch = Scratch::new(name);
    let mut command = under_ace(program);
    arrange(command.current_dir(scratch.path()), &scratch);
    let ace = run(&mut command);
    let said = |outcome: &Outcome| format!("{}\n{}", outcome.out, outcome.err);
    assert_eq!(plain.code, ace.code, "exit code of {name}; under ace it says:\n{}", said(&ace));
    assert_eq!(plain.mapped, BTreeSet::new(), "{name} has the library without being told");
    assert_eq!(tidy(&plain.out), tidy(&ace.out), "output of {name}");
    assert!(ace.mapped.contains(name), "{name} without the library: {:?} had it", ace.mapped);
    assert_eq!(plain.code, 0, "{name} fails by itself:\n{}", said(&plain));
    tidy(&ace.out)
}
