//! Where `libace_alloc.so` is, and the build of it that counts calls. Floor: tool.

use crate::Trouble;
use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

/// Which build of the library.
#[derive(Clone, Copy, Debug)]
pub enum Build {
    /// What programs run on.
    Ordinary,
    /// For a report: counts calls, which costs a little time.
    Counted,
}

impl Build {
    /// The file, and the package that makes it.
    const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Ordinary => ("libace_alloc.so", "ace-alloc-preload"),
            Self::Counted => ("libace_alloc_counted.so", "ace-alloc-counted"),
        }
    }
}

/// Places of the library relative to the folder of `ace`. First cargo's: it builds into `deps`, and
/// links the file beside `ace` only where the library was asked for by name, so that one can be older.
const PLACES: [&str; 4] = ["deps", ".", "../lib", "../lib64"];

/// The library's absolute path: the one that `ACE_LIBRARY` names, whatever build it is, or the one
/// beside `ace`.
pub fn find(build: Build) -> Result<PathBuf, Trouble> {
    let found = match env::var_os("ACE_LIBRARY") {
        Some(named) => named_by_user(Path::new(&named))?,
        None => beside_ace(build)?,
    };
    // The loader splits LD_PRELOAD at spaces and colons, and there is no way to quote them.
    if found.as_os_str().as_encoded_bytes().iter().any(|byte| b" :".contains(byte)) {
        return Err(Trouble::own(format_args!(
            "the loader can't load {}: its path holds a space or a colon",
            found.display()
        )));
    }
    Ok(found)
}

fn named_by_user(path: &Path) -> Result<PathBuf, Trouble> {
    path.canonicalize().map_err(|error| {
        Trouble::own(format_args!("ACE_LIBRARY names {}: {error}", path.display()))
    })
}

fn beside_ace(build: Build) -> Result<PathBuf, Trouble> {
    let (file, package) = build.names();
    let ace = env::current_exe()
        .map_err(|error| Trouble::own(format_args!("can't tell where `ace` itself is: {error}")))?;
    let folder = ace.parent().unwrap_or(Path::new("/"));
    PLACES.iter().find_map(|place| folder.join(place).join(file).canonicalize().ok()).ok_or_else(
        || {
            Trouble::own(format_args!(
                "{file} is not beside {}; build it with `cargo build -p {package}`, or name it in \
             ACE_LIBRARY",
                ace.display()
            ))
        },
    )
}

/// The value of LD_PRELOAD that loads the library before what the user preloads anyway.
pub fn preload_list(library: &Path) -> OsString {
    let mut list = library.as_os_str().to_owned();
    if let Some(users) = env::var_os("LD_PRELOAD").filter(|users| !users.is_empty()) {
        list.push(":");
        list.push(users);
    }
    list
}
