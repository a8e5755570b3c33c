//! Scripts for the whole heap: a geometry and the steps that the stage of the tests plays on it.

use crate::size::size;
use ace_alloc::geometry::{Host, HostTail, Small};
use ace_alloc_tests::pages::Fault;
use ace_alloc_tests::platforms::Shape;
use ace_alloc_tests::script::Op;
use arbitrary::{Arbitrary, Result, Unstructured};

/// Steps of a script, repetitions included.
const MOST_STEPS: usize = 3000;
/// What a script may spend on sizes and alignments before they become small: keeps an execution short.
const BUDGET: usize = 3 << 20;

/// Which geometry a script is played on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    /// [`Host`].
    Host,
    /// [`HostTail`].
    HostTail,
    /// [`Small`].
    Small,
}

impl Stand {
    fn largest(self) -> usize {
        match self {
            Self::Host => Host::LARGEST,
            Self::HostTail => HostTail::LARGEST,
            Self::Small => Small::LARGEST,
        }
    }
}

impl<'a> Arbitrary<'a> for Stand {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> Result<Self> {
        Ok(match bytes.arbitrary::<u8>()? % 3 {
            0 => Self::Host,
            1 => Self::HostTail,
            _ => Self::Small,
        })
    }
}

/// See the module's documentation.
#[derive(Clone, Debug)]
pub struct Script {
    /// Where it is played.
    pub stand: Stand,
    /// What is played.
    pub steps: Vec<Op>,
}

impl<'a> Arbitrary<'a> for Script {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> Result<Self> {
        let stand = bytes.arbitrary()?;
        let mut reader = Reader::new(bytes, stand);
        let mut steps = Vec::new();
        while !reader.is_done(steps.len()) {
            reader.step(&mut steps)?;
        }
        Ok(Self { stand, steps })
    }
}

/// Reads steps, within a budget.
pub struct Reader<'a, 'b> {
    bytes: &'b mut Unstructured<'a>,
    largest: usize,
    left: usize,
}

impl<'a, 'b> Reader<'a, 'b> {
    /// Reads steps for this geometry from these bytes.
    pub fn new(bytes: &'b mut Unstructured<'a>, stand: Stand) -> Self {
        Self { bytes, largest: stand.largest(), left: BUDGET }
    }

    /// Whether nothing is left to read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether the script is at its end: nothing is left to read, or it is long enough.
    #[must_use]
    pub fn is_done(&self, steps: usize) -> bool {
        self.is_empty() || steps >= MOST_STEPS
    }

    /// Reads a step; one that is repeated becomes many.
    ///
    /// # Errors
    /// None: where the bytes end, zeros follow.
    pub fn step(&mut self, steps: &mut Vec<Op>) -> Result<()> {
        let step = match self.bytes.arbitrary::<u8>()? {
            0..72 => Op::Malloc(self.size()?),
            72..86 => Op::Calloc(self.size()?),
            86..100 => {
                let shift = u32::from(self.byte()? % 25);
                let shift = if self.afford(share_of_alignment(shift)) { shift } else { shift % 8 };
                Op::Memalign(shift, self.size()?)
            }
            100..124 => {
                let kind = self.byte()?;
                Op::Alloc(u32::from(kind % 13), self.size()?, kind >= 192)
            }
            124..176 => Op::Free(self.number()?),
            176..200 => Op::Realloc(self.number()?, self.size()?),
            200..216 => return self.repeat(steps),
            216..230 => Op::Hop(self.number()?),
            230..235 => Op::Trim([0, 0, 64 << 10, 8 << 20][self.number()? % 4]),
            235..241 => Op::Exit(self.byte()? % 4 == 0),
            241..244 => Op::Huge(self.huge()?),
            244..250 => Op::Fault(Fault::Call(self.byte()?.into())),
            250..252 => Op::Fault(Fault::Calls(self.byte()?.into(), self.byte()?.into())),
            252..254 => Op::Fault(Fault::From(self.byte()?.into())),
            _ => Op::Fault(Fault::Never),
        };
        steps.push(step);
        Ok(())
    }

    /// The last step some times more: fills magazines and slabs, and empties them.
    fn repeat(&mut self, steps: &mut Vec<Op>) -> Result<()> {
        let times = self.number()?;
        let Some(&step) = steps.last() else { return Ok(()) };
        for _ in 0..times {
            if self.afford(share_of(step)) {
                steps.push(step);
            }
        }
        steps.truncate(MOST_STEPS);
        Ok(())
    }

    /// Reads a byte.
    ///
    /// # Errors
    /// None, as for [`Self::step`].
    pub fn byte(&mut self) -> Result<u8> {
        self.bytes.arbitrary()
    }

    /// Reads a byte that counts or picks something.
    ///
    /// # Errors
    /// None, as for [`Self::step`].
    pub fn number(&mut self) -> Result<usize> {
        Ok(self.byte()?.into())
    }

    fn size(&mut self) -> Result<usize> {
        let bytes = size(self.bytes, self.largest)?;
        Ok(if self.afford(share_of_size(bytes)) { bytes } else { bytes % 257 })
    }

    fn huge(&mut self) -> Result<usize> {
        let more = usize::from(self.bytes.arbitrary::<u16>()?) << 6;
        self.afford(share_of_size(usize::MAX));
        Ok(more)
    }

    fn afford(&mut self, share: usize) -> bool {
        let affordable = share <= self.left;
        if affordable {
            self.left -= share;
        }
        affordable
    }
}

/// What a size counts for: large blocks are not touched wholly.
fn share_of_size(bytes: usize) -> usize {
    bytes.min(1 << 20)
}

/// What an alignment counts for. Blocks at distances of a superslab leave no room for one between them:
/// with too many of them a heap is full of holes, and null is a fair answer.
fn share_of_alignment(shift: u32) -> usize {
    (1 << shift) / 8
}

fn share_of(step: Op) -> usize {
    match step {
        Op::Memalign(shift, bytes) => share_of_size(bytes) + share_of_alignment(shift),
        Op::Malloc(bytes) | Op::Calloc(bytes) | Op::Alloc(_, bytes, _) | Op::Realloc(_, bytes) => {
            share_of_size(bytes)
        }
        Op::Huge(_) => share_of_size(usize::MAX),
        _ => 0,
    }
}
