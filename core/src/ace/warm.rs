//! How many empty slabs are kept ready. Floor: garden.
//!
//! | reads | turns |
//! |---|---|
//! | slabs that were wanted, and those that were ready | [`Dial::WarmPrefill`], [`Dial::WarmMax`] |
//!
//! If more than a tenth of at least [`ENOUGH`] slabs that were wanted was not ready, twice as many
//! are prepared at a time, up to [`MOST`], and at least as many kept. When hardly any slab was
//! wanted for [`REST_MS`], both go back to where they stood. Bounds: where they stood to [`MOST`].

use super::{Orders, Policy, Reason, Seen, home::Home};
use crate::dials::{Dial, Dials};

/// Slabs wanted before they are judged.
const ENOUGH: u64 = 32;
/// Slabs prepared at a time, at most: two searches of a superslab of 64 units.
const MOST: u32 = 32;
/// Time in which fewer than `ENOUGH` were wanted, after which none need be ready.
const REST_MS: u64 = 2000;

/// See the module's documentation.
#[derive(Debug)]
pub struct Warm {
    prefill: Home<u32>,
    most: Home<u32>,
    hits: u64,
    misses: u64,
    /// Time since enough slabs were last wanted.
    rest_ms: u64,
}

impl Warm {
    /// Nothing seen yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            prefill: Home::new(Dial::WarmPrefill.spec().first),
            most: Home::new(Dial::WarmMax.spec().first),
            hits: 0,
            misses: 0,
            rest_ms: 0,
        }
    }
}

impl Policy for Warm {
    fn decide(&mut self, seen: &Seen, dials: &Dials, orders: &mut Orders) {
        let now = dials.get(Dial::WarmPrefill);
        let home = self.prefill.of(now);
        let most = self.most.of(dials.get(Dial::WarmMax));
        self.hits = self.hits.saturating_add(seen.events.warm_hits);
        self.misses = self.misses.saturating_add(seen.events.warm_misses);
        let wanted = self.hits.saturating_add(self.misses);
        if wanted < ENOUGH {
            self.rest_ms = self.rest_ms.saturating_add(seen.span_ms);
            if self.rest_ms >= REST_MS {
                (self.rest_ms, self.hits, self.misses) = (0, 0, 0);
                self.prefill.set((dials, orders), Dial::WarmPrefill, home, Reason::SlabsRest);
                self.most.set((dials, orders), Dial::WarmMax, most, Reason::SlabsRest);
            }
            return;
        }
        let missed = self.misses > wanted / 10;
        (self.rest_ms, self.hits, self.misses) = (0, 0, 0);
        // A host that keeps none has its reasons.
        if missed && home > 0 && now < MOST {
            let more = now.saturating_mul(2).min(MOST);
            self.prefill.set((dials, orders), Dial::WarmPrefill, more, Reason::SlabsMissed);
            self.most.set((dials, orders), Dial::WarmMax, most.max(more), Reason::SlabsMissed);
        }
    }
}

impl Default for Warm {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ace::scene::{scene, settles, take};

    fn wanted(hits: u64, misses: u64) -> Seen {
        let mut seen = scene();
        (seen.events.warm_hits, seen.events.warm_misses) = (hits, misses);
        seen
    }

    #[test]
    fn misses_prepare_more_until_nine_of_ten_slabs_are_ready() {
        let (mut policy, dials) = (Warm::new(), Dials::new());
        dials.set(Dial::WarmPrefill, 3);
        for _ in 0..50 {
            // One search in `prefill + 1` misses.
            let prefill = u64::from(dials.get(Dial::WarmPrefill));
            take(&mut policy, &dials, &wanted(100 - 100 / (prefill + 1), 100 / (prefill + 1)));
        }
        assert_eq!(dials.get(Dial::WarmPrefill), 12);
        settles(&mut policy, &dials, &wanted(93, 7));
        assert_eq!(dials.get(Dial::WarmPrefill), 12);
        settles(&mut policy, &dials, &wanted(10, 90));
        assert_eq!(dials.get(Dial::WarmPrefill), MOST);
        assert_eq!(dials.get(Dial::WarmMax), MOST);
    }

    #[test]
    fn when_slabs_rest_the_dials_go_back_to_where_they_stood() {
        let (mut policy, dials) = (Warm::new(), Dials::new());
        dials.set(Dial::WarmPrefill, 3);
        dials.set(Dial::WarmMax, 4);
        take(&mut policy, &dials, &wanted(0, 100));
        assert_eq!((dials.get(Dial::WarmPrefill), dials.get(Dial::WarmMax)), (6, 6));
        for _ in 0..100 {
            take(&mut policy, &dials, &scene());
        }
        assert_eq!((dials.get(Dial::WarmPrefill), dials.get(Dial::WarmMax)), (3, 4));
        settles(&mut policy, &dials, &scene());
    }

    #[test]
    fn a_host_that_prepares_none_is_obeyed() {
        let (mut policy, dials) = (Warm::new(), Dials::new());
        dials.set(Dial::WarmPrefill, 0);
        settles(&mut policy, &dials, &wanted(0, 100));
        assert_eq!(dials.get(Dial::WarmPrefill), 0);
    }
}
