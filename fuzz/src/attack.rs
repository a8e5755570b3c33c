//! Attacks on the gate: what a program does to a heap, and addresses that it has no business with.

use crate::script::Stand;
use crate::size::size;
use arbitrary::{Arbitrary, Result, Unstructured};

/// Steps of a raid, repetitions included.
const MOST_STEPS: usize = 600;
/// Largest block: all kinds but huge ones.
const LARGEST: usize = 300 << 10;

/// A geometry and what happens there.
#[derive(Clone, Debug)]
pub struct Raid {
    /// Where it happens.
    pub stand: Stand,
    /// What happens.
    pub acts: Vec<Act>,
}

/// One step.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    /// A block as C asks for it.
    Malloc(usize),
    /// A block of this many bytes and this alignment (log2), as Rust asks for it.
    Alloc(u32, usize),
    /// A block that is mapped on its own.
    Huge(usize),
    /// `free` of this address.
    Free(Aim),
    /// `realloc` of this address.
    Realloc(Aim, usize),
    /// `usable_size` of this address.
    Ask(Aim),
    /// Another thread goes on.
    Hop(usize),
    /// This thread ends, and another begins in its place.
    Exit,
    /// This thread empties its caches.
    Trim,
}

/// An address, chosen while the raid goes on.
#[derive(Clone, Copy, Debug)]
pub enum Aim {
    /// So far from a live block.
    Live(usize, Offset),
    /// So far from a block that was freed.
    Freed(usize, Offset),
    /// So many units from the unit of a live block, and so far from there.
    Unit(usize, isize, Offset),
    /// So many superslabs from the superslab of a live block, and so far from there.
    Superslab(usize, isize, Offset),
    /// So far from the start of the heap's range or, `true`, its end.
    Range(bool, Offset),
    /// A variable of the attacker.
    Stack(Offset),
    /// Any address at all.
    Wild(usize),
}

/// A distance from a place.
#[derive(Clone, Copy, Debug)]
pub enum Offset {
    /// Bytes.
    Bytes(isize),
    /// Sixteenths of the block there.
    Sixteenths(usize),
    /// Bytes from its end.
    End(isize),
}

impl Offset {
    /// The address this far from a place of so many bytes.
    #[must_use]
    pub fn applied(self, start: usize, bytes: usize) -> usize {
        match self {
            Self::Bytes(distance) => start.wrapping_add_signed(distance),
            Self::Sixteenths(parts) => start.wrapping_add(bytes / 16 * parts),
            Self::End(distance) => start.wrapping_add(bytes).wrapping_add_signed(distance),
        }
    }
}

impl<'a> Arbitrary<'a> for Raid {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> Result<Self> {
        let stand = bytes.arbitrary()?;
        let mut acts: Vec<Act> = Vec::new();
        while !bytes.is_empty() && acts.len() < MOST_STEPS {
            match bytes.arbitrary::<u8>()? {
                0..60 => acts.push(Act::Malloc(size(bytes, LARGEST)?)),
                60..76 => {
                    acts.push(Act::Alloc(bytes.arbitrary::<u8>()? as u32 % 16, size(bytes, 8192)?))
                }
                76..78 => acts.push(Act::Huge(usize::from(bytes.arbitrary::<u8>()?) << 8)),
                78..160 => acts.push(Act::Free(aim(bytes)?)),
                160..190 => acts.push(Act::Realloc(aim(bytes)?, size(bytes, LARGEST)?)),
                190..210 => acts.push(Act::Ask(aim(bytes)?)),
                210..228 => {
                    let times = usize::from(bytes.arbitrary::<u8>()?);
                    acts.extend(acts.last().copied().into_iter().cycle().take(times));
                }
                228..244 => acts.push(Act::Hop(bytes.arbitrary::<u8>()?.into())),
                244..250 => acts.push(Act::Exit),
                _ => acts.push(Act::Trim),
            }
        }
        acts.truncate(MOST_STEPS);
        Ok(Self { stand, acts })
    }
}

fn aim(bytes: &mut Unstructured<'_>) -> Result<Aim> {
    let kind = bytes.arbitrary::<u8>()?;
    let number = |bytes: &mut Unstructured<'_>| bytes.arbitrary::<u8>().map(usize::from);
    let steps = |bytes: &mut Unstructured<'_>| bytes.arbitrary::<i8>().map(isize::from);
    Ok(match kind {
        // Mostly a block as it should be, or the heap would stay empty.
        0..80 => Aim::Live(number(bytes)?, Offset::Bytes(0)),
        80..120 => Aim::Live(number(bytes)?, offset(bytes)?),
        120..150 => Aim::Freed(number(bytes)?, Offset::Bytes(0)),
        150..180 => Aim::Freed(number(bytes)?, offset(bytes)?),
        180..205 => Aim::Unit(number(bytes)?, steps(bytes)?, offset(bytes)?),
        205..215 => Aim::Superslab(number(bytes)?, steps(bytes)?, offset(bytes)?),
        215..230 => Aim::Range(kind % 2 == 0, offset(bytes)?),
        230..236 => Aim::Stack(offset(bytes)?),
        236..246 => Aim::Wild(bytes.arbitrary()?),
        // Null, the first bytes, the last bytes, and half way.
        246..249 => Aim::Wild(0),
        249..251 => Aim::Wild(number(bytes)?),
        251..253 => Aim::Wild(usize::MAX - number(bytes)?),
        _ => Aim::Wild((1 << 63) - 128 + number(bytes)?),
    })
}

fn offset(bytes: &mut Unstructured<'_>) -> Result<Offset> {
    let kind = bytes.arbitrary::<u8>()?;
    Ok(match kind {
        0..160 => Offset::Bytes([0, 1, 8, 16, 32, 48, -1, -8, -16, -32][usize::from(kind) % 10]),
        160..192 => Offset::Bytes(bytes.arbitrary::<i16>()?.into()),
        192..208 => Offset::Bytes(isize::from(bytes.arbitrary::<i16>()?) * 16),
        208..232 => Offset::Sixteenths((kind % 16).into()),
        _ => Offset::End(isize::from(kind % 8) * 8 - 32),
    })
}
