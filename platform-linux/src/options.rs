//! The environment: one table of everything that a user can set. Floor: adapter.
//!
//! Read once, at the heap's first use or in the library's constructor, without allocation; ignored in
//! programs that run with raised privileges. A value that makes no sense costs one line on standard
//! error and the default is used. `docs/ENV_VARS.md` is written from this table
//! (`cargo run -p ace-alloc-linux --example env_vars`), and a test compares. The limit is 12 rows.

use crate::FdWriter;
use ace_alloc::{
    dials::{Dial, Dials, Route},
    size_class::SizeClass,
};
use core::{
    cell::UnsafeCell,
    ffi::{CStr, c_char},
    fmt::{self, Write},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
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

/// Every setting there is.
pub static TABLE: &[Setting] = &[
    Setting {
        name: "ACE_REPORT",
        kind: Kind::Path { set: |path| REPORT.keep(path) },
        default: "",
        doc: "`libace_alloc.so` writes a JSON report about its heap to this file when the program \
              exits. `%p` in the name becomes the process id. Forked children write none.",
    },
    Setting {
        name: "ACE_FOREIGN_FREE",
        kind: Kind::Word {
            words: &["abort", "ignore"],
            set: |_, word| IGNORE_FOREIGN.store(word == 1, Ordering::Relaxed),
        },
        default: "abort",
        doc: "What happens when a pointer is freed that this heap never handed out: stop the program \
              with its address, or skip the call (the memory then leaks).",
    },
    Setting {
        name: "ACE_DIRTY_LIMIT",
        kind: Kind::Bytes { min: 0, max: 1 << 40, unit: 1024, dial: Dial::DirtyFloorKib },
        default: "4m",
        doc: "Free memory that may stay resident in any case. More than this, and more than \
              `ACE_DIRTY_PERCENT` of the memory in use, goes back to the system at once.",
    },
    Setting {
        name: "ACE_DIRTY_PERCENT",
        kind: Kind::Number { min: 0, max: 1000, unit: 10, dial: Dial::DirtyPermille },
        default: "10",
        doc: "Free memory that may stay resident, in percent of the memory in use.",
    },
    Setting {
        name: "ACE_DEPOT_LIMIT",
        kind: Kind::Bytes {
            min: 0,
            max: (64 << 20) - 1024,
            unit: 1024,
            dial: Dial::DepotThreadKib,
        },
        default: "4m",
        doc: "Free blocks that one thread may keep for itself beside its magazines, in bytes.",
    },
    Setting {
        name: "ACE_ROUTE",
        kind: Kind::Word { words: &["tiny-first", "tiny-only", "pool-only"], set: set_route },
        default: "tiny-first",
        doc: "Way of a request: the thread's magazines and, where a thread can't have any, the shared \
              pool; the magazines only; or the shared pool only (slowest, nothing is cached).",
    },
    Setting {
        name: "ACE_DIALS",
        kind: Kind::Dials,
        default: "",
        doc: "Any of the dials of docs/ACE.md by name: `refill_max=8,warm_max=0`. Values out of range \
              become the nearest one in it.",
    },
];

fn set_route(dials: &Dials, word: usize) {
    let route = [Route::TinyFirst, Route::TinyOnly, Route::PoolOnly][word];
    for class in SizeClass::all() {
        dials.set_route(class, route);
    }
}

static IGNORE_FOREIGN: AtomicBool = AtomicBool::new(false);

/// Whether a free of memory that is not ours is skipped (`ACE_FOREIGN_FREE=ignore`).
pub fn foreign_frees_are_ignored() -> bool {
    IGNORE_FOREIGN.load(Ordering::Relaxed)
}

static REPORT: KeptPath = KeptPath { used: AtomicUsize::new(0), bytes: UnsafeCell::new([0; 1024]) };

/// The file name of `ACE_REPORT`, if it is set. A copy: programs that rename themselves write over
/// their environment.
pub fn report_path() -> Option<&'static [u8]> {
    let used = REPORT.used.load(Ordering::Acquire);
    // SAFETY: K1 (KeptPath): after `used` is set, nobody writes the bytes.
    (used > 0).then(|| unsafe { &(&*REPORT.bytes.get())[..used] })
}

