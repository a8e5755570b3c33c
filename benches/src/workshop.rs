//! Owns where workers and libraries come from: found, or built by cargo from the sources here.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use indicatif::ProgressBar;

use crate::allocators::{self, Allocator, FLOOR, Library};
use crate::cli::Common;

/// An allocator that is ready to run.
pub struct Contestant {
    /// Its row in the table.
    pub allocator: &'static Allocator,
    /// Variables of its environment that no other has.
    pub settings: Vec<(String, String)>,
    /// The executable.
    pub worker: PathBuf,
    /// The library to preload, links resolved, as the kernel will name it.
    pub library: Option<PathBuf>,
}

/// An allocator that is not, and why.
pub struct LeftOut {
    /// Its name.
    pub allocator: &'static str,
    /// The reason, in one line or more.
    pub why: String,
}

/// Who takes part, and who does not.
pub type Ready = (Vec<Contestant>, Vec<LeftOut>);

/// The folders, and whether to build.
pub struct Workshop {
    /// The repository, as it was when this program was compiled.
    sources: PathBuf,
    /// Cargo's target folder that this program was built into.
    target: PathBuf,
    build: bool,
}

impl Workshop {
    /// Looks around. Without sources there is nothing to build, only to find; nor without `build`.
    pub fn open(build: bool) -> Result<Self, String> {
        let home = Path::new(env!("CARGO_MANIFEST_DIR"));
        let sources = home.parent().unwrap_or(home).to_path_buf();
        let program = env::current_exe().map_err(|e| format!("where am I? {e}"))?;
        let folder = program.parent().unwrap_or(Path::new("/"));
        let in_target = ["release", "debug"].iter().any(|profile| folder.ends_with(profile));
        let target = match folder.parent() {
            Some(parent) if in_target => parent.to_path_buf(),
            _ => sources.join("target"),
        };
        let build = build && sources.join("benches/peers/Cargo.toml").is_file();
        Ok(Self { sources, target, build })
    }

    /// Everyone who fits and can take part. Who was asked for by name and cannot is an error.
    pub fn contestants(
        &self,
        common: &Common,
        fits: impl Fn(&Allocator) -> bool,
    ) -> Result<Ready, String> {
        let asked = match &common.peers {
            None => Vec::from_iter(allocators::ALL.iter().filter(|a| a.by_default && fits(a))),
            Some(names) => {
                names.iter().map(|n| Allocator::named(n.trim())).collect::<Result<_, _>>()?
            }
        };
        if let Some(other) = asked.iter().find(|allocator| !fits(allocator)) {
            return Err(format!("{} has no part in this", other.name));
        }
        let (mut ready, mut left_out) = (Vec::new(), Vec::new());
        for allocator in asked {
            match self.prepare(allocator) {
                Ok(contestant) => ready.push(contestant),
                Err(why) => left_out.push(LeftOut { allocator: allocator.name, why }),
            }
        }
        if common.peers.is_some()
            && let Some(missing) = left_out.first()
        {
            return Err(format!("{} cannot run: {}", missing.allocator, missing.why));
        }
        if ready.is_empty() {
            return Err("no allocator can run here".to_owned());
        }
        Ok((ready, left_out))
    }

    /// One contestant: its worker and its library.
    pub fn prepare(&self, allocator: &'static Allocator) -> Result<Contestant, String> {
        let library = match allocator.library {
            Library::Linked => None,
            Library::Ace { unchecked } => Some(self.ace_library(unchecked)?),
            Library::System(files) => Some(system_library(files)?),
        };
        let library = library
            .map(|path| fs::canonicalize(&path).map_err(|e| format!("{}: {e}", path.display())))
            .transpose()?;
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let settings = allocator.settings.iter().map(own).collect();
        Ok(Contestant { allocator, settings, worker: self.worker(allocator.worker)?, library })
    }

