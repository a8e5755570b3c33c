//! Owns the table of contestants: for each allocator its worker, its library and its environment.

/// One row of every report.
pub struct Allocator {
    /// The name that `--peers` and the reports use.
    pub name: &'static str,
    /// Executable of the `peers` package.
    pub worker: &'static str,
    /// What is preloaded into the worker.
    pub library: Library,
    /// Settings of this row alone; every other tuning variable of a peer is removed.
    pub settings: &'static [(&'static str, &'static str)],
    /// Does it take part without being asked for?
    pub by_default: bool,
    /// One line for `ace-bench peers`.
    pub about: &'static str,
}

/// The library under which a worker runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Library {
    /// The allocator is linked into the worker.
    Linked,
    /// `libace_alloc.so` as it is released, or its `unchecked` build.
    Ace { unchecked: bool },
    /// The first of these files that the system has.
    System(&'static [&'static str]),
}

/// The row that is no allocator.
pub const FLOOR: &str = "floor";

const PLAIN: &[(&str, &str)] = &[];

/// Every allocator, in the order of the reports: ours, then the peers.
pub static ALL: &[Allocator] = &[
    row("ace", "glibc", Library::Ace { unchecked: false }, "ACE-Alloc by LD_PRELOAD, as deployed"),
    row(
        "ace-unchecked",
        "glibc",
        Library::Ace { unchecked: true },
        "the same, built with the feature `unchecked`",
    ),
    row(
        "ace-linked",
        "ace-linked",
        Library::Linked,
        "ACE-Alloc's C functions, linked like the peers'",
    ),
    row(
        "ace-linked-unchecked",
        "ace-linked-unchecked",
        Library::Linked,
        "the same, built with the feature `unchecked`",
    ),
    row(
        "ace-rust",
        "ace-rust",
        Library::Linked,
        "AceAlloc as GlobalAlloc, linked, runtime layouts",
    ),
    row("mimalloc3", "mimalloc3", Library::Linked, "mimalloc 3, linked"),
    Allocator {
        settings: &[("MIMALLOC_ALLOW_THP", "0")],
        ..row(
            "mimalloc3-nothp",
            "mimalloc3",
            Library::Linked,
            "mimalloc 3 without transparent huge pages: the row to compare memory with",
        )
    },
    row("mimalloc2", "mimalloc2", Library::Linked, "mimalloc 2, linked"),
    row("snmalloc", "snmalloc", Library::Linked, "snmalloc, linked"),
    row("jemalloc", "jemalloc", Library::Linked, "jemalloc (tikv's crate), linked"),
    row("rpmalloc", "rpmalloc", Library::Linked, "rpmalloc, linked"),
    row("glibc", "glibc", Library::Linked, "the C library's own malloc"),
    row(
        "jemalloc-preload",
        "glibc",
        Library::System(&["libjemalloc.so.2"]),
        "the system's jemalloc by LD_PRELOAD (Debian: libjemalloc2)",
    ),
    row(
        "tcmalloc-preload",
        "glibc",
        Library::System(&["libtcmalloc_minimal.so.4"]),
        "the system's gperftools tcmalloc by LD_PRELOAD (Debian: libtcmalloc-minimal4)",
    ),
    row(
        "mimalloc-preload",
        "glibc",
        Library::System(&["libmimalloc.so.3", "libmimalloc.so.2", "libmimalloc.so.2.0"]),
        "the system's mimalloc by LD_PRELOAD (Debian: libmimalloc2.0)",
    ),
    Allocator {
        by_default: false,
        ..row(
            FLOOR,
            FLOOR,
            Library::Linked,
            "no allocator: what the loop itself costs (only where threads do not free for others)",
        )
    },
];

/// A row without settings of its own.
const fn row(
    name: &'static str,
    worker: &'static str,
    library: Library,
    about: &'static str,
) -> Allocator {
    Allocator { name, worker, library, settings: PLAIN, by_default: true, about }
}

/// Beginnings of the variables that tune an allocator. ACE's own are left alone: whoever sets them
/// wants to see what they do.
pub const TUNING: &[&str] = &[
    "MIMALLOC_",
    "MALLOC_",
    "_RJEM_MALLOC_",
    "TCMALLOC_",
    "SNMALLOC_",
    "GLIBC_TUNABLES",
    "LD_PRELOAD",
];

impl Allocator {
    /// The allocator of this name.
    pub fn named(name: &str) -> Result<&'static Self, String> {
        ALL.iter().find(|allocator| allocator.name == name).ok_or_else(|| {
            let known = Vec::from_iter(ALL.iter().map(|allocator| allocator.name)).join(", ");
            format!("no allocator is called {name}; there are {known}")
        })
    }

    /// Are its functions linked into the worker, so that a call is direct? The others are called
    /// through the dynamic linker's table, which costs every one of them the same.
    pub fn is_linked(&self) -> bool {
        self.library == Library::Linked && self.worker != "glibc"
    }

    /// Is this one of ours?
    pub fn is_ace(&self) -> bool {
        self.name.starts_with("ace")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found() {
        for allocator in ALL {
            assert!(std::ptr::eq(Allocator::named(allocator.name).unwrap(), allocator));
        }
        assert!(Allocator::named("malloc").is_err());
    }
}
