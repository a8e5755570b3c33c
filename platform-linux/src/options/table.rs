//! The table of everything that a user can set, and what its rows act on. Floor: adapter.
//!
//! The limit is 12 rows: a new option needs a user who must set it. Rows are read in this order, so a later
//! one wins over an earlier one that turns the same dial.

use super::{Kind, Setting};
use crate::{HEAP, file::Path};
use ace_alloc::{
    ace::{Mode, Profile},
    dials::{Dial, Dials, Route},
    size_class::SizeClass,
};
use core::sync::atomic::{AtomicBool, AtomicU8, Ordering};

/// Every setting there is.
pub static TABLE: &[Setting] = &[
    Setting {
        name: "ACE_MODE",
        kind: Kind::Word {
            words: &[Mode::Off.name(), Mode::Observe.name(), Mode::Tune.name()],
            set: |_, word| HEAP.set_mode(Mode::ALL[word]),
        },
        default: "tune",
        doc: "How much ACE does: nothing; look and report what it would do; tune the heap while the program \
              runs.",
    },
    Setting {
        name: "ACE_PROFILE",
        kind: Kind::Word {
            words: &[Profile::Full.name(), Profile::Balanced.name(), Profile::Conservative.name()],
            set: set_profile,
        },
        default: "balanced",
        doc: "Where the dials begin: time before memory (large caches, free memory stays), the first values, \
              or memory before time. Single dials that are set as well win over the profile.",
    },
    Setting {
        name: "ACE_MEMORY_WEIGHT",
        kind: Kind::Number { min: 0, max: 1000, unit: 1, dial: Dial::MemoryWeight },
        default: "500",
        doc: "What memory counts against time when ACE compares settings, in thousandths: 0 only time, 1000 \
              only memory.",
    },
    Setting {
        name: "ACE_TENDER",
        kind: Kind::Word {
            words: &["0", "1"],
            set: |_, word| TENDER.store(word == 1, Ordering::Relaxed),
        },
        default: "0",
        doc: "1: a thread of its own takes turns of ACE, so that a program that sleeps gives its free memory \
              back as well, and one that fills and empties its heap keeps it for the moment between. It \
              begins once the program has done some slow things with the heap, looks after it every 16 ms \
              while things happen, and once a second or not at all when nothing does.",
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
        name: "ACE_DIALS",
        kind: Kind::Dials,
        default: "",
        doc: "Any of the dials of docs/ACE.md by name: `refill_max=8,warm_max=0`. Values out of range \
              become the nearest one in it. ACE leaves alone what is set here or by a row above.",
    },
    Setting {
        name: "ACE_ROUTE",
        kind: Kind::Word { words: &["tiny-first", "tiny-only", "pool-only"], set: set_route },
        default: "tiny-first",
        doc: "Way of a request: the thread's magazines and, where a thread can't have any, the shared \
              pool; the magazines only; or the shared pool only (slowest, nothing is cached).",
    },
    Setting {
        name: "ACE_TRACE",
        kind: Kind::Path { set: |path| TRACE.keep(path) },
        default: "",
        doc: "What ACE sees, decides and why is appended to this file, a JSON object a line; `ace explain` \
              reads it. `%p` in the name becomes the process id. Forked children write nothing; programs \
              that are started write lines of their own, with their process id.",
    },
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
];

static PROFILE: AtomicU8 = AtomicU8::new(Profile::Balanced as u8);

fn set_profile(dials: &Dials, word: usize) {
    let profile = Profile::ALL[word];
    PROFILE.store(profile as u8, Ordering::Relaxed);
    profile.set(dials);
}

/// The profile that the dials began with.
pub fn profile() -> Profile {
    Profile::ALL[usize::from(PROFILE.load(Ordering::Relaxed))]
}

fn set_route(dials: &Dials, word: usize) {
    let route = [Route::TinyFirst, Route::TinyOnly, Route::PoolOnly][word];
    for class in SizeClass::all() {
        dials.set_route(class, route);
    }
}

static TENDER: AtomicBool = AtomicBool::new(false);

/// From now on one is.
pub(crate) fn want_tender() {
    TENDER.store(true, Ordering::Relaxed);
}

/// Whether a thread is to take turns (`ACE_TENDER=1`).
pub fn tender_is_wanted() -> bool {
    TENDER.load(Ordering::Relaxed)
}

static IGNORE_FOREIGN: AtomicBool = AtomicBool::new(false);

/// Whether a free of memory that is not ours is skipped (`ACE_FOREIGN_FREE=ignore`).
pub fn foreign_frees_are_ignored() -> bool {
    IGNORE_FOREIGN.load(Ordering::Relaxed)
}

static REPORT: Path = Path::new();

/// The file name of `ACE_REPORT`, if it is set.
pub fn report_path() -> Option<&'static [u8]> {
    REPORT.get()
}

static TRACE: Path = Path::new();

/// The file name of `ACE_TRACE`, if it is set.
pub fn trace_path() -> Option<&'static [u8]> {
    TRACE.get()
}
