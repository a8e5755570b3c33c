//! The last words of a program that misused the heap. Floor: adapter.
//!
//! Runs in any state: in a signal handler, with the heap's own lock held, out of memory. So it writes
//! from the stack and allocates nothing.

use crate::{FdWriter, options};
use ace_alloc::platform::{Misuse, MisuseKind};
use core::fmt::Write;

/// One line on standard error, then abort. Returns only for foreign pointers that are to be ignored
/// (`ACE_FOREIGN_FREE=ignore`).
#[cold]
pub fn on_misuse(misuse: Misuse) {
    if misuse.kind == MisuseKind::Foreign && options::foreign_frees_are_ignored() {
        return;
    }
    // Larger than any line below, so that the line is one write and does not mix with others.
    let mut line = FdWriter::<512>::new(libc::STDERR_FILENO);
    let _ = write_line(&mut line, misuse);
    line.flush();
    // SAFETY: abort has no preconditions.
    unsafe { libc::abort() }
}

fn write_line(out: &mut impl Write, misuse: Misuse) -> core::fmt::Result {
    let Misuse { kind, address, block_bytes, owner } = misuse;
    write!(out, "ace-alloc: {}: address {address:#x}", kind.reason())?;
    if block_bytes != 0 {
        write!(out, ", block of {block_bytes} bytes")?;
    }
    if owner != 0 {
        write!(out, ", heap {owner}")?;
    }
    writeln!(out, "; stopping the program")
}
