//! Scripts with orders: steps of the heap's stage, and between them turns of ACE in which anything is
//! ordered, at any time of any clock.

use crate::script::{Reader, Stand};
use ace_alloc::ace::{Act, Orders, Policy, Reason, Seen};
use ace_alloc::{Dials, SizeClass};
use ace_alloc_tests::orders::{KINDS, act, refuses_memory};
use ace_alloc_tests::script::Op;
use arbitrary::{Arbitrary, Result, Unstructured};

/// Turns of an execution.
const MOST_TURNS: usize = 64;
/// Orders of a turn.
const MOST_ORDERS: usize = 70;

/// See the module's documentation.
#[derive(Clone, Debug)]
pub struct Ordered {
    /// Where it is played.
    pub stand: Stand,
    /// Whether ACE itself has its say in each turn, after the orders.
    pub with_ace: bool,
    /// What is played: steps, and then a turn.
    pub parts: Vec<(Vec<Op>, Turn)>,
}

/// A turn.
#[derive(Clone, Debug)]
pub struct Turn {
    /// When it is, on a clock that may go back.
    pub now_ms: u64,
    /// What is ordered.
    pub acts: Vec<Act>,
}

impl Ordered {
    /// Whether an order lets a thread without a heap go without memory.
    #[must_use]
    pub fn refuses_memory(&self) -> bool {
        self.parts.iter().flat_map(|(_, turn)| &turn.acts).any(|act| refuses_memory(*act))
    }
}

impl Policy for Turn {
    fn decide(&mut self, _: &Seen, _: &Dials, orders: &mut Orders) {
        for act in &self.acts {
            orders.give(*act, Reason::Exploring);
        }
    }
}

impl<'a> Arbitrary<'a> for Ordered {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> Result<Self> {
        let (stand, with_ace) = (bytes.arbitrary()?, bytes.arbitrary()?);
        let mut reader = Reader::new(bytes, stand);
        let (mut parts, mut steps, mut now) = (Vec::new(), Vec::new(), 0);
        let mut played = 0;
        while !reader.is_done(played + steps.len()) && parts.len() < MOST_TURNS {
            // One byte in eight begins a turn.
            if reader.byte()? % 8 == 0 {
                played += steps.len();
                parts.push((std::mem::take(&mut steps), turn(&mut reader, &mut now)?));
            } else {
                reader.step(&mut steps)?;
            }
        }
        parts.push((steps, Turn { now_ms: now, acts: Vec::new() }));
        Ok(Self { stand, with_ace, parts })
    }
}

fn turn(reader: &mut Reader<'_, '_>, now: &mut u64) -> Result<Turn> {
    let jump = reader.byte()?;
    *now = match jump {
        0..200 => now.saturating_add(jump.into()),
        200..230 => now.saturating_add(1 << (jump - 200)),
        230..250 => *now / 2,
        _ => u64::MAX,
    };
    let mut acts = Vec::new();
    let orders = usize::from(reader.byte()?) % (MOST_ORDERS + 1);
    while acts.len() < orders && !reader.is_empty() {
        acts.push(order(reader)?);
    }
    Ok(Turn { now_ms: *now, acts })
}

fn order(reader: &mut Reader<'_, '_>) -> Result<Act> {
    // Dials mostly.
    let kind = [0, 0, 0, 1, 1, 1, 1, 2, 3, 4, 5][reader.number()? % (KINDS + 5)];
    let (which, class) = (reader.number()?, reader.number()? % SizeClass::USED);
    let (scale, digits) = (reader.byte()?, u32::from(reader.byte()?));
    let value = match scale {
        0..128 => digits,
        128..255 => digits << (scale % 25),
        255 => u32::MAX - digits,
    };
    Ok(act(kind, which, class, value))
}
