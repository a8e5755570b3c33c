//! Where every byte and every block of a heap is, and whether the sums come out. Floor: window.
//!
//! [`crate::Heap::stats`] tells what counters say; a ledger is what a walk over the tables finds,
//! held against those counters. It is taken under the pool's lock.
//!
//! Units (and so bytes) change hands under that lock, so [`Ledger::audit_units`] holds at any time.
//! A slab's counts are its owner's; they agree while no other thread is inside a call of the heap.

use crate::{size_class::SizeClass, stats::BlockStats};
use core::fmt;

/// See the module's documentation; from [`crate::Heap::ledger`].
#[derive(Clone, Copy, Debug)]
pub struct Ledger {
    /// Bytes of the range that are committed for blocks.
    pub committed_bytes: usize,
    /// Committed bytes beside them: tables and heap records with their magazines.
    pub metadata_bytes: usize,
    /// What the committed bytes are used for.
    pub uses: Uses,
    /// What the pool's own counters say of some of the uses.
    pub counted: Counted,
    /// Slabs and their blocks, indexed by class number.
    pub classes: [ClassLedger; SizeClass::COUNT],
    /// Blocks above the largest class, inside the range.
    pub large: BlockStats,
    /// Blocks mapped one by one from the provider.
    pub huge: BlockStats,
    /// Chunks: parcels of free blocks.
    pub chunks: Chunks,
    /// Threads that hold a heap.
    pub threads: u32,
}

/// Committed bytes by use. Every unit is in exactly one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uses {
    /// Slabs that a thread or the pool owns.
    pub slabs: usize,
    /// Empty slabs in the warm pool.
    pub warm: usize,
    /// Runs of units in the warm pool's reserves: nothing is in them.
    pub reserved: usize,
    /// Units that chunks live in.
    pub chunks: usize,
    /// Units of Live superslabs that nothing is in, but for those in reserve.
    pub unused: usize,
    /// Units of Draining superslabs that nothing is in.
    pub draining: usize,
    /// Large blocks, rounded up to units.
    pub large: usize,
    /// The table of huge blocks.
    pub huge_table: usize,
    /// Free runs.
    pub free: usize,
}

/// The pool's counters for what a walk finds too, in bytes (large: in blocks).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Free runs.
    pub free: usize,
    /// Large blocks.
    pub large_blocks: usize,
    /// Slabs in the warm pool by the counters of the classes; the walk is over their lists.
    pub warm: usize,
    /// Runs in reserve.
    pub reserved: usize,
    /// Units set aside for chunks; the walk takes for such what it finds in use and can't explain
    /// otherwise.
    pub chunks: usize,
    /// Units of Live superslabs that nothing is in, those in reserve included.
    pub live_unused: usize,
}

/// One size class in a ledger. Counts are of blocks, but for the first two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClassLedger {
    /// Size of a block in bytes.
    pub block_bytes: u32,
    /// Slabs with an owner.
    pub slabs: u32,
    /// Blocks that they have room for.
    pub capacity: u64,
    /// Blocks that the slabs say they have handed out.
    pub used: u64,
    /// Blocks in the program's hands, or freed by another thread and not home yet.
    pub live: u64,
    /// Blocks in the bitmaps of their slabs.
    pub free: u64,
}

impl ClassLedger {
    /// Blocks in magazines, depots and chunks.
    #[must_use]
    pub fn cached(&self) -> u64 {
        self.used.saturating_sub(self.live)
    }
}

/// Chunks by where they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chunks {
    /// Room for chunks in the units set aside for them.
    pub room: usize,
    /// In the pool's list.
    pub spare: usize,
    /// Never handed out yet.
    pub untouched: usize,
}

impl Chunks {
    /// In threads' hands: depots, outboxes, inboxes, spares.
    #[must_use]
    pub fn in_use(&self) -> usize {
        self.room.saturating_sub(self.spare + self.untouched)
    }
}

