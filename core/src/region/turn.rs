//! ACE's turns over regions: gather, decide, carry out. Floor: annex.

use super::{RegionHeap, ground::Ground, scale::Scale};
use crate::ace::{Ration, Reason, Stock};

impl<S: Scale> RegionHeap<S> {
    /// Lets ACE look at each region and tune its caches; for an idle loop, every ten milliseconds
    /// or so. Answers why something was done, where something was. `now_ms` is milliseconds since
    /// some fixed moment. As long as the caches are; [`Scale::CACHED`] 0 leaves nothing to tune.
    pub fn turn(&mut self, now_ms: u64) -> Option<Reason> {
        if S::CACHED == 0 {
            return None;
        }
        self.regions().filter_map(|ground| ground.turn(now_ms)).last()
    }
}

impl<S: Scale> Ground<S> {
    fn turn(self, now_ms: u64) -> Option<Reason> {
        let stock = self.get(|control| Stock {
            turned_away: control.missed.wrapping_add(control.spilled),
            cached: control.cached(),
            free: control.free,
            total: control.limit - control.first,
        });
        let mut ration = None;
        self.edit(|control| {
            ration = control.larder.decide(&stock, now_ms);
            control.ration();
        });
        if let Some(Ration::Empty(_)) = ration {
            self.flush();
        }
        ration.map(Ration::reason)
    }
}
