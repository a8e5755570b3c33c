//! What ACE wants done, and why. Floor: garden.

use crate::{
    dials::{ClassDial, Dial, Dials},
    size_class::SizeClass,
};
use heapless::Vec;

/// Something to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Turn a dial.
    Set(Dial, u32),
    /// Turn a dial of one class.
    SetClass(SizeClass, ClassDial, u8),
    /// Give free memory back to the system until at most this many KiB of it are left.
    Purge(u32),
    /// Every thread empties the caches of classes that it has not used since the last such order,
    /// when it next does something slow.
    Trim,
    /// Deliver the mail of this many sleeping threads, and empty their depots.
    Visit(u32),
    /// Ask for huge pages for this many superslabs.
    Promote(u32),
}

macro_rules! reasons {
    ($($name:ident = $code:literal, $says:literal;)*) => {
        /// Why an order was given.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Reason {
            $(#[doc = $says] $name,)*
        }

        impl Reason {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The word that stands in traces.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// The reason as a sentence.
            #[must_use]
            pub const fn sentence(self) -> &'static str {
                match self { $(Self::$name => $says,)* }
            }
        }
    };
}

reasons! {
    Refaulted = "refaulted", "Memory was wanted again right after it was given back.";
    Unneeded = "unneeded", "Free memory stayed unused for a while.";
    Idle = "idle", "The program does nothing, so it needs no free memory.";
    Denied = "denied", "A request found no memory.";
    ClassIdle = "class_idle", "The class has not needed slabs or depots for a while.";
    ClassBack = "class_back", "The budget has place for the class again.";
    ClassGrown = "class_grown", "The class goes back and forth over the edge of its magazine.";
    CapBudget = "cap_budget", "The magazines of the classes in use would exceed the budget.";
    SlowStart = "slow_start", "Memory has been had for a while, so refills grow back.";
    RefillsOften = "refills_often", "Slabs are asked for blocks very often.";
    RefillsSeldom = "refills_seldom", "Slabs are seldom asked for blocks.";
    BurstOver = "burst_over", "A burst of requests has ended.";
    Asleep = "asleep", "A thread that did nothing for a while holds free blocks.";
    Roomy = "roomy", "Superslabs that serve have had much free room for a while.";
    Revived = "revived", "Superslabs that were to empty themselves were needed again.";
    MailFull = "mail_full", "Parcels of the class go out full, and often.";
    MailRare = "mail_rare", "So little mail is sent of the class that its blocks wait long for company.";
    SlabsMissed = "slabs_missed", "Slabs were wanted and not ready.";
    SlabsRest = "slabs_rest", "Hardly any slab was wanted for a while.";
    Missed = "missed", "Requests missed the caches although memory abounds.";
    LargeAndSteady = "large_and_steady", "The heap is large and has kept its size for a while.";
    Exploring = "exploring", "Another profile is tried for a moment.";
    Returned = "returned", "The profile that was tried is left again, to compare.";
    BetterProfile = "better_profile", "This profile did better when it was tried.";
    NewPhase = "new_phase", "The program does something else now.";
    KnownPhase = "known_phase", "The program does again what it did before: what was best then.";
    RolledBack = "rolled_back", "What was tuned made things worse.";
}

/// An act with its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// What is to be done.
    pub act: Act,
    /// Why.
    pub reason: Reason,
}

/// The orders of one turn. Bounded: what finds no place is given again at a later turn, because
/// policies decide by what they see.
#[derive(Debug, Default)]
pub struct Orders {
    list: Vec<Order, 64>,
}

impl Orders {
    /// None.
    #[must_use]
    pub const fn new() -> Self {
        Self { list: Vec::new() }
    }

    /// The orders, in the order in which they were given.
    #[must_use]
    pub fn list(&self) -> &[Order] {
        &self.list
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        self.list.clear();
    }

    /// Orders that still find a place.
    #[must_use]
    pub fn room(&self) -> usize {
        self.list.capacity() - self.list.len()
    }

    /// Takes back all orders but the first `keep`.
    pub fn truncate(&mut self, keep: usize) {
        self.list.truncate(keep);
    }

    /// Takes back those orders from number `from` on that `keep` does not want.
    pub fn retain_from(&mut self, from: usize, mut keep: impl FnMut(&Order) -> bool) {
        let mut number = 0;
        self.list.retain(|order| {
            number += 1;
            number <= from || keep(order)
        });
    }

    /// Wants something done. `false`: there is no place left this turn.
    pub fn give(&mut self, act: Act, reason: Reason) -> bool {
        self.list.push(Order { act, reason }).is_ok()
    }

    /// Wants a dial to stand at the nearest value to `value` that it may have. Nothing is ordered
    /// if it does, or if the host has pinned it.
    pub fn set(&mut self, dials: &Dials, dial: Dial, value: u32, reason: Reason) {
        let value = dial.clamp(value);
        let ordered = self.list.iter().rev().find_map(|order| match order.act {
            Act::Set(other, value) if other == dial => Some(value),
            _ => None,
        });
        if ordered.unwrap_or_else(|| dials.get(dial)) != value && !dials.is_pinned(dial) {
            self.give(Act::Set(dial, value), reason);
        }
    }

    /// The same for a dial of one class.
    pub fn set_class(
        &mut self,
        dials: &Dials,
        (class, dial): (SizeClass, ClassDial),
        value: u8,
        reason: Reason,
    ) {
        let value = value.min(dial.max());
        if dials.of_class(class, dial) != value {
            self.give(Act::SetClass(class, dial, value), reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dial_that_the_host_pinned_is_left_alone() {
        let (dials, mut orders) = (Dials::new(), Orders::new());
        dials.pin(Dial::RefillMax, 8);
        orders.set(&dials, Dial::RefillMax, 64, Reason::SlowStart);
        assert_eq!(orders.list(), []);
        orders.set(&dials, Dial::WarmMax, 64, Reason::SlowStart);
        let wanted = Order { act: Act::Set(Dial::WarmMax, 64), reason: Reason::SlowStart };
        assert_eq!(orders.list(), [wanted]);
    }
}
