//! How much free memory may stay resident beyond the dials' limit: learned from reuse. Floor: window.
//!
//! Memory that was given back and is wanted again within a tenth of a second was given back in vain: a
//! page fault for each of its pages. The allowance then rises to eight times what was wanted again, and
//! at most to all that was given back in that time, so a program that fills and empties a heap over and
//! over pays for an eighth of one cycle, and one that wants a little back does not keep a lot. Half a second without such reuse halves the allowance; that takes effect at the next free
//! that comes this way, so a program that pauses gets lean when it goes on.
//!
//! Pure: time is an argument, in milliseconds.

/// Reuse within this time counts as given back in vain.
const REUSE_MS: u64 = 100;
/// Without reuse the allowance halves after each such time.
const HALVE_MS: u64 = 500;
/// How much more is allowed than was wanted again so far.
const FORESIGHT: u32 = 8;

/// See the module's documentation. All amounts in units.
#[derive(Debug)]
pub struct Hysteresis {
    allowance: u32,
    /// Given back since the last quiet moment.
    purged: u32,
    /// Taken into use again since then.
    reused: u32,
    purged_at: u64,
    /// When the allowance was last raised or halved.
    changed_at: u64,
}

impl Hysteresis {
    /// Nothing learned.
    #[must_use]
    pub const fn new() -> Self {
        Self { allowance: 0, purged: 0, reused: 0, purged_at: 0, changed_at: 0 }
    }

    /// Units that may stay resident now.
    pub fn allowance(&mut self, now: u64) -> u32 {
        while self.allowance > 0 && now >= self.changed_at + HALVE_MS {
            self.allowance /= 2;
            self.changed_at += HALVE_MS;
        }
        self.allowance
    }

    /// Whether anything was ever given back: only then is it worth asking the clock.
    #[must_use]
    pub fn is_watching(&self) -> bool {
        self.purged > 0
    }

    /// `units` were given back, of a heap of `total`: more than that can't be wanted again.
    pub fn purged(&mut self, units: u32, total: u32, now: u64) {
        if now > self.purged_at + REUSE_MS {
            self.purged = 0;
            self.reused = 0;
        }
        self.purged = self.purged.saturating_add(units).min(total);
        self.purged_at = now;
    }

    /// `units` without memory were taken into use.
    pub fn taken_clean(&mut self, units: u32, now: u64) {
        if self.purged > 0 && now <= self.purged_at + REUSE_MS {
            self.reused = self.reused.saturating_add(units);
            let wanted = self.reused.saturating_mul(FORESIGHT).min(self.purged);
            self.allowance = self.allowance.max(wanted);
            self.changed_at = now;
        }
    }
}

impl Default for Hysteresis {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reuse_at_once_raises_the_allowance_up_to_what_was_given_back() {
        let mut learned = Hysteresis::new();
        learned.purged(30, 1000, 1000);
        learned.purged(10, 1000, 1050);
        assert_eq!(learned.allowance(1060), 0);
        learned.taken_clean(2, 1060);
        assert_eq!(learned.allowance(1060), 16);
        learned.taken_clean(20, 1061);
        assert_eq!(learned.allowance(1061), 40);
    }

    #[test]
    fn the_allowance_never_exceeds_the_heap() {
        let mut learned = Hysteresis::new();
        for now in 0..50 {
            learned.purged(60, 100, now);
        }
        learned.taken_clean(99, 50);
        assert_eq!(learned.allowance(50), 100);
    }

    #[test]
    fn late_reuse_teaches_nothing() {
        let mut learned = Hysteresis::new();
        learned.purged(30, 1000, 1000);
        learned.taken_clean(9, 1101);
        assert_eq!(learned.allowance(1101), 0);
        learned.purged(10, 1000, 1200);
        learned.taken_clean(9, 1201);
        assert_eq!(learned.allowance(1201), 10, "only the latest round counts");
    }

    #[test]
    fn without_reuse_the_allowance_halves() {
        let mut learned = Hysteresis::new();
        learned.purged(64, 1000, 0);
        learned.taken_clean(64, 0);
        assert_eq!(learned.allowance(499), 64);
        assert_eq!(learned.allowance(500), 32);
        assert_eq!(learned.allowance(2000), 4);
        assert_eq!(learned.allowance(60_000), 0);
    }
}
