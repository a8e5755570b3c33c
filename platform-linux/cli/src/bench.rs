//! `ace bench` and `ace sweep`: hand over to the program `ace-bench`. Floor: tool.
//!
//! The peers that it measures are C and C++ libraries which take minutes to build, so `ace-bench` is
//! not built with the rest of the workspace, but here, at the first call. In a source tree cargo is
//! asked every time: a benchmark of yesterday's allocator would be worse than none.

use crate::Trouble;
use std::{
    env,
    ffi::OsString,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
};

const NAME: &str = "ace-bench";

/// Becomes `ace-bench`, or a subcommand of it; returns only if that fails.
pub fn bench(subcommand: Option<&str>, args: &[OsString]) -> Result<u8, Trouble> {
    let ace = env::current_exe()
        .map_err(|error| Trouble::own(format_args!("can't tell where `ace` itself is: {error}")))?;
    let folder = ace.parent().unwrap_or(Path::new("/"));
    let program = match workspace(folder) {
        Some(workspace) => build(&workspace, folder)?,
        None => folder.join(NAME),
    };
    let error = Command::new(&program).args(subcommand).args(args).exec();
    Err(Trouble::own(format_args!("{} can't be started: {error}", program.display())))
}

/// The source tree: around cargo's output folder, or where `cargo run` or the user stands.
fn workspace(folder: &Path) -> Option<PathBuf> {
    let told = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let here = env::current_dir().ok();
    [Some(folder.to_owned()), told, here]
        .into_iter()
        .flatten()
        .flat_map(|place| place.ancestors().map(Path::to_owned).collect::<Vec<_>>())
        .find(|place| {
            place.join("benches/Cargo.toml").is_file() && place.join("platform-linux/cli").is_dir()
        })
}

fn build(workspace: &Path, folder: &Path) -> Result<PathBuf, Trouble> {
    // Cargo marks its output folder; ours is `<output>/<profile>/ace`.
    let output = folder.parent().filter(|output| output.join("CACHEDIR.TAG").is_file());
    let output = output.map_or_else(|| workspace.join("target"), Path::to_owned);
    let program = output.join("release").join(NAME);
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
    command.args(["build", "--release", "--package", NAME, "--manifest-path"]);
    command.arg(workspace.join("Cargo.toml")).arg("--target-dir").arg(&output);
    if program.is_file() {
        command.arg("--quiet");
    } else {
        eprintln!(
            "ace: building the benchmarks and the allocators they compare (a few minutes, once)"
        );
    }
    match command.status() {
        Ok(status) if status.success() => Ok(program),
        Ok(_) => Err(Trouble::own("the benchmarks could not be built")),
        // An installed `ace-bench` in a place that looks like a source tree, and no cargo.
        Err(_) if program.is_file() => Ok(program),
        Err(error) => Err(Trouble::own(format_args!("cargo can't be started: {error}"))),
    }
}
