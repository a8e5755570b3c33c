//! Whole settings of the dials that go together: where policies start from. Floor: garden.

use crate::dials::{Dial, Dials};

/// A whole setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Profile {
    /// Time before memory: large caches, free memory stays.
    Full = 0,
    /// The dials' first values.
    Balanced = 1,
    /// Memory before time: small caches, free memory goes back at once.
    Conservative = 2,
}

impl Profile {
    /// All of them, by number.
    pub const ALL: [Self; 3] = [Self::Full, Self::Balanced, Self::Conservative];

    /// The dials that a profile sets.
    pub const DIALS: [Dial; 8] = [
        Dial::RefillMax,
        Dial::DepotClassKib,
        Dial::DepotThreadKib,
        Dial::OutboxBytes,
        Dial::WarmPrefill,
        Dial::WarmMax,
        Dial::DirtyFloorKib,
        Dial::DirtyPermille,
    ];

    /// What it is called in options and traces.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Balanced => "balanced",
            Self::Conservative => "conservative",
        }
    }

    /// The value of a dial in this profile; dials that profiles leave alone have their first value.
    #[must_use]
    pub const fn value(self, dial: Dial) -> u32 {
        let values = match self {
            Self::Full => [127, 4096, 16 << 10, 32 << 10, 16, 64, 64 << 10, 500],
            Self::Conservative => [16, 128, 512, 4 << 10, 1, 2, 1024, 20],
            Self::Balanced => return dial.spec().first,
        };
        let mut at = 0;
        while at < Self::DIALS.len() {
            if Self::DIALS[at] as u8 == dial as u8 {
                return values[at];
            }
            at += 1;
        }
        dial.spec().first
    }

    /// The values of [`Self::DIALS`].
    #[must_use]
    pub fn values(self) -> [u32; Self::DIALS.len()] {
        Self::DIALS.map(|dial| self.value(dial))
    }

    /// The profile that the dials stand at, if they do at one.
    #[must_use]
    pub fn of(dials: &Dials) -> Option<Self> {
        let stands =
            |profile: &Self| Self::DIALS.iter().all(|&dial| dials.get(dial) == profile.value(dial));
        Self::ALL.into_iter().find(stands)
    }

    /// Sets the dials that a profile sets, but for those that are pinned.
    pub fn set(self, dials: &Dials) {
        for dial in Self::DIALS.into_iter().filter(|&dial| !dials.is_pinned(dial)) {
            dials.set(dial, self.value(dial));
        }
    }
}
