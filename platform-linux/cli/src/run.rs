//! `ace run`: a program on ACE-Alloc. Floor: tool.

use crate::{
    Trouble, child,
    library::{self, Build},
    program, report,
};
use std::{
    ffi::OsString,
    fs, io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

/// Runs the program; the exit code is its own. A report of `Some(None)` goes to standard error.
pub fn run(
    words: &[OsString],
    report: Option<&Option<PathBuf>>,
    trace: Option<&Path>,
) -> Result<u8, Trouble> {
    let (name, args) = words.split_first().ok_or_else(|| Trouble::own("no program is named"))?;
    let path = program::find(name)?;
    let build = if report.is_some() { Build::Counted } else { Build::Ordinary };
    let library = library::find(build)?;
    let mut command = Command::new(&path);
    command.arg0(name).args(args).env("LD_PRELOAD", library::preload_list(&library));
    if let Some(file) = trace {
        command.env("ACE_TRACE", fresh_trace(file)?);
    }
    match report {
        // Without a report there is nothing left to do for `ace`: it becomes the program.
        None => Err(could_not_start(&path, &command.exec())),
        Some(file) => run_with_report(command, &path, &library, file.as_deref()),
    }
}

/// An empty file for the trace, by its absolute path: the program may begin in another folder.
fn fresh_trace(file: &Path) -> Result<PathBuf, Trouble> {
    let trouble = |error: io::Error| {
        Trouble::own(format_args!("the trace can't be written to {}: {error}", file.display()))
    };
    // The library cuts off nothing: programs that start one another write into the same file.
    if !file.as_os_str().as_encoded_bytes().windows(2).any(|pair| pair == b"%p") {
        fs::File::create(file).map_err(trouble)?;
    }
    std::path::absolute(file).map_err(trouble)
}

fn could_not_start(path: &Path, error: &io::Error) -> Trouble {
    Trouble::cannot_run(format_args!("{} can't be started: {error}", path.display()))
}

fn run_with_report(
    mut command: Command,
    path: &Path,
    library: &Path,
    file: Option<&Path>,
) -> Result<u8, Trouble> {
    // Each process that loads the library writes a file of its own, named after its pid; the program's
    // is the one of our child (it stays the same process through any number of execs).
    let folder = tempfile::Builder::new()
        .prefix("ace-run-")
        .tempdir()
        .map_err(|error| Trouble::own(format_args!("no temporary folder: {error}")))?;
    command.env("ACE_REPORT", folder.path().join("%p"));
    let begin = Instant::now();
    let ended = child::run(&mut command).map_err(|error| could_not_start(path, &error))?;
    let document = report::collect(folder.path(), library, &ended, begin.elapsed().as_secs_f64());
    match file {
        None => eprint!("{}", report::table(&document)),
        Some(file) => fs::write(file, report::json(&document)).map_err(|error| {
            Trouble::own(format_args!("the report can't be written to {}: {error}", file.display()))
        })?,
    }
    drop(folder);
    Ok(child::end_like(ended.status))
}
