//! How much free memory stays resident beyond the dials' limit. Learned from reuse. Floor: garden.
//!
//! Memory that is wanted again within [`REUSE_MS`] of being given back was given back in vain: a page
//! fault for each of its pages. The allowance then rises to eight times what was wanted again, at most to all
//! that was given back in that time: a program that fills and empties a heap over and over pays for an
//! eighth of one cycle, and one that wants a little back does not keep a lot. Downwards it follows the low
//! water: what stayed free for a whole [`REUSE_MS`] is not needed, and goes back now.

use super::{Act, Orders, Policy, Reason, Seen};
use crate::dials::{Dial, Dials};

/// Reuse within this time counts as given back in vain; free memory that nobody wanted for this time goes.
pub const REUSE_MS: u64 = 100;
/// How much more is allowed than was wanted again so far.
const FORESIGHT: u64 = 8;
/// Less than this is not worth a call.
const LEAST: u64 = 1 << 20;

/// See the module's documentation.
#[derive(Debug)]
pub struct Purge {
    /// Bytes given back, and wanted again, in the window that the last purge keeps open.
    purged: u64,
    refaulted: u64,
    purged_at: u64,
    /// Low water of the window before this one, and of this one so far.
    low: u64,
    low_since: u64,
}

impl Purge {
    /// Nothing learned.
    #[must_use]
    pub const fn new() -> Self {
        Self { purged: 0, refaulted: 0, purged_at: 0, low: u64::MAX, low_since: 0 }
    }

    fn learn(&mut self, seen: &Seen, dials: &Dials, orders: &mut Orders) {
        if seen.now_ms > self.purged_at + REUSE_MS {
            self.purged = 0;
            self.refaulted = 0;
        }
        if seen.events.purged_bytes > 0 {
            self.purged += seen.events.purged_bytes;
            self.purged_at = seen.now_ms;
        }
        let refaulted = seen.events.refaulted_bytes;
        if refaulted == 0 || self.purged == 0 {
            return;
        }
        self.refaulted += refaulted;
        let most = self.purged.min(seen.levels.committed_bytes);
        let wanted = self.refaulted.saturating_mul(FORESIGHT).min(most);
        if wanted > kib(dials.get(Dial::DirtyLearnedKib)) {
            orders.set(dials, Dial::DirtyLearnedKib, to_kib(wanted), Reason::Refaulted);
            // A new window: what is free now was just learned to be needed.
            self.low = u64::MAX;
            self.low_since = seen.now_ms;
        }
    }

    fn forget(&mut self, seen: &Seen, dials: &Dials, orders: &mut Orders) {
        self.low = self.low.min(seen.levels.dirty_low_bytes);
        if seen.now_ms < self.low_since + REUSE_MS {
            return;
        }
        let unneeded = core::mem::replace(&mut self.low, seen.levels.dirty_bytes);
        self.low_since = seen.now_ms;
        let learned = kib(dials.get(Dial::DirtyLearnedKib));
        if learned == 0 || unneeded < LEAST {
            return;
        }
        let left = learned.saturating_sub(unneeded);
        let left = if left < LEAST { 0 } else { left };
        orders.set(dials, Dial::DirtyLearnedKib, to_kib(left), Reason::Unneeded);
        let keep = seen.levels.dirty_bytes.saturating_sub(unneeded);
        orders.give(Act::Purge(to_kib(keep)), Reason::Unneeded);
    }
}

fn kib(kib: u32) -> u64 {
    u64::from(kib) * 1024
}

fn to_kib(bytes: u64) -> u32 {
    u32::try_from(bytes / 1024).unwrap_or(u32::MAX)
}

impl Policy for Purge {
    fn decide(&mut self, seen: &Seen, dials: &Dials, orders: &mut Orders) {
        if seen.denied > 0 {
            orders.set(dials, Dial::DirtyLearnedKib, 0, Reason::Denied);
            orders.give(Act::Purge(0), Reason::Denied);
            return;
        }
        self.learn(seen, dials, orders);
        self.forget(seen, dials, orders);
    }
}

impl Default for Purge {
    fn default() -> Self {
        Self::new()
    }
}
