//! Text to a file or to standard output. Floor: tool.

use crate::Trouble;
use std::{
    fs,
    io::{self, Write},
    path::Path,
};

/// Writes a file; `-` is standard output.
pub fn put(path: &Path, text: &str) -> Result<(), Trouble> {
    if path.as_os_str() == "-" {
        return print(text);
    }
    fs::write(path, text)
        .map_err(|error| Trouble::own(format_args!("{} can't be written: {error}", path.display())))
}

/// A reader that stopped reading has seen enough.
pub fn print(text: &str) -> Result<(), Trouble> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Trouble::own(format_args!("standard output can't be written: {error}")))
        }
        _ => Ok(()),
    }
}
