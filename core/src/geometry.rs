//! The shape of a heap, fixed at compile time. Floor: ground.
//!
//! A heap is one reserved range, cut into *units*: the grain of the route table and the smallest
//! slab. A *slab* is 1, 2 or 4 units of blocks of one size class; a *superslab* is up to 64 units
//! that slabs are carved from. Presets: [`Host`], [`HostTail`], [`Medium`], [`Small`], [`Compact`].

use crate::{prefix, size_class::SizeClass};

/// Where a slab's prefix and bitmap live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// In the last bytes of the slab itself: nothing to reserve beside the heap.
    SlabTail,
    /// In tables beside the reserved range: out of reach of a linear overflow, and the slab's own
    /// pages stay untouched until blocks are used.
    Table,
}

/// The constants of one heap shape.
pub trait Geometry: 'static {
    /// log2 of the unit in bytes.
    const UNIT_SHIFT: u32;
    /// Units of a superslab: a power of two, 4 to 64.
    const SUPERSLAB_UNITS: u32;
    /// Units to reserve if the provider has the address space.
    const MAX_UNITS: u32;
    /// Units that are worth starting with; below, the heap reports that it is out of pages.
    const MIN_UNITS: u32;
    /// Units committed at a time, at least.
    const COMMIT_UNITS: u32;
    /// Words of a magazine: a power of two, 8 to 128. One is the null slot.
    const MAGAZINE_SLOTS: usize;
    /// Bytes of blocks that a magazine of a large class may hold.
    const MAGAZINE_BYTES: usize;
    /// Threads that can hold a heap at the same time; further ones are served by the shared pool.
    const MAX_HEAPS: u32;
    /// Largest block in bytes that slabs serve; above begin the spans.
    const CLASS_MAX: usize;
    /// Smallest block in bytes that is mapped on its own.
    const HUGE_MIN: usize;
    /// Where prefixes live.
    const PREFIX: Placement;

    /// Bytes of a unit.
    const UNIT: usize = 1 << Self::UNIT_SHIFT;
    /// Bytes of a superslab.
    const SUPERSLAB: usize = Self::UNIT * Self::SUPERSLAB_UNITS as usize;
    /// Bytes of a chunk: half a magazine, of which 8 are the chunk's own.
    const CHUNK_BYTES: usize = Self::MAGAZINE_SLOTS / 2 * size_of::<usize>();
    /// Blocks that a chunk carries.
    const CHUNK_BLOCKS: usize = (Self::CHUNK_BYTES - 8) / size_of::<usize>();
    /// Per class: how its slabs look. Indexed by class number.
    const CLASSES: [ClassShape; SizeClass::COUNT] = class_shapes::<Self>();
    /// Classes that have slabs.
    const SERVED: usize = served(&Self::CLASSES);
    /// Evaluated by `Heap::new`: a shape that can't work does not compile.
    const CHECK: () = {
        assert!(Self::UNIT_SHIFT >= 10 && Self::UNIT_SHIFT <= 19, "a unit is 1 KiB to 512 KiB");
        assert!(Self::SUPERSLAB_UNITS.is_power_of_two(), "superslab units: a power of two");
        assert!(
            Self::SUPERSLAB_UNITS >= 4 && Self::SUPERSLAB_UNITS <= 64,
            "superslab: 4 to 64 units"
        );
        assert!(Self::MAX_UNITS.is_multiple_of(Self::SUPERSLAB_UNITS), "whole superslabs");
        assert!(Self::MIN_UNITS.is_multiple_of(Self::SUPERSLAB_UNITS), "whole superslabs");
        assert!(Self::MIN_UNITS >= Self::SUPERSLAB_UNITS, "at least one superslab");
        assert!(Self::COMMIT_UNITS.is_multiple_of(Self::SUPERSLAB_UNITS), "whole superslabs");
        assert!(Self::MAGAZINE_SLOTS.is_power_of_two(), "magazine slots: a power of two");
        assert!(
            Self::MAGAZINE_SLOTS >= 8 && Self::MAGAZINE_SLOTS <= 128,
            "magazine: 8 to 128 slots"
        );
        assert!(Self::CLASS_MAX <= SizeClass::MAX_BYTES, "slabs serve classes");
        assert!(Self::CLASS_MAX >= SizeClass::TINY_MAX, "the tiny table's classes have slabs");
        assert!(Self::CLASS_MAX * 2 <= 4 * Self::UNIT, "a slab holds at least two blocks");
        let chunks = Self::MAX_UNITS as usize * (Self::UNIT / Self::CHUNK_BYTES);
        assert!(chunks < u32::MAX as usize - 2, "chunk numbers fit 32 bits");
        assert!(Self::MAX_HEAPS >= 1 && Self::MAX_HEAPS < 0x00FF_0000, "heap numbers fit 24 bits");
    };
}

