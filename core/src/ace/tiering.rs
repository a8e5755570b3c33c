//! When a superslab stops serving. Floor: garden.
//!
//! | reads | turns |
//! |---|---|
//! | free units of superslabs that serve; how many began to drain, and had to serve again | [`Dial::DrainPermille`] |
//!
//! If superslabs that serve have had more room than [`ROOMY`] for [`STEADY_MS`], too few of them
//! empty themselves: those with more in them drain, too. If a quarter of those that began to drain
//! had to serve again, draining was too eager: back to where the dial stood, then to half of it,
//! and no more than that until a while has passed, which doubles each time. Bounds: half of where
//! it stood to [`MOST`].

use super::{Orders, Policy, Reason, Seen, home::Home};
use crate::dials::{Dial, Dials};

/// Free thousandths that make superslabs roomy.
const ROOMY: u32 = 400;
/// Below so many superslabs there is nothing to gain.
const FEW: u32 = 4;
/// Time that they must have been roomy.
const STEADY_MS: u64 = 500;
/// By how much the dial rises, and how far.
const STEP: u32 = 125;
const MOST: u32 = 375;
/// Superslabs that began to drain before they are judged.
const ENOUGH: u32 = 8;
/// First and longest time without a rise after a fall.
const PAUSE_MS: u64 = 1000;
const LONGEST_MS: u64 = 64_000;

/// See the module's documentation.
#[derive(Debug)]
pub struct Tiering {
    home: Home<u32>,
    roomy_ms: u64,
    /// Totals at the last judgement.
    drained: u32,
    revived: u32,
    /// Time until the dial may rise, and how long the next wait will be.
    wait_ms: u64,
    next_wait_ms: u64,
}

impl Tiering {
    /// Nothing seen yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            home: Home::new(Dial::DrainPermille.spec().first),
            roomy_ms: 0,
            drained: 0,
            revived: 0,
            wait_ms: 0,
            next_wait_ms: PAUSE_MS,
        }
    }

    /// Whether too many of the superslabs that began to drain lately had to serve again.
    fn too_eager(&mut self, seen: &Seen) -> bool {
        let drained = seen.levels.drained.wrapping_sub(self.drained);
        let revived = seen.levels.revived.wrapping_sub(self.revived);
        if drained < ENOUGH && revived < ENOUGH {
            return false;
        }
        (self.drained, self.revived) = (seen.levels.drained, seen.levels.revived);
        revived >= drained.div_ceil(4)
    }
}

impl Policy for Tiering {
    fn decide(&mut self, seen: &Seen, dials: &Dials, orders: &mut Orders) {
        let now = dials.get(Dial::DrainPermille);
        let home = self.home.of(now);
        self.wait_ms = self.wait_ms.saturating_sub(seen.span_ms);
        if self.too_eager(seen) {
            let less = if now > home { home } else { home / 2 };
            self.home.set((dials, orders), Dial::DrainPermille, less, Reason::Revived);
            self.wait_ms = self.next_wait_ms;
            self.next_wait_ms = (self.next_wait_ms * 2).min(LONGEST_MS);
            self.roomy_ms = 0;
            return;
        }
        if seen.levels.room_permille < ROOMY || seen.levels.live < FEW {
            self.roomy_ms = 0;
            return;
        }
        self.roomy_ms = self.roomy_ms.saturating_add(seen.span_ms);
        if self.roomy_ms >= STEADY_MS && self.wait_ms == 0 && now < MOST {
            self.roomy_ms = 0;
            let more = (now + STEP).min(MOST);
            self.home.set((dials, orders), Dial::DrainPermille, more, Reason::Roomy);
        }
    }
}

impl Default for Tiering {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ace::scene::{scene, settles, take};

    fn roomy() -> Seen {
        let mut seen = scene();
        (seen.levels.live, seen.levels.room_permille) = (10, 600);
        seen
    }

    #[test]
    fn lasting_room_drains_more_and_passing_room_does_not() {
        let (mut policy, dials) = (Tiering::new(), Dials::new());
        for _ in 0..10 {
            for _ in 0..20 {
                take(&mut policy, &dials, &roomy());
            }
            take(&mut policy, &dials, &scene());
        }
        assert_eq!(dials.get(Dial::DrainPermille), 125);
        settles(&mut policy, &dials, &Seen { span_ms: 20, ..roomy() });
        for _ in 0..200 {
            take(&mut policy, &dials, &roomy());
        }
        assert_eq!(dials.get(Dial::DrainPermille), MOST);
        settles(&mut policy, &dials, &roomy());
    }

    #[test]
    fn superslabs_that_must_serve_again_drain_less_and_the_next_rise_waits_longer() {
        let (mut policy, dials) = (Tiering::new(), Dials::new());
        let mut seen = roomy();
        let (mut rises, mut last) = ([0; 3], 0);
        for rise in &mut rises {
            seen.levels.drained += 10;
            seen.levels.revived += 5;
            take(&mut policy, &dials, &seen);
            let low = dials.get(Dial::DrainPermille);
            assert!(low <= 125);
            let turns = (1..1000).find(|_| !take(&mut policy, &dials, &seen).is_empty());
            *rise = turns.expect("it rises again");
            assert!(*rise > last, "{rises:?}");
            last = *rise;
        }
    }
}
