//! Whether what was tuned was worth it; if not, it is taken back. Floor: garden.
//!
//! Orders of the tuning policies begin a trial: some turns later, in the same phase, the cost is
//! held against that of the turns before. If it is worse by [`WORSE`] thousandths, every dial that
//! was turned meanwhile gets its old value, and may not go that way again for a while, which
//! doubles each time.
//!
//! Acts that are not dials (a purge, a trim) are reflexes, and are not judged.

use super::{Act, Order, Orders, Reason, Seen, objective::Epoch, phase::Look};
use crate::{
    dials::{ClassDial, Dial, Dials},
    size_class::SizeClass,
};
use heapless::Vec;

/// Turns that are compared.
const TURNS: u32 = 5;
/// Turns after the first order that are not looked at: caches adapt.
const SETTLE: u8 = 1;
/// Thousandths of the cost by which it must rise to be worse.
pub const WORSE: i64 = 250;
/// Parts per million of the time, weighed, that do not matter.
const LEAST: u64 = 10_000;
/// Dials that one trial may turn. Orders for more are given again later.
const CHANGES: usize = 32;
/// Bans that are remembered.
const BANS: usize = 32;
/// Turns for which the first ban of a dial's direction holds, and the longest one.
const FIRST_BAN: u32 = 64;
const LONGEST_BAN: u32 = 1 << 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Knob {
    Of(Dial),
    OfClass(SizeClass, ClassDial),
}

impl Knob {
    fn turned_by(act: Act) -> Option<(Self, u32)> {
        match act {
            Act::Set(dial, value) => Some((Self::Of(dial), dial.clamp(value))),
            Act::SetClass(class, dial, value) => {
                Some((Self::OfClass(class, dial), u32::from(value.min(dial.max()))))
            }
            _ => None,
        }
    }

    fn get(self, dials: &Dials) -> u32 {
        match self {
            Self::Of(dial) => dials.get(dial),
            Self::OfClass(class, dial) => u32::from(dials.of_class(class, dial)),
        }
    }

    fn set(self, dials: &Dials, value: u32, orders: &mut Orders) {
        match self {
            Self::Of(dial) => orders.set(dials, dial, value, Reason::RolledBack),
            Self::OfClass(class, dial) => {
                let value = u8::try_from(value).unwrap_or(u8::MAX);
                orders.set_class(dials, (class, dial), value, Reason::RolledBack);
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Change {
    knob: Knob,
    old: u32,
}

#[derive(Clone, Copy, Debug)]
struct Ban {
    knob: Knob,
    up: bool,
    until: u32,
    turns: u32,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Trial {
    changes: Vec<Change, CHANGES>,
    bans: Vec<Ban, BANS>,
    /// The cost before the trial; if none is on, of the last turns that were whole.
    before: Epoch,
    running: Epoch,
    settle: u8,
    turn: u32,
}

impl Trial {
    /// Nothing on trial.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            changes: Vec::new(),
            bans: Vec::new(),
            before: Epoch::EMPTY,
            running: Epoch::EMPTY,
            settle: 0,
            turn: 0,
        }
    }

    /// What was before can't be compared with what comes.
    pub fn restart(&mut self) {
        self.changes.clear();
        self.before = Epoch::EMPTY;
        self.running = Epoch::EMPTY;
        self.settle = SETTLE;
    }

    /// Looks at a turn and at the orders that the tuning policies gave in it, those from number
    /// `from` on: takes banned ones away, and adds some if what was tuned before is to be undone.
    pub fn watch(
        &mut self,
        seen: &Seen,
        look: Look,
        dials: &Dials,
        orders: &mut Orders,
        from: usize,
    ) {
        self.turn = self.turn.saturating_add(1);
        match look {
            // Another phase, another truth.
            Look::New(_) => {
                self.restart();
                self.bans.clear();
            }
            Look::Same if self.settle > 0 => self.settle -= 1,
            Look::Same => self.running.add(seen),
            Look::Idle | Look::Unsure => {}
        }
        if self.running.has(TURNS) {
            let after = core::mem::replace(&mut self.running, Epoch::EMPTY);
            let difference = after.against(&self.before, dials.get(Dial::MemoryWeight), LEAST);
            if !self.changes.is_empty() && difference.is_some_and(|worse| worse >= WORSE) {
                orders.truncate(from);
                self.undo(dials, orders);
                return;
            }
            self.changes.clear();
            self.before = after;
        }
        self.admit(dials, orders, from);
    }

    fn undo(&mut self, dials: &Dials, orders: &mut Orders) {
        for Change { knob, old } in core::mem::take(&mut self.changes) {
            let now = knob.get(dials);
            if now != old {
                knob.set(dials, old, orders);
                self.ban(knob, is_up(knob, old, now));
            }
        }
        self.settle = SETTLE;
    }

    fn ban(&mut self, knob: Knob, up: bool) {
        let same = self.bans.iter().position(|ban| ban.knob == knob && ban.up == up);
        let turns = match same {
            Some(same) => (self.bans.swap_remove(same).turns * 2).min(LONGEST_BAN),
            None => FIRST_BAN,
        };
        if self.bans.is_full()
            && let Some(first) = (0..self.bans.len()).min_by_key(|&ban| self.bans[ban].until)
        {
            self.bans.swap_remove(first);
        }
        let ban = Ban { knob, up, until: self.turn.saturating_add(turns), turns };
        // There is room: see above.
        let _ = self.bans.push(ban);
    }

    /// Lets orders pass that are not banned, and notes what they change.
    fn admit(&mut self, dials: &Dials, orders: &mut Orders, from: usize) {
        let comparable = self.before.has(TURNS);
        orders.retain_from(from, |Order { act, .. }| {
            let Some((knob, new)) = Knob::turned_by(*act) else { return true };
            let old = knob.get(dials);
            let up = is_up(knob, old, new);
            let is_banned = |ban: &Ban| ban.knob == knob && ban.up == up && ban.until > self.turn;
            if self.bans.iter().any(is_banned) {
                return false;
            }
            if !comparable || self.changes.iter().any(|change| change.knob == knob) {
                return true;
            }
            if self.changes.is_empty() {
                self.running = Epoch::EMPTY;
                self.settle = SETTLE;
            }
            self.changes.push(Change { knob, old }).is_ok()
        });
    }
}

/// Whether a knob goes up. Zero is not the least of a class's dials, but means what the geometry
/// says.
fn is_up(knob: Knob, old: u32, new: u32) -> bool {
    let place = |value: u32| match knob {
        Knob::OfClass(_, ClassDial::Cap | ClassDial::Parcel) if value == 0 => u32::MAX,
        _ => value,
    };
    place(new) > place(old)
}

impl Default for Trial {
    fn default() -> Self {
        Self::new()
    }
}