    /// The executable of this name from the `peers` package.
    pub fn worker(&self, name: &str) -> Result<PathBuf, String> {
        if let Some(folder) = env::var_os("ACE_BENCH_WORKERS") {
            return existing(PathBuf::from(folder).join(name));
        }
        let target = self.target.join("ace-bench");
        if self.build {
            let mut cargo = cargo(&self.sources.join("benches/peers"));
            cargo.args(["--bin", name]).arg("--target-dir").arg(&target);
            // The workers without a peer's crate have no feature either.
            if !["glibc", "empty", FLOOR].contains(&name) {
                cargo.args(["--features", name]);
            }
            finish(cargo, &format!("the worker {name}"))?;
        }
        existing(target.join("release").join(name))
    }

    /// The executable that has the heaps for kernels and microcontrollers.
    pub fn embedded(&self) -> Result<PathBuf, String> {
        const NAME: &str = "ace-bench-embedded";
        if let Some(folder) = env::var_os("ACE_BENCH_WORKERS") {
            return existing(PathBuf::from(folder).join(NAME));
        }
        let target = self.target.join("ace-bench");
        if self.build {
            let mut cargo = cargo(&self.sources.join("benches/embedded"));
            cargo.arg("--target-dir").arg(&target);
            finish(cargo, "the heaps")?;
        }
        existing(target.join("release").join(NAME))
    }

    /// `libace_alloc.so`: the one that the user names, else the one of this build.
    fn ace_library(&self, unchecked: bool) -> Result<PathBuf, String> {
        let (variable, target) = match unchecked {
            false => ("ACE_LIBRARY", self.target.clone()),
            true => ("ACE_LIBRARY_UNCHECKED", self.target.join("ace-bench/unchecked")),
        };
        if let Some(path) = env::var_os(variable) {
            return existing(PathBuf::from(path));
        }
        if self.build {
            let mut cargo = cargo(&self.sources);
            cargo.args(["-p", "ace-alloc-preload"]).arg("--target-dir").arg(&target);
            if unchecked {
                cargo.args(["--features", "unchecked"]);
            }
            let what = if unchecked { "libace_alloc.so, unchecked" } else { "libace_alloc.so" };
            finish(cargo, what)?;
        }
        existing(target.join("release/libace_alloc.so"))
    }
}

/// `cargo build --release` in a folder: the settings in that folder's `.cargo` count, this process's
/// own cargo variables do not.
fn cargo(folder: &Path) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--release", "--quiet"]).current_dir(folder);
    command.env_remove("CARGO_TARGET_DIR").env_remove("LD_PRELOAD");
    command
}

/// Runs a build; what it said is shown only when it fails.
fn finish(mut cargo: Command, what: &str) -> Result<(), String> {
    let spinner = ProgressBar::new_spinner().with_message(format!("building {what}"));
    spinner.enable_steady_tick(Duration::from_millis(200));
    let output = cargo.output().map_err(|e| format!("cannot start cargo: {e}"))?;
    spinner.finish_and_clear();
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let mut last = Vec::from_iter(said.trim_end().lines().rev().take(12));
    last.reverse();
    Err(format!("{what} did not build:\n  {}", last.join("\n  ")))
}

/// The path, if a file is there.
fn existing(path: PathBuf) -> Result<PathBuf, String> {
    if path.is_file() { Ok(path) } else { Err(format!("{} does not exist", path.display())) }
}

/// The first of these files in the folders where distributions keep libraries.
fn system_library(files: &[&str]) -> Result<PathBuf, String> {
    let multiarch = format!("/usr/lib/{}-linux-gnu", env::consts::ARCH);
    let folders = [multiarch.as_str(), "/usr/lib64", "/usr/lib", "/usr/local/lib"];
    let mut candidates =
        files.iter().flat_map(|file| folders.iter().map(move |dir| Path::new(dir).join(file)));
    candidates.find(|path| path.is_file()).ok_or(format!("{} is not installed", files[0]))
}
