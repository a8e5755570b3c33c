//! What is asked for: sizes and calls as programs make them, drawn from a seed. Floor: tool.

use super::block::Call;
use fastrand::Rng;

/// What the phase of the moment is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Mix {
    /// All sizes, most of them small.
    Real,
    /// At most 1 KiB: as many blocks as the bound of live bytes lets live.
    Small,
    /// 1 KiB to 64 KiB.
    Mid,
    /// Above 64 KiB: spans and mappings.
    Large,
}

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

impl Mix {
    pub const ALL: [Self; 4] = [Self::Real, Self::Small, Self::Mid, Self::Large];

    /// A size of 0 bytes or more.
    pub fn size(self, random: &mut Rng) -> usize {
        match self {
            Self::Real => match random.u32(0..50_000) {
                0 => even_in_powers(random, 64 * MIB, 256 * MIB),
                1..11 => even_in_powers(random, 8 * MIB, 64 * MIB),
                11..60 => even_in_powers(random, 64 * KIB, 8 * MIB),
                60..2_500 => random.usize(8 * KIB..64 * KIB),
                2_500..8_000 => random.usize(KIB..8 * KIB),
                _ => small(random),
            },
            Self::Small => small(random),
            Self::Mid => even_in_powers(random, KIB, 64 * KIB),
            // Most of the time still goes by between small ones, as in a real program.
            Self::Large => match random.u32(0..64) {
                0 => even_in_powers(random, 64 * KIB, 64 * MIB),
                _ => small(random),
            },
        }
    }
}

/// A call for a block.
pub fn call(random: &mut Rng) -> Call {
    match random.u32(0..4096) {
        0..3000 => Call::Malloc,
        3000..3200 => Call::MallocUsable,
        3200..3900 => Call::Calloc,
        // Vectors and cache lines, rarely pages, hardly ever more: each of those takes as much as its
        // alignment.
        3900..4070 => Call::Aligned(1 << random.u32(4..8)),
        4070..4095 => Call::Aligned(1 << random.u32(8..13)),
        _ => Call::Aligned(1 << random.u32(13..22)),
    }
}

/// Strings and nodes: the smaller, the more frequent.
fn small(random: &mut Rng) -> usize {
    let most = 16 << random.u32(0..7);
    random.usize(0..=most)
}

/// Each doubling equally often.
fn even_in_powers(random: &mut Rng, low: usize, high: usize) -> usize {
    let doublings = (high / low).ilog2();
    let base = low << random.u32(0..doublings);
    base + random.usize(0..base)
}