/// How the slabs of one class look in one geometry.
#[derive(Clone, Copy, Debug)]
pub struct ClassShape {
    /// ceil(2^40 / block size): offset × magic >> 40 is the block's index, exact below 4 MiB.
    pub magic: u64,
    /// Block size in bytes; 0 if the class is not served.
    pub bytes: u32,
    /// Blocks of a slab.
    pub capacity: u16,
    /// Units of a slab: 1, 2 or 4.
    pub units: u8,
    /// Blocks that a magazine may hold.
    pub magazine: u8,
}

const fn served(classes: &[ClassShape]) -> usize {
    let (mut served, mut class) = (0, 0);
    while class < classes.len() {
        served += (classes[class].bytes > 0) as usize;
        class += 1;
    }
    served
}

impl ClassShape {
    const NONE: Self = Self { magic: 0, bytes: 0, capacity: 0, units: 0, magazine: 0 };

    /// Index of the block that contains this offset into the slab.
    #[inline(always)]
    #[must_use]
    pub const fn index_of(&self, offset: usize) -> usize {
        ((offset as u64 * self.magic) >> 40) as usize
    }
}

/// How the slabs of `class` look.
#[inline]
#[must_use]
pub fn shape_of<G: Geometry>(class: SizeClass) -> &'static ClassShape {
    let shapes: &'static [ClassShape; SizeClass::COUNT] = const { &G::CLASSES };
    // SAFETY: C1: the number of a class is below COUNT.
    unsafe { shapes.get_unchecked(class.index()) }
}

const fn class_shapes<G: Geometry + ?Sized>() -> [ClassShape; SizeClass::COUNT] {
    let mut shapes = [ClassShape::NONE; SizeClass::COUNT];
    let mut number = 0;
    while number < SizeClass::USED {
        let bytes = SizeClass::new(number).bytes();
        if bytes <= G::CLASS_MAX {
            shapes[number] = class_shape::<G>(bytes);
        }
        number += 1;
    }
    shapes
}

const fn class_shape<G: Geometry + ?Sized>(bytes: usize) -> ClassShape {
    // Small blocks: 64 a slab or more. Mid ones: few, in larger slabs, so that a thread that uses
    // many classes does not hold many nearly empty slabs (docs/decisions/0002-slab-sizes.md).
    let units = if bytes * 64 <= G::UNIT {
        1
    } else if bytes * 32 <= 2 * G::UNIT {
        2
    } else {
        4
    };
    let slab = G::UNIT * units;
    let capacity = match G::PREFIX {
        Placement::Table => slab / bytes,
        Placement::SlabTail => {
            let mut blocks = slab / bytes;
            while blocks * bytes + prefix::tail_bytes(blocks) > slab {
                blocks -= 1;
            }
            blocks
        }
    };
    assert!(capacity <= u16::MAX as usize, "a slab counts its blocks in 16 bits");
    let by_bytes = G::MAGAZINE_BYTES / bytes;
    let by_bytes = if by_bytes < 2 { 2 } else { by_bytes };
    let full = G::MAGAZINE_SLOTS - 1;
    let limit = if bytes > SizeClass::TINY_MAX { G::MAGAZINE_SLOTS / 2 } else { full };
    let magazine = if by_bytes < limit { by_bytes } else { limit };
    ClassShape {
        magic: (1_u64 << 40).div_ceil(bytes as u64),
        bytes: bytes as u32,
        capacity: capacity as u16,
        units: units as u8,
        magazine: magazine as u8,
    }
}

/// 64-bit hosts: 64 KiB units, 4 MiB superslabs, prefixes in tables, up to 256 GiB of blocks.
#[derive(Debug)]
pub struct Host;

