//! Where a dial stood before a policy moved it, so that the policy can go back there.
//! Floor: garden.
//!
//! A dial has several masters: the host, the learner, one policy. A value that the policy did not
//! set is another's wish and the new home. An order may not be carried out (mode `observe`) or be
//! taken back: the value from before it is nobody's wish either.

use super::{Orders, Reason};
use crate::{
    dials::{ClassDial, Dial, Dials},
    size_class::SizeClass,
};

/// See the module's documentation.
#[derive(Clone, Copy, Debug)]
pub struct Home<T> {
    home: T,
    /// The last order: from where, to where.
    moved: Option<(T, T)>,
}

impl<T: Copy + PartialEq> Home<T> {
    /// Nothing was moved yet.
    pub const fn new(first: T) -> Self {
        Self { home: first, moved: None }
    }

    /// The home of a dial that stands at `now`.
    pub fn of(&mut self, now: T) -> T {
        if self.moved.is_none_or(|(from, to)| now != from && now != to) {
            *self = Self::new(now);
        }
        self.home
    }

    fn leave(&mut self, from: T, to: T) {
        if from != to {
            self.moved = Some((from, to));
        }
    }
}

impl Home<u32> {
    /// Orders `dial` to stand at `value`.
    pub fn set(
        &mut self,
        (dials, orders): (&Dials, &mut Orders),
        dial: Dial,
        value: u32,
        reason: Reason,
    ) {
        self.leave(dials.get(dial), dial.clamp(value));
        orders.set(dials, dial, value, reason);
    }
}

impl Home<u8> {
    /// Orders the class's dial to stand at `value`.
    pub fn set(
        &mut self,
        (dials, orders): (&Dials, &mut Orders),
        (class, dial): (SizeClass, ClassDial),
        value: u8,
        reason: Reason,
    ) {
        self.leave(dials.of_class(class, dial), value.min(dial.max()));
        orders.set_class(dials, (class, dial), value, reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn home_is_what_another_set_last_and_not_what_the_policy_did() {
        let mut home = Home::new(0_u32);
        assert_eq!(home.of(64), 64);
        home.leave(64, 1);
        assert_eq!(home.of(64), 64, "not carried out");
        assert_eq!(home.of(1), 64);
        home.leave(1, 2);
        assert_eq!(home.of(2), 64);
        assert_eq!(home.of(1), 64, "taken back");
        assert_eq!(home.of(16), 16, "another's wish");
    }
}
