//! The environment: one table of everything that a user can set. Floor: adapter.
//!
//! Read once, at the heap's first use or in the library's constructor, without allocation; ignored in
//! programs that run with raised privileges. A value that makes no sense costs one line on standard
//! error and the default is used. The table is in `options/table.rs`; `docs/ENV_VARS.md` is written from it
//! (`cargo run -p ace-alloc-linux --example env_vars`), and a test compares.

mod table;

pub(crate) use table::want_tender;
pub use table::{
    TABLE, foreign_frees_are_ignored, profile, report_path, tender_is_wanted, trace_path,
};

use crate::FdWriter;
use ace_alloc::dials::{Dial, Dials};
use core::{
    ffi::{CStr, c_char},
    fmt::{self, Write},
};

/// One row of the table.
#[derive(Debug)]
pub struct Setting {
    /// Name of the environment variable.
    pub name: &'static str,
    /// What may stand there, and what it acts on.
    pub kind: Kind,
    /// Value that is used when the variable is not set, as one would write it.
    pub default: &'static str,
    /// What it does, in one or two sentences.
    pub doc: &'static str,
}

/// Type and range of a setting.
#[derive(Debug)]
pub enum Kind {
    /// A number of bytes; `k`, `m`, `g` (powers of 1024) may follow.
    Bytes {
        /// Smallest value.
        min: u64,
        /// Largest value.
        max: u64,
        /// Bytes of one step of the dial.
        unit: u64,
        /// The dial.
        dial: Dial,
    },
    /// A plain number.
    Number {
        /// Smallest value.
        min: u32,
        /// Largest value.
        max: u32,
        /// Steps of the dial for 1.
        unit: u32,
        /// The dial.
        dial: Dial,
    },
    /// One of these words.
    Word {
        /// The words.
        words: &'static [&'static str],
        /// Acts on the word of this index.
        set: fn(&Dials, usize),
    },
    /// Names of dials with their values, separated by commas.
    Dials,
    /// A file name.
    Path {
        /// Keeps the name; `false` if it is too long.
        set: fn(&[u8]) -> bool,
    },
}

unsafe extern "C" {
    // The process's environment, as POSIX names it.
    static environ: *const *const c_char;
}

/// The process's environment; null before the C library has seen it.
pub(crate) fn of_this_process() -> *const *const c_char {
    // SAFETY: reading a pointer that the C library writes before the program's first line, or in
    // setenv, which must not run while other threads look at it.
    unsafe { environ }
}

/// Applies what the environment sets; everything else keeps its default. In the order of the table: where
/// two settings turn the same dial, the later row wins, however the environment is sorted.
///
/// # Safety
/// 1. `environment` is a null-terminated array of C strings that nobody changes meanwhile.
/// 2. It is called once a process.
pub(crate) unsafe fn read(environment: *const *const c_char, dials: &Dials) {
    // SAFETY: getauxval has no preconditions.
    if unsafe { libc::getauxval(libc::AT_SECURE) } != 0 {
        return;
    }
    // SAFETY: (1).
    let entries = || unsafe { entries(environment) };
    if entries().next().is_none() {
        return;
    }
    for setting in TABLE {
        for entry in entries() {
            setting.read_entry(entry, dials);
        }
    }
}

/// The entries of the environment that begin with `ACE_`.
///
/// # Safety
/// `environment` is a null-terminated array of C strings that nobody changes while the answer is used.
unsafe fn entries<'a>(environment: *const *const c_char) -> impl Iterator<Item = &'a [u8]> {
    let mut next = environment;
    core::iter::from_fn(move || {
        // SAFETY: the array ends with a null pointer, and we stop there.
        let entry = unsafe { next.read().as_ref() }?;
        // SAFETY: `entry` was not the last one.
        next = unsafe { next.add(1) };
        Some(entry)
    })
    // SAFETY: a C string.
    .filter(|&entry| unsafe { is_ours(entry) })
    // SAFETY: as above.
    .map(|entry| unsafe { CStr::from_ptr(entry) }.to_bytes())
}

/// Whether the entry begins with `ACE_`. Byte by byte, because strlen for each entry would bring one
/// more page of the C library into every process.
///
/// # Safety
/// `entry` is a C string.
unsafe fn is_ours(entry: *const c_char) -> bool {
    b"ACE_".iter().enumerate().all(|(at, &byte)| {
        // SAFETY: bytes up to the first one that differs: the zero at the string's end does.
        unsafe { entry.cast::<u8>().add(at).read() == byte }
    })
}

impl Setting {
    fn read_entry(&self, entry: &[u8], dials: &Dials) {
        let value =
            entry.strip_prefix(self.name.as_bytes()).and_then(|rest| rest.strip_prefix(b"="));
        // An empty value means "not set", as with most variables.
        let Some(value) = value.filter(|value| !value.is_empty()) else { return };
        if !self.apply(value, dials) {
            let mut line = FdWriter::<512>::new(libc::STDERR_FILENO);
            let _ = self.write_warning(&mut line);
        }
    }