impl Geometry for Host {
    const UNIT_SHIFT: u32 = 16;
    const SUPERSLAB_UNITS: u32 = 64;
    const MAX_UNITS: u32 = 1 << 22;
    const MIN_UNITS: u32 = 64;
    const COMMIT_UNITS: u32 = 256;
    const MAGAZINE_SLOTS: usize = 128;
    const MAGAZINE_BYTES: usize = 512 << 10;
    const MAX_HEAPS: u32 = 1 << 14;
    const CLASS_MAX: usize = SizeClass::MAX_BYTES;
    const HUGE_MIN: usize = 32 << 20;
    const PREFIX: Placement = Placement::Table;
}

/// [`Host`] with the prefix in the slab's tail, as in the ACE-Alloc paper; for comparison and
/// tests.
#[derive(Debug)]
pub struct HostTail;

impl Geometry for HostTail {
    const UNIT_SHIFT: u32 = Host::UNIT_SHIFT;
    const SUPERSLAB_UNITS: u32 = Host::SUPERSLAB_UNITS;
    const MAX_UNITS: u32 = Host::MAX_UNITS;
    const MIN_UNITS: u32 = Host::MIN_UNITS;
    const COMMIT_UNITS: u32 = Host::COMMIT_UNITS;
    const MAGAZINE_SLOTS: usize = Host::MAGAZINE_SLOTS;
    const MAGAZINE_BYTES: usize = Host::MAGAZINE_BYTES;
    const MAX_HEAPS: u32 = Host::MAX_HEAPS;
    const CLASS_MAX: usize = 32 << 10;
    const HUGE_MIN: usize = Host::HUGE_MIN;
    const PREFIX: Placement = Placement::SlabTail;
}

/// Heaps of 64 MiB to 64 GiB without address space to waste: 16 KiB units, 1 MiB superslabs, prefix
/// in the slab's tail. A heap record has some 50 KiB. (Up to 1 GiB where addresses have 32 bits.)
#[derive(Debug)]
pub struct Medium;

impl Geometry for Medium {
    const UNIT_SHIFT: u32 = 14;
    const SUPERSLAB_UNITS: u32 = 64;
    const MAX_UNITS: u32 = if usize::BITS > 32 { 1 << 22 } else { 1 << 16 };
    const MIN_UNITS: u32 = 64;
    const COMMIT_UNITS: u32 = 64;
    const MAGAZINE_SLOTS: usize = 64;
    const MAGAZINE_BYTES: usize = 64 << 10;
    const MAX_HEAPS: u32 = 1 << 10;
    const CLASS_MAX: usize = 16 << 10;
    const HUGE_MIN: usize = usize::MAX / 2;
    const PREFIX: Placement = Placement::SlabTail;
}

/// Heaps of about 4 MiB to 64 MiB: 4 KiB units, 64 KiB superslabs, prefixes in tables: blocks of
/// whole powers of two fill their slabs. Eight heap records: four CPUs and their interrupt
/// handlers.
#[derive(Debug)]
pub struct Small;

impl Geometry for Small {
    const UNIT_SHIFT: u32 = 12;
    const SUPERSLAB_UNITS: u32 = 16;
    const MAX_UNITS: u32 = 1 << 14;
    const MIN_UNITS: u32 = 16;
    const COMMIT_UNITS: u32 = 16;
    const MAGAZINE_SLOTS: usize = 16;
    const MAGAZINE_BYTES: usize = 4 << 10;
    const MAX_HEAPS: u32 = 8;
    const CLASS_MAX: usize = 8 << 10;
    const HUGE_MIN: usize = usize::MAX / 2;
    const PREFIX: Placement = Placement::Table;
}

/// Heaps of about 1 MiB to 4 MiB (at most 16) in memory that is never given back: 1 KiB units, 16
/// KiB superslabs, prefix in the slab's tail. A slab has at most 4 KiB, so that each class that is
/// used binds little; blocks of more than 1280 bytes are runs of units, which are taken and freed
/// under the lock. Eight heap records.
#[derive(Debug)]
pub struct Compact;

impl Geometry for Compact {
    const UNIT_SHIFT: u32 = 10;
    const SUPERSLAB_UNITS: u32 = 16;
    const MAX_UNITS: u32 = 1 << 14;
    const MIN_UNITS: u32 = 64;
    const COMMIT_UNITS: u32 = 64;
    const MAGAZINE_SLOTS: usize = 16;
    const MAGAZINE_BYTES: usize = 4 << 10;
    const MAX_HEAPS: u32 = 8;
    const CLASS_MAX: usize = 1280;
    const HUGE_MIN: usize = usize::MAX / 2;
    const PREFIX: Placement = Placement::SlabTail;
}
