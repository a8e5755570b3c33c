//! Bytes to size class and back. Floor: cellar.
//!
//! | classes | block sizes in bytes | step |
//! |---|---|---|
//! | 0..=31 | 16 … 512 | 16 |
//! | 32..=47 | 544 … 1024 | 32 |
//! | 48..=71 | 1152 … 8192 | 8 per doubling |
//! | 72..=83 | 10240 … 65536 | 4 per doubling |
//! | 84..=90 | 24, 40, 56, 72, 88, 104, 120 | only where the caller needs no more than 8-byte alignment |
//!
//! Every class but the last group is a multiple of 16, so `malloc` is 16-byte aligned throughout.

/// Number of a size class. Invariant C1: it is below [`SizeClass::COUNT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SizeClass(u8);

const TINY_TABLE: [u8; SizeClass::TINY_MAX + 1] = tiny_table();
const MID_TABLE: [u8; SizeClass::MAX_BYTES / MID_STEP] = mid_table();
const SIZES: [u32; SizeClass::COUNT] = sizes();
const MID_STEP: usize = 128;

impl SizeClass {
    /// Slots for classes in per-class arrays. A little more than [`SizeClass::USED`], so that a
    /// front is a whole number of cache lines.
    pub const COUNT: usize = 96;
    /// Classes that exist: numbers `0..USED`.
    pub const USED: usize = 91;
    /// Largest request, in bytes, that the byte-indexed table answers.
    pub const TINY_MAX: usize = 1024;
    /// Largest block of any class, in bytes.
    pub const MAX_BYTES: usize = 65536;
    /// Number of the first of the narrow classes, whose blocks are only 8-byte aligned. They are
    /// the last.
    pub const FIRST_NARROW: usize = 84;
    /// Largest block of the narrow classes.
    pub const NARROW_MAX: usize = 120;

    /// The class with this number.
    ///
    /// # Panics
    /// If there is no such class.
    #[must_use]
    pub const fn new(number: usize) -> Self {
        assert!(number < Self::USED);
        #[expect(clippy::cast_possible_truncation, reason = "USED is below 256")]
        Self(number as u8)
    }

    /// The class with this number, which a route entry or a prefix holds: those were written from a
    /// class, so C1 holds.
    #[inline(always)]
    #[must_use]
    pub(crate) const fn from_entry(number: u8) -> Self {
        debug_assert!((number as usize) < Self::COUNT);
        Self(number)
    }

    /// The smallest class for `bytes` ≤ [`Self::TINY_MAX`], 16-byte aligned.
    #[inline(always)]
    #[must_use]
    pub const fn tiny(bytes: usize) -> Self {
        Self(TINY_TABLE[bytes])
    }

    /// The smallest class for `TINY_MAX < bytes ≤ MAX_BYTES`.
    #[inline(always)]
    #[must_use]
    pub const fn mid(bytes: usize) -> Self {
        Self(MID_TABLE[(bytes - 1) / MID_STEP])
    }

    /// The smallest class for `bytes`, 16-byte aligned, or `None` above [`Self::MAX_BYTES`].
    #[inline(always)]
    #[must_use]
    pub const fn of(bytes: usize) -> Option<Self> {
        if bytes <= Self::TINY_MAX {
            Some(Self::tiny(bytes))
        } else if bytes <= Self::MAX_BYTES {
            Some(Self::mid(bytes))
        } else {
            None
        }
    }

    /// The smallest class whose blocks are aligned to `align`, a power of two. Blocks lie at
    /// multiples of their size, so that is the smallest one with a size divisible by `align`.
    #[inline(always)]
    #[must_use]
    pub const fn aligned(bytes: usize, align: usize) -> Option<Self> {
        if align <= 8 && bytes <= Self::NARROW_MAX {
            return Some(Self::narrow(bytes));
        }
        if align <= 16 {
            return Self::of(bytes);
        }
        Self::divisible(bytes, align)
    }

    /// Whether a layout is served by one of the classes whose blocks are only 8-byte aligned.
    #[inline(always)]
    #[must_use]
    pub const fn is_narrow(bytes: usize, align: usize) -> bool {
        align <= 8 && bytes > 16 && bytes <= Self::NARROW_MAX && bytes.div_ceil(8) % 2 == 1
    }

    const fn narrow(bytes: usize) -> Self {
        // 17..=24 → 24, 33..=40 → 40 …: an odd number of 8-byte words has a class of its own.
        let words = bytes.div_ceil(8);
        if words >= 3 && words % 2 == 1 {
            Self((Self::FIRST_NARROW + words / 2 - 1) as u8)
        } else {
            Self::tiny(bytes)
        }
    }

    const fn divisible(bytes: usize, align: usize) -> Option<Self> {
        let wanted = if bytes < align { align } else { bytes };
        let mut class = match Self::of(wanted) {
            Some(class) => class.0 as usize,
            None => return None,
        };
        while class < Self::FIRST_NARROW {
            if (SIZES[class] as usize).is_multiple_of(align) {
                return Some(Self(class as u8));
            }
            class += 1;
        }
        None
    }

    /// Number of the class.
    #[inline(always)]
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// Block size in bytes; 0 for the unused numbers.
    #[inline(always)]
    #[must_use]
    pub const fn bytes(self) -> usize {
        SIZES[self.0 as usize] as usize
    }

    /// All classes, in order of their numbers.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..Self::USED).map(Self::new)
    }
}

const fn sizes() -> [u32; SizeClass::COUNT] {
    let mut sizes = [0; SizeClass::COUNT];
    let mut class = 0;
    let mut bytes = 0;
    while class < SizeClass::FIRST_NARROW {
        bytes += match class {
            0..32 => 16,
            32..48 => 32,
            48..72 => 1 << (7 + (class - 48) / 8),
            _ => 1 << (11 + (class - 72) / 4),
        };
        sizes[class] = bytes;
        class += 1;
    }
    let mut narrow = 24;
    while class < SizeClass::USED {
        sizes[class] = narrow;
        narrow += 16;
        class += 1;
    }
    sizes
}

const fn tiny_table() -> [u8; SizeClass::TINY_MAX + 1] {
    let mut table = [0; SizeClass::TINY_MAX + 1];
    let mut bytes = 0;
    while bytes <= SizeClass::TINY_MAX {
        table[bytes] = match bytes {
            0 => 0,
            1..=512 => (bytes - 1) / 16,
            _ => 32 + (bytes - 513) / 32,
        } as u8;
        bytes += 1;
    }
    table
}

const fn mid_table() -> [u8; SizeClass::MAX_BYTES / MID_STEP] {
    let mut table = [0; SizeClass::MAX_BYTES / MID_STEP];
    let mut class = 47;
    let mut slot = 0;
    while slot < table.len() {
        if ((slot + 1) * MID_STEP) as u32 > SIZES[class] {
            class += 1;
        }
        table[slot] = class as u8;
        slot += 1;
    }
    table
}

const _: () = {
    assert!(SIZES[31] == 512 && SIZES[47] == 1024 && SIZES[71] == 8192);
    assert!(
        SIZES[83] as usize == SizeClass::MAX_BYTES && SIZES[90] as usize == SizeClass::NARROW_MAX
    );
    // Every request is answered with a block that is large enough, and the class below is not.
    let mut bytes = 1;
    while bytes <= SizeClass::MAX_BYTES {
        if let Some(class) = SizeClass::of(bytes) {
            assert!(class.bytes() >= bytes);
            assert!(class.0 == 0 || (SIZES[class.0 as usize - 1] as usize) < bytes);
        }
        bytes += if bytes < 2048 { 1 } else { 127 };
    }
};