/// Invariant K1: the bytes are written once, before `used` is set, and never again.
struct KeptPath {
    used: AtomicUsize,
    bytes: UnsafeCell<[u8; 1024]>,
}

// SAFETY: K1; `used` is stored with Release and read with Acquire.
unsafe impl Sync for KeptPath {}

impl KeptPath {
    fn keep(&self, path: &[u8]) -> bool {
        // SAFETY: `read` calls the setters once a process, before anybody can see `used` (K1).
        let bytes = unsafe { &mut *self.bytes.get() };
        let Some(place) = bytes.get_mut(..path.len()) else { return false };
        place.copy_from_slice(path);
        self.used.store(path.len(), Ordering::Release);
        true
    }
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

/// Applies what the environment sets; everything else keeps its default.
///
/// # Safety
/// 1. `environment` is a null-terminated array of C strings that nobody changes meanwhile.
/// 2. It is called once a process.
pub(crate) unsafe fn read(environment: *const *const c_char, dials: &Dials) {
    // SAFETY: getauxval has no preconditions.
    if unsafe { libc::getauxval(libc::AT_SECURE) } != 0 {
        return;
    }
    let mut next = environment;
    // SAFETY: (1) the array ends with a null pointer, and we stop there.
    while let Some(entry) = unsafe { next.read().as_ref() } {
        // SAFETY: (1) `entry` was not the last one.
        next = unsafe { next.add(1) };
        // SAFETY: (1) a C string.
        if unsafe { is_ours(entry) } {
            // SAFETY: as above.
            read_entry(unsafe { CStr::from_ptr(entry) }.to_bytes(), dials);
        }
    }
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

fn read_entry(entry: &[u8], dials: &Dials) {
    let Some(split) = entry.iter().position(|&byte| byte == b'=') else { return };
    let (name, value) = (&entry[..split], &entry[split + 1..]);
    // An empty value means "not set", as with most variables.
    if value.is_empty() {
        return;
    }
    for setting in TABLE.iter().filter(|setting| setting.name.as_bytes() == name) {
        if !setting.apply(value, dials) {
            let mut line = FdWriter::<512>::new(libc::STDERR_FILENO);
            let _ = setting.write_warning(&mut line);
        }
    }
}

impl Setting {
    /// Sets what this row acts on. `false`: the value makes no sense, and nothing was changed.
    #[must_use]
    pub fn apply(&self, value: &[u8], dials: &Dials) -> bool {
        match self.kind {
            Kind::Bytes { min, max, unit, dial } => parse_bytes(value)
                .filter(|bytes| (min..=max).contains(bytes))
                .and_then(|bytes| u32::try_from(bytes / unit).ok())
                .map(|steps| dials.set(dial, steps))
                .is_some(),
            Kind::Number { min, max, unit, dial } => parse_number(value)
                .and_then(|number| u32::try_from(number).ok())
                .filter(|number| (min..=max).contains(number))
                .map(|number| dials.set(dial, number * unit))
                .is_some(),
            Kind::Dials => {
                // All or nothing: half of a list is nobody's wish.
                let parts = || value.split(|&byte| byte == b',').map(parse_dial);
                let whole = parts().all(|part| part.is_some());
                if whole {
                    parts().flatten().for_each(|(dial, value)| dials.set(dial, value));
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
         Written from the table in `platform-linux/src/options.rs` by\n\
         `cargo run -p ace-alloc-linux --example env_vars > docs/ENV_VARS.md`; do not edit.\n\n\
         They act on `libace_alloc.so` and on Rust programs that use `AceAlloc`, are read once when the\n\
         process starts to allocate, and are ignored in programs that run with raised privileges. A\n\
         value that makes no sense costs one line on standard error, and the default is used.\n\n\
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
