//! How much a heap over regions keeps for the next request of the same size. Floor: garden.
//!
//! | reads | gives |
//! |---|---|
//! | requests that its caches missed, frees that they had no room for, refusals; free and cached memory | [`Ration`] |
//!
//! The caches of a region may hold a share of what is free. A request that would be refused empties
//! them and halves their share at once, which is no turn's to wait for: what is kept as it is can't
//! join what is free beside it, and that may be why there was no room. They get twice the share
//! when they turn much away while memory abounds; and they are emptied when the region has been
//! idle. A share that led to a refusal is tried again after twice as many turns each time, so
//! shares settle.

use super::Reason;

/// What a turn sees of a region. Counts grow for ever, and wrap; sizes are in granules.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stock {
    /// Requests and frees of a cached size that the caches could not serve.
    pub turned_away: u32,
    /// Memory in caches.
    pub cached: usize,
    /// Free memory beside it.
    pub free: usize,
    /// All of the region's.
    pub total: usize,
}

/// An order to one region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ration {
    /// The caches may hold this part of what is free, as a shift: 3 is an eighth.
    Share(u8, Reason),
    /// The caches are emptied.
    Empty(Reason),
}

impl Ration {
    /// Why.
    #[must_use]
    pub const fn reason(self) -> Reason {
        match self {
            Self::Share(_, reason) | Self::Empty(reason) => reason,
        }
    }
}

/// See the module's documentation.
#[derive(Clone, Copy, Debug)]
pub struct Larder {
    turned_away: u32,
    cached: usize,
    /// When the region was last seen to do something, in milliseconds.
    awake_ms: u64,
    share: u8,
    emptied: bool,
    /// Whether the share was halved since the last turn.
    denied: bool,
    /// Turns until a larger share is tried, and how many the next refusal costs.
    wait: u16,
    penalty: u16,
}

impl Larder {
    /// The largest share: as much as is free; and the least.
    pub const SHARES: core::ops::RangeInclusive<u8> = 0..=7;
    /// What refusals leave at least: with less, more is split and joined, and no more requests find
    /// room.
    const LEAST: u8 = 6;
    /// Without a change for so long, a region is idle.
    pub const IDLE_MS: u64 = 200;
    /// Turned away in a turn, this many make a larger share worth it.
    const MUCH: u32 = 64;

    /// One that begins with this share.
    #[must_use]
    pub const fn new(share: u8) -> Self {
        Self {
            turned_away: 0,
            cached: 0,
            awake_ms: 0,
            share,
            emptied: true,
            denied: false,
            wait: 0,
            penalty: 2,
        }
    }

    /// The share of now.
    #[must_use]
    pub const fn share(&self) -> u8 {
        self.share
    }

    /// A request found no room: half the share, at once.
    pub fn deny(&mut self) {
        self.wait = self.penalty;
        self.penalty = self.penalty.saturating_mul(2);
        if self.share < Self::LEAST {
            self.share += 1;
            self.denied = true;
        }
    }

    /// Thousands of frees found the caches full: where nobody takes turns, this counts as one that
    /// sees much turned away, and leads back to the share that the region began with.
    pub fn ease(&mut self, first: u8) {
        self.wait = self.wait.saturating_sub(1);
        if self.wait == 0 && self.share > first {
            self.share -= 1;
        }
    }

