//! Scripts for the whole heap: a geometry and the steps that the stage of the tests plays on it.

use crate::size::size;
use ace_alloc::geometry::{Host, HostTail, Small};
use ace_alloc_tests::pages::Fault;
use ace_alloc_tests::platforms::Shape;
use ace_alloc_tests::script::Op;
use arbitrary::{Arbitrary, Result, Unstructured};

/// Steps of a script, repetitions included.
const MOST_STEPS: usize = 3000;
/// Bytes that a script may ask for before its blocks become small: keeps one execution short.
const BYTES: usize = 3 << 20;

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
        let mut reader = Reader { bytes, largest: Stand::largest(stand), left: BYTES };
        let mut steps = Vec::new();
        while !reader.bytes.is_empty() && steps.len() < MOST_STEPS {
            reader.step(&mut steps)?;
        }
        Ok(Self { stand, steps })
    }
}

struct Reader<'a, 'b> {
    bytes: &'b mut Unstructured<'a>,
    largest: usize,
    left: usize,
}

impl Reader<'_, '_> {
    fn step(&mut self, steps: &mut Vec<Op>) -> Result<()> {
        let step = match self.bytes.arbitrary::<u8>()? {
            0..72 => Op::Malloc(self.size()?),
            72..86 => Op::Calloc(self.size()?),
            86..100 => Op::Memalign(u32::from(self.byte()? % 25), self.size()?),
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
            if self.afford(bytes_of(step)) {
                steps.push(step);
            }
        }
        Ok(())
    }

    fn byte(&mut self) -> Result<u8> {
        self.bytes.arbitrary()
    }

    fn number(&mut self) -> Result<usize> {
        Ok(self.byte()?.into())
    }

    fn size(&mut self) -> Result<usize> {
        let bytes = size(self.bytes, self.largest)?;
        Ok(if self.afford(bytes) { bytes } else { bytes % 257 })
    }

    fn huge(&mut self) -> Result<usize> {
        let more = usize::from(self.bytes.arbitrary::<u16>()?) << 6;
        self.afford(1 << 20);
        Ok(more)
    }

    fn afford(&mut self, bytes: usize) -> bool {
        let bytes = bytes.min(1 << 20);
        let affordable = bytes <= self.left;
        if affordable {
            self.left -= bytes;
        }
        affordable
    }
}

/// Bytes that a step asks for; those of huge blocks are hardly touched.
fn bytes_of(step: Op) -> usize {
    match step {
        Op::Malloc(bytes)
        | Op::Calloc(bytes)
        | Op::Memalign(_, bytes)
        | Op::Alloc(_, bytes, _)
        | Op::Realloc(_, bytes) => bytes,
        Op::Huge(_) => 1 << 20,
        _ => 0,
    }
}
