//! Orders that no policy of ours would give: any act, any value, in range or far out of it.

use crate::random::Random;
use ace_alloc::ace::{Act, Orders, Policy, Reason, Seen};
use ace_alloc::{ClassDial, Dial, Dials, SizeClass};

/// Kinds of acts.
pub const KINDS: usize = 6;

/// The act of this kind. Each number picks one of what there is, modulo how many there are; `value` goes
/// into the order as it is.
#[must_use]
pub fn act(kind: usize, which: usize, class: usize, value: u32) -> Act {
    const OF_CLASS: [ClassDial; 3] = [ClassDial::Cap, ClassDial::Parcel, ClassDial::Route];
    let class = SizeClass::new(class % SizeClass::USED);
    match kind % KINDS {
        0 => Act::Set(Dial::ALL[which % Dial::COUNT], value),
        1 => Act::SetClass(class, OF_CLASS[which % OF_CLASS.len()], value.to_le_bytes()[0]),
        2 => Act::Purge(value),
        3 => Act::Trim,
        4 => Act::Visit(value),
        _ => Act::Promote(value),
    }
}

/// Whether the act lets a thread without a heap go without memory: then null is a fair answer.
#[must_use]
pub fn refuses_memory(act: Act) -> bool {
    matches!(act, Act::SetClass(_, ClassDial::Route, 1))
}

/// Random orders, dials mostly, up to as many as a turn may give.
#[derive(Debug)]
pub struct Hostile {
    random: Random,
    /// Whether it may give orders that [`refuses_memory`].
    pub may_refuse: bool,
    /// Orders so far.
    pub given: u64,
}

impl Hostile {
    /// Depends on nothing but `seed`.
    #[must_use]
    pub const fn new(seed: u64, may_refuse: bool) -> Self {
        Self { random: Random::new(seed), may_refuse, given: 0 }
    }

    fn value(&mut self) -> u32 {
        let value = self.random.draw();
        // Near zero, near the ends of the dials, and anything.
        match value % 4 {
            0 => (value >> 8) as u32 % 4,
            1 => (value >> 8) as u32 % 256,
            2 => u32::MAX >> ((value >> 8) % 32),
            _ => (value >> 32) as u32,
        }
    }
}

impl Policy for Hostile {
    fn decide(&mut self, _: &Seen, _: &Dials, orders: &mut Orders) {
        for _ in 0..self.random.below(80) {
            let kind = [0, 0, 1, 1, 1, 2, 3, 4, 5][self.random.below(9)];
            let (which, class) = (self.random.below(64), self.random.below(SizeClass::USED));
            let act = act(kind, which, class, self.value());
            if !self.may_refuse && refuses_memory(act) {
                continue;
            }
            let reason = Reason::ALL[self.random.below(Reason::ALL.len())];
            self.given += u64::from(orders.give(act, reason));
        }
    }
}