    /// Decides. `now_ms` never goes back.
    pub fn decide(&mut self, stock: &Stock, now_ms: u64) -> Option<Ration> {
        let seen = core::mem::replace(&mut self.turned_away, stock.turned_away);
        let away = stock.turned_away.wrapping_sub(seen);
        let cached = core::mem::replace(&mut self.cached, stock.cached);
        self.wait = self.wait.saturating_sub(1);
        let denied = core::mem::take(&mut self.denied);
        if denied || away > 0 || cached != stock.cached {
            self.awake_ms = now_ms;
            self.emptied = false;
        } else if !self.emptied && now_ms.saturating_sub(self.awake_ms) >= Self::IDLE_MS {
            self.emptied = true;
            self.cached = 0;
            return (stock.cached > 0).then_some(Ration::Empty(Reason::Idle));
        }
        if denied {
            return Some(Ration::Share(self.share, Reason::Denied));
        }
        let abounds = stock.free >= stock.total / 4;
        if away >= Self::MUCH && abounds && self.wait == 0 && self.share > *Self::SHARES.start() {
            self.share -= 1;
            return Some(Ration::Share(self.share, Reason::Missed));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    const ROOMY: Stock = Stock { turned_away: 0, cached: 50, free: 5000, total: 8000 };

    #[test]
    fn a_larger_share_follows_when_much_is_turned_away_and_ends_at_all_that_is_free() {
        let mut larder = Larder::new(4);
        let orders: Vec<_> = (1..20)
            .map(|turn| larder.decide(&Stock { turned_away: turn * 100, ..ROOMY }, u64::from(turn)))
            .collect();
        assert_eq!(orders.iter().flatten().count(), 4, "{orders:?}");
        assert_eq!(larder.share(), 0);
    }

    #[test]
    fn a_full_region_gets_no_larger_share() {
        let mut larder = Larder::new(4);
        let full = Stock { free: 100, ..ROOMY };
        assert!(
            (1..20)
                .all(|turn| larder.decide(&Stock { turned_away: turn * 100, ..full }, 0).is_none())
        );
    }

    #[test]
    fn a_refusal_halves_the_share_and_the_next_try_waits_longer_each_time() {
        let mut larder = Larder::new(2);
        let mut stock = ROOMY;
        let mut tries = Vec::new();
        for turn in 0_u16..2000 {
            stock.turned_away += 100;
            if let Some(Ration::Share(_, Reason::Missed)) = larder.decide(&stock, u64::from(turn)) {
                tries.push(turn);
                larder.deny();
            }
        }
        let gaps: Vec<_> = tries.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.windows(2).all(|pair| pair[1] > pair[0]), "{gaps:?}");
        assert!(tries.len() < 12, "{tries:?}");
    }

    #[test]
    fn caches_are_emptied_once_when_the_region_falls_idle() {
        let mut larder = Larder::new(3);
        let worked = Stock { turned_away: 5, ..ROOMY };
        assert_eq!(larder.decide(&worked, 1000), None);
        assert_eq!(larder.decide(&worked, 1000 + Larder::IDLE_MS - 1), None);
        assert_eq!(
            larder.decide(&worked, 1000 + Larder::IDLE_MS),
            Some(Ration::Empty(Reason::Idle))
        );
        assert_eq!(larder.decide(&Stock { cached: 0, ..worked }, 9000), None);
    }

    #[test]
    fn a_share_that_was_halved_comes_back_without_turns_and_later_each_time() {
        let mut larder = Larder::new(2);
        let mut waits = Vec::new();
        for _ in 0..4 {
            larder.deny();
            assert_eq!(larder.share(), 3);
            let mut waited = 0;
            while larder.share() > 2 {
                larder.ease(2);
                waited += 1;
            }
            waits.push(waited);
        }
        assert_eq!(waits, [2, 4, 8, 16]);
        larder.ease(2);
        assert_eq!(larder.share(), 2, "not beyond what it began with");
    }

    #[test]
    fn shares_stay_in_bounds_whatever_is_seen() {
        let mut larder = Larder::new(1);
        let mut random = 0x9E37_79B9_7F4A_7C15_u64;
        for turn in 0..100_000_u64 {
            random = random.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
            let stock = Stock {
                turned_away: (random >> 32) as u32,
                cached: (random >> 20) as usize & 0xFFF,
                free: (random >> 10) as usize & 0xFFFF,
                total: 0xFFFF,
            };
            match random >> 60 {
                0 => larder.deny(),
                1 => larder.ease(1),
                _ => {}
            }
            if let Some(Ration::Share(share, _)) = larder.decide(&stock, turn * 7) {
                assert!(Larder::SHARES.contains(&share));
            }
            assert!(Larder::SHARES.contains(&larder.share()));
        }
    }
}