    /// Sets what this row acts on. `false`: the value makes no sense, and nothing was changed.
    #[must_use]
    pub fn apply(&self, value: &[u8], dials: &Dials) -> bool {
        match self.kind {
            Kind::Bytes { min, max, unit, dial } => parse_bytes(value)
                .filter(|bytes| (min..=max).contains(bytes))
                .and_then(|bytes| u32::try_from(bytes / unit).ok())
                .map(|steps| dials.pin(dial, steps))
                .is_some(),
            Kind::Number { min, max, unit, dial } => parse_number(value)
                .and_then(|number| u32::try_from(number).ok())
                .filter(|number| (min..=max).contains(number))
                .map(|number| dials.pin(dial, number * unit))
                .is_some(),
            Kind::Dials => {
                // All or nothing: half of a list is nobody's wish.
                let parts = || value.split(|&byte| byte == b',').map(parse_dial);
                let whole = parts().all(|part| part.is_some());
                if whole {
                    parts().flatten().for_each(|(dial, value)| dials.pin(dial, value));
                }
                whole
            }
            Kind::Word { words, set } => words
                .iter()
                .position(|word| word.as_bytes() == value)
                .map(|word| set(dials, word))
                .is_some(),
            Kind::Path { set } => set(value),
        }
    }

    fn write_warning(&self, out: &mut impl Write) -> fmt::Result {
        write!(out, "ace-alloc: {} must be ", self.name)?;
        self.kind.write_range(out)?;
        writeln!(
            out,
            "; using the default, {}",
            if self.default.is_empty() { "none" } else { self.default }
        )
    }
}

impl Kind {
    fn write_range(&self, out: &mut impl Write) -> fmt::Result {
        match self {
            Self::Bytes { min, max, .. } => {
                write!(out, "bytes, {min} to ")?;
                write_bytes(out, *max)
            }
            Self::Number { min, max, .. } => write!(out, "a number, {min} to {max}"),
            Self::Word { words, .. } => {
                for (index, word) in words.iter().enumerate() {
                    write!(out, "{}{word}", if index == 0 { "" } else { " or " })?;
                }
                Ok(())
            }
            Self::Dials => write!(out, "a list like refill_max=8,warm_max=0"),
            Self::Path { .. } => write!(out, "a file name of at most 1024 bytes"),
        }
    }
}

fn write_bytes(out: &mut impl Write, bytes: u64) -> fmt::Result {
    match bytes {
        _ if bytes.is_multiple_of(1 << 30) => write!(out, "{}g", bytes >> 30),
        _ if bytes.is_multiple_of(1 << 20) => write!(out, "{}m", bytes >> 20),
        _ if bytes.is_multiple_of(1 << 10) => write!(out, "{}k", bytes >> 10),
        _ => write!(out, "{bytes}"),
    }
}

fn parse_number(text: &[u8]) -> Option<u64> {
    core::str::from_utf8(text).ok()?.parse().ok()
}

/// `name=value`, with the name of a dial.
fn parse_dial(text: &[u8]) -> Option<(Dial, u32)> {
    let (name, value) = core::str::from_utf8(text).ok()?.split_once('=')?;
    Some((Dial::named(name)?, value.parse().ok()?))
}

/// A number of bytes; `k`, `m`, `g` (powers of 1024) may follow.
#[must_use]
pub fn parse_bytes(text: &[u8]) -> Option<u64> {
    let (&last, number) = text.split_last()?;
    let shift = match last.to_ascii_lowercase() {
        b'k' => 10,
        b'm' => 20,
        b'g' => 30,
        _ => return parse_number(text),
    };
    parse_number(number)?.checked_mul(1 << shift)
}

/// Writes the table as the page `docs/ENV_VARS.md`.
///
/// # Errors
/// Those of `out`.
pub fn write_page(out: &mut impl Write) -> fmt::Result {
    out.write_str(
        "# Environment variables\n\n\
         Written from the table in `platform-linux/src/options/table.rs` by\n\
         `cargo run -p ace-alloc-linux --example env_vars > docs/ENV_VARS.md`; do not edit.\n\n\
         They act on `libace_alloc.so` and on Rust programs that use `AceAlloc`, are read once when the\n\
         process starts to allocate, and are ignored in programs that run with raised privileges. A\n\
         value that makes no sense costs one line on standard error, and the default is used. Where two\n\
         turn the same number, the one that stands later in this table wins.\n\n\
         | name | value | default | what it does |\n|---|---|---|---|\n",
    )?;
    for Setting { name, kind, default, doc } in TABLE {
        write!(out, "| `{name}` | ")?;
        kind.write_range(out)?;
        let default = if default.is_empty() { "none" } else { default };
        writeln!(out, " | {default} | {doc} |")?;
    }
    Ok(())
}
