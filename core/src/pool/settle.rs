//! Memory that the pool gives back to the system: with the free that exceeds the limit, or when it
//! is told.
//! Verbs: settle, purge. Floor: 1st.

use super::{Locked, Pool, Shared, promote};
use crate::{dials::Dials, geometry::Geometry, pages::PageProvider, platform::Platform};

impl<P: Platform> Locked<'_, P> {
    /// Gives memory back if there is more dirty free memory than the dials and experience allow.
    pub fn settle(&mut self) {
        if !Shared::<P>::may_wait() {
            return;
        }
        let (used, dirty) = (self.used_bytes(), self.dirty_bytes());
        let mut limit = self.shared.dials.dirty_limit(used);
        let step = Dials::hysteresis(limit, P::Geometry::SUPERSLAB);
        let mut told = 0;
        if dirty > limit && self.shared.seat.is_attended() {
            // To threads it is as if it had gone, and as often as it would have.
            told = self.dirty_told.min(dirty);
            if told == 0 || dirty - told >= step {
                told = dirty;
                self.shared.purges.add(1);
            }
            // What was there at the last turn may stay until the next.
            limit = limit.max(self.extent_seen.saturating_sub(used));
        }
        self.dirty_told = told;
        if dirty > limit {
            self.purge_to(limit - Dials::hysteresis(limit, P::Geometry::SUPERSLAB));
        }
    }

    /// Gives dirty memory back until at most `keep` bytes are left. Returns bytes given back.
    #[inline(never)]
    pub fn purge_to(&mut self, keep: usize) -> usize {
        let keep = u32::try_from(keep / P::Geometry::UNIT).unwrap_or(u32::MAX);
        if self.spans.dirty_units() <= keep {
            return 0;
        }
        let (arena, shared) = (self.arena, self.shared);
        let Pool { spans, supers, .. } = &mut *self.pool;
        let give = |head, units| {
            let step = P::Geometry::SUPERSLAB_UNITS;
            for number in head / step..=(head + units - 1) / step {
                promote::demote(shared, arena, supers, number);
            }
            // SAFETY: S3: the units are free, so committed and needed by nobody.
            unsafe { shared.pages.purge(arena.region(head, units)) }
        };
        let units = spans.purge(arena, keep, give, |first, free, fresh| {
            arena.forget(&shared.pages, first, free, fresh);
        });
        let bytes = units as usize * P::Geometry::UNIT;
        if units > 0 {
            self.meter.purges.add(1);
            shared.purges.add(1);
        }
        self.meter.purged_bytes.add(bytes as u64);
        bytes
    }
}
