//! How many blocks a refill brings. Floor: garden.
//!
//! | reads | turns |
//! |---|---|
//! | requests that found no memory; refills, and which of them depots served | [`Dial::RefillMax`] |
//!
//! One at a time when a request found no memory: what waits in magazines is what others lack. After
//! [`CALM_MS`] without such a request it doubles at each turn until it is back where it was. It
//! goes on to the most while slabs serve more than [`OFTEN`] refills a second that bring as many
//! blocks as they may (large blocks come few at a time, whatever the dial says), and back when they
//! serve less than an eighth of that. Bounds: 1 to 127.

use super::{Orders, Policy, Reason, Seen, home::Home};
use crate::dials::{Dial, Dials};

/// Time without a refused request after which there is memory again.
const CALM_MS: u64 = 200;
/// Refills a second from slabs that make larger ones worth it.
const OFTEN: u64 = 100_000;

/// See the module's documentation.
#[derive(Debug)]
pub struct Refill {
    home: Home<u32>,
    /// Time since a request was refused; `None`: the dial is not low for that.
    calm_ms: Option<u64>,
}

impl Refill {
    /// Nothing seen yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { home: Home::new(Dial::RefillMax.spec().first), calm_ms: None }
    }
}

impl Policy for Refill {
    fn decide(&mut self, seen: &Seen, dials: &Dials, orders: &mut Orders) {
        let now = dials.get(Dial::RefillMax);
        let home = self.home.of(now);
        let (value, reason) = if seen.denied > 0 {
            self.calm_ms = Some(0);
            (1, Reason::Denied)
        } else if let Some(calm) = &mut self.calm_ms {
            *calm = calm.saturating_add(seen.span_ms);
            if *calm < CALM_MS {
                return;
            }
            if now >= home {
                self.calm_ms = None;
                return;
            }
            (now.saturating_mul(2).min(home), Reason::SlowStart)
        } else if seen.is_short() {
            return;
        } else {
            let events = &seen.events;
            let from_slabs = events.refills.saturating_sub(events.depot_hits).saturating_mul(1000);
            let often = OFTEN.saturating_mul(seen.span_ms.max(1));
            let brought = events.refilled_blocks.saturating_mul(8);
            let binds = brought >= events.refills.saturating_mul(7 * u64::from(now));
            if from_slabs > often && binds {
                (Dial::RefillMax.spec().max, Reason::RefillsOften)
            } else if from_slabs < often / 8 && now > home {
                (home, Reason::RefillsSeldom)
            } else {
                return;
            }
        };
        self.home.set((dials, orders), Dial::RefillMax, value, reason);
    }
}

impl Default for Refill {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ace::scene::{busy, scene, settles, take};

    #[test]
    fn one_at_a_time_when_memory_lacks_then_a_slow_start_back_to_where_it_stood() {
        for stood in [64, 16, 1] {
            let (mut policy, dials) = (Refill::new(), Dials::new());
            dials.set(Dial::RefillMax, stood);
            let denied = Seen { denied: 1, ..scene() };
            settles(&mut policy, &dials, &denied);
            assert_eq!(dials.get(Dial::RefillMax), 1);
            let mut last = 1;
            for turn in 0..200 {
                take(&mut policy, &dials, &scene());
                let now = dials.get(Dial::RefillMax);
                assert!(now == last || turn >= 9 && now == (last * 2).min(stood));
                last = now;
            }
            assert_eq!(last, stood);
        }
    }

    #[test]
    fn what_another_sets_meanwhile_is_where_it_goes_back_to() {
        let (mut policy, dials) = (Refill::new(), Dials::new());
        take(&mut policy, &dials, &Seen { denied: 1, ..scene() });
        dials.set(Dial::RefillMax, 100);
        settles(&mut policy, &dials, &scene());
        assert_eq!(dials.get(Dial::RefillMax), 100);
    }

    #[test]
    fn it_grows_while_slabs_are_asked_often_and_not_when_depots_serve() {
        let (mut policy, dials) = (Refill::new(), Dials::new());
        let mut often = busy(scene(), 3, 4000);
        often.events.refilled_blocks = 4000 * 12;
        settles(&mut policy, &dials, &often);
        assert_eq!(dials.get(Dial::RefillMax), 64, "the dial is not what limits them");
        often.events.refilled_blocks = 4000 * 64;
        often.events.depot_hits = 3000;
        settles(&mut policy, &dials, &often);
        assert_eq!(dials.get(Dial::RefillMax), 64);
        often.events.depot_hits = 0;
        settles(&mut policy, &dials, &often);
        assert_eq!(dials.get(Dial::RefillMax), 127);
        settles(&mut policy, &dials, &busy(scene(), 3, 1000));
        assert_eq!(dials.get(Dial::RefillMax), 127, "larger refills are fewer");
        settles(&mut policy, &dials, &scene());
        assert_eq!(dials.get(Dial::RefillMax), 64);
    }
}