/// What does not come out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Imbalance {
    /// The uses do not add up to the committed bytes.
    Units {
        /// Sum of the uses.
        found: usize,
        /// Committed bytes.
        committed: usize,
    },
    /// A counter of the pool differs from what the walk found.
    Counter {
        /// Of what.
        of: &'static str,
        /// What the counter says.
        counted: usize,
        /// What the walk found.
        found: usize,
    },
    /// The blocks of a class do not add up: capacity = used + free, and no more live than used.
    Blocks(ClassLedger),
    /// Something is not back where it came from, though every thread is gone and everything freed.
    Left {
        /// What.
        what: &'static str,
        /// How many, or how many bytes.
        count: usize,
    },
}

impl Ledger {
    /// Everything that the provider gave and did not get back, in bytes.
    #[must_use]
    pub fn mapped_bytes(&self) -> usize {
        self.committed_bytes + self.metadata_bytes + self.huge.bytes
    }

    /// Blocks in the program's hands (or on their way home), of every kind.
    #[must_use]
    pub fn live_blocks(&self) -> u64 {
        let small: u64 = self.classes.iter().map(|class| class.live).sum();
        small + self.large.blocks as u64 + self.huge.blocks as u64
    }

    /// Holds the walk over the units against the counters. May be asked at any time.
    ///
    /// # Errors
    /// The first thing that does not come out.
    pub fn audit_units(&self) -> Result<(), Imbalance> {
        let Uses { slabs, warm, reserved, chunks, unused, draining, large, huge_table, free } =
            self.uses;
        let in_superslabs = slabs + warm + reserved + chunks + unused + draining;
        let found = in_superslabs + large + huge_table + free;
        if found != self.committed_bytes {
            return Err(Imbalance::Units { found, committed: self.committed_bytes });
        }
        let counted = self.counted;
        let Chunks { room, spare, untouched } = self.chunks;
        for (of, counted, found) in [
            ("bytes of free runs", counted.free, free),
            ("large blocks", counted.large_blocks, self.large.blocks),
            ("bytes of warm slabs", counted.warm, warm),
            ("bytes in reserve", counted.reserved, reserved),
            ("bytes of chunks", counted.chunks, chunks),
            ("unused bytes that serve", counted.live_unused, unused + reserved),
            ("chunks", spare + untouched + self.chunks.in_use(), room),
        ] {
            if counted != found {
                return Err(Imbalance::Counter { of, counted, found });
            }
        }
        Ok(())
    }

    /// [`Self::audit_units`], and the blocks of every class. True while no other thread is inside a
    /// call of the heap.
    ///
    /// # Errors
    /// The first thing that does not come out.
    pub fn audit(&self) -> Result<(), Imbalance> {
        self.audit_units()?;
        let wrong = |class: &&ClassLedger| {
            class.used + class.free != class.capacity || class.live > class.used
        };
        match self.classes.iter().find(wrong) {
            Some(class) => Err(Imbalance::Blocks(*class)),
            None => Ok(()),
        }
    }

    /// [`Self::audit`], and nothing is left: for a heap whose threads are gone, with everything
    /// freed.
    ///
    /// # Errors
    /// The first thing that does not come out, or is not back.
    pub fn audit_empty(&self) -> Result<(), Imbalance> {
        self.audit()?;
        let cached: u64 = self.classes.iter().map(ClassLedger::cached).sum();
        for (what, count) in [
            ("live blocks", self.live_blocks() as usize),
            ("cached blocks", cached as usize),
            ("bytes of slabs", self.uses.slabs),
            ("bytes of large blocks", self.uses.large),
            ("chunks in use", self.chunks.in_use()),
            ("threads", self.threads as usize),
        ] {
            if count != 0 {
                return Err(Imbalance::Left { what, count });
            }
        }
        Ok(())
    }
}

impl fmt::Display for Imbalance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Units { found, committed } => {
                write!(f, "the parts make up {found} of {committed} committed bytes")
            }
            Self::Counter { of, counted, found } => {
                write!(f, "{of}: the pool counts {counted}, the walk found {found}")
            }
            Self::Blocks(class) => write!(
                f,
                "blocks of {} bytes: {} used ({} live) and {} free do not make {}",
                class.block_bytes, class.used, class.live, class.free, class.capacity
            ),
            Self::Left { what, count } => write!(f, "{what}: {count} left"),
        }
    }
}

impl core::error::Error for Imbalance {}
