//! Which profile the other policies start from, learned by matches. Floor: garden.
//!
//! A match is three epochs of one phase: at home, away with another profile, and at home again. If
//! the two at home agree, what was away is held against both, and the ratings (Elo's) of the two
//! profiles move. Each phase has ratings of its own: one that comes back is known. While one plays
//! away nothing else is tuned, and the match is called off if a request finds no memory.
//!
//! Trying costs, so it is rare. A profile is tried only where it could win: one that spends memory
//! for time where slow paths take time, one that saves memory where some is wasted. It is tried at
//! most [`ENOUGH`] times a phase, with pauses that double. So a steady program is left alone after
//! a while, and one whose slow paths hardly count from the start. Who set dials to values that are
//! no profile's is not taught.

use super::{
    Orders, Profile, Reason, Seen,
    objective::Epoch,
    phase::{Look, Print},
};
use crate::dials::{Dial, Dials};
use heapless::Vec;

/// Turns of an epoch, and those before it in which caches and memory adapt to a switch.
const EPOCH: u32 = 6;
const SETTLE: u8 = 2;
/// Matches that a profile may ask for in a phase; one that it loses by far counts twice.
pub const ENOUGH: u8 = 3;
/// A match is called off when the phase was not seen for so long.
const ABSENT_MS: u64 = 300;
/// Epochs at home before the first match of a phase; doubled with each match, but not for ever: a
/// steady program has had them all after half a minute.
const PAUSE: u32 = 2;
const DOUBLINGS: u8 = 4;
/// Thousandths of the cost by which a match is won, and by which it is won by far.
const MARGIN: i64 = 50;
const BY_FAR: i64 = 250;
/// Thousandths by which the two epochs at home may differ for the match to count.
const NOISE: i64 = 150;
/// Parts per million of the time, weighed, that are not worth a match: 2 % of the time at equal
/// weights.
const LEAST: u64 = 10_000;
/// Rating of a profile of which nothing is known.
const MEAN: i32 = 1500;
/// Points that a match moves at most, if it is not won by far.
const STAKE: i32 = 32;
/// Phases that are remembered.
const PHASES: usize = 8;

const PROFILES: usize = Profile::ALL.len();
const DIALS: usize = Profile::DIALS.len();

/// What is known of one phase.
#[derive(Clone, Copy, Debug)]
struct Game {
    print: Print,
    ratings: [i32; PROFILES],
    played: [u8; PROFILES],
    /// The profile that is best so far.
    home: Profile,
    /// Epochs until the next match.
    wait: u32,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// Nothing is being tried.
    Home,
    /// This profile is; so much was the cost at home before, where the dials had been tuned to
    /// these values.
    Away(Profile, Epoch, [u32; DIALS]),
    /// It was; so much it cost, and home before it.
    Back(Profile, Epoch, Epoch),
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Learner {
    /// The one that is being played stands last.
    games: Vec<Game, PHASES>,
    stage: Stage,
    epoch: Epoch,
    settle: u8,
    /// The profile that the host started with.
    first: Option<Profile>,
    begun: bool,
    /// The profile whose values the policies tune.
    in_force: Option<Profile>,
    /// Time since the phase was last seen.
    absent_ms: u64,
}

impl Learner {
    /// Nothing learned.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            games: Vec::new(),
            stage: Stage::Home,
            epoch: Epoch::EMPTY,
            settle: SETTLE,
            first: None,
            begun: false,
            in_force: None,
            absent_ms: 0,
        }
    }

    /// The rating of a profile in the phase that is being played.
    #[must_use]
    pub fn rating(&self, profile: Profile) -> i32 {
        self.games.last().map_or(MEAN, |game| game.ratings[profile as usize])
    }

    /// The profile that is best so far in the phase that is being played.
    #[must_use]
    pub fn home(&self) -> Option<Profile> {
        self.games.last().map(|game| game.home)
    }

    /// Looks at one turn. `true`: the profile was switched, so that nothing else should be tuned
    /// now.
    pub fn decide(&mut self, seen: &Seen, look: Look, dials: &Dials, orders: &mut Orders) -> bool {
        if !self.begun {
            self.begun = true;
            self.first = Profile::of(dials);
            self.in_force = self.first;
        }
        let Some(first) = self.first else { return false };
        if orders.room() < DIALS {
            return false;
        }
        if dials.get(Dial::Learn) == 0 || (self.is_away() && seen.denied > 0) {
            return self.call_off(dials, orders);
        }
        match look {
            Look::New(print) => self.enter(first, print, dials, orders),
            Look::Same => {
                self.absent_ms = 0;
                self.count(seen, dials, orders)
            }
            Look::Idle | Look::Unsure => {
                // A program that falls asleep must not sleep in what was only to be tried.
                self.absent_ms = self.absent_ms.saturating_add(seen.span_ms);
                self.is_away() && self.absent_ms > ABSENT_MS && self.call_off(dials, orders)
            }
        }
    }

    /// Whether another profile is being tried, so that nothing should be tuned.
    #[must_use]
    pub const fn is_away(&self) -> bool {
        matches!(self.stage, Stage::Away(..))
    }

    /// Puts back what is being tried, and forgets the match.
    fn call_off(&mut self, dials: &Dials, orders: &mut Orders) -> bool {
        self.epoch = Epoch::EMPTY;
        self.settle = SETTLE;
        match core::mem::replace(&mut self.stage, Stage::Home) {
            Stage::Away(profile, _, values) => {
                if let Some(game) = self.games.last_mut() {
                    game.count(profile);
                }
                set(&values, dials, orders, Reason::Returned)
            }
            _ => false,
        }
    }

    /// A phase begins: one that is known, or a new one.
    fn enter(&mut self, first: Profile, print: Print, dials: &Dials, orders: &mut Orders) -> bool {
        // A match that is cut off was played.
        if let Stage::Back(profile, ..) = self.stage
            && let Some(game) = self.games.last_mut()
        {
            game.count(profile);
        }
        let returned = self.call_off(dials, orders);
        let distance = |game: &usize| self.games[*game].print.distance(&print);
        let nearest = (0..self.games.len()).min_by_key(distance);
        if let Some(known) = nearest.filter(|&game| self.games[game].print.is_near(&print)) {
            let game = self.games.remove(known);
            // It was removed just now, so there is room.
            let _ = self.games.push(Game { print, ..game });
            return self.choose(game.home, dials, orders, Reason::KnownPhase) || returned;
        }
        let last = self.games.last();
        let ratings = last
            .map_or([MEAN; PROFILES], |game| game.ratings.map(|rating| MEAN + (rating - MEAN) / 2));
        let is_first = last.is_none();
        if self.games.is_full() {
            self.games.remove(0);
        }
        let game = Game { print, ratings, played: [0; PROFILES], home: first, wait: PAUSE };
        // There is room: see above.
        let _ = self.games.push(game);
        // The dials of the first phase are the host's, and the policies' that have begun to tune
        // them.
        !is_first && self.choose(first, dials, orders, Reason::NewPhase) || returned
    }

    /// Puts a profile in force. One that is stays as the policies have tuned it.
    fn choose(
        &mut self,
        profile: Profile,
        dials: &Dials,
        orders: &mut Orders,
        reason: Reason,
    ) -> bool {
        let before = self.in_force.replace(profile);
        before != Some(profile) && set(&profile.values(), dials, orders, reason)
    }

    /// A turn of the phase that is being played.
    fn count(&mut self, seen: &Seen, dials: &Dials, orders: &mut Orders) -> bool {
        if self.settle > 0 {
            self.settle -= 1;
            return false;
        }
        self.epoch.add(seen);
        if !self.epoch.has(EPOCH) {
            return false;
        }
        let epoch = core::mem::replace(&mut self.epoch, Epoch::EMPTY);
        let Some(game) = self.games.last_mut() else { return false };
        let weight = dials.get(Dial::MemoryWeight);
        let (stage, switched) = match self.stage {
            Stage::Home => match game.challenger(&epoch, weight) {
                Some(profile) => {
                    let values = Profile::DIALS.map(|dial| dials.get(dial));
                    set(&profile.values(), dials, orders, Reason::Exploring);
                    (Stage::Away(profile, epoch, values), true)
                }
                None => (Stage::Home, false),
            },
            Stage::Away(profile, before, values) => {
                set(&values, dials, orders, Reason::Returned);
                (Stage::Back(profile, epoch, before), true)
            }
            Stage::Back(profile, away, before) => {
                let won = game.judge(profile, &away, (&before, &epoch), weight);
                if won {
                    game.home = profile;
                    self.in_force = Some(profile);
                    set(&profile.values(), dials, orders, Reason::BetterProfile);
                }
                (Stage::Home, won)
            }
        };
        self.stage = stage;
        if switched {
            self.settle = SETTLE;
        }
        switched
    }
}

impl Game {
    /// The profile to try now, if one is worth it.
    fn challenger(&mut self, epoch: &Epoch, weight: u32) -> Option<Profile> {
        if self.wait > 0 {
            self.wait -= 1;
            return None;
        }
        let (time, memory) = epoch.parts(weight);
        let could_win = |profile: Profile| match profile {
            Profile::Full => time >= LEAST.max(memory / 8),
            // What it saves is memory, and it takes some time for that.
            Profile::Conservative => memory >= LEAST.max(time),
            Profile::Balanced => time + memory >= LEAST,
        };
        let challengers = Profile::ALL.into_iter().filter(|&profile| {
            profile != self.home && self.played[profile as usize] < ENOUGH && could_win(profile)
        });
        challengers.max_by_key(|&profile| {
            let profile = profile as usize;
            self.ratings[profile] - i32::from(self.played[profile]) * STAKE
        })
    }

    /// A match has been played, to its end or not: the next one comes later.
    fn count(&mut self, profile: Profile) {
        self.played[profile as usize] += 1;
        let matches: u8 = self.played.iter().sum();
        self.wait = PAUSE << matches.min(DOUBLINGS);
    }

    /// The end of a match. `true`: the challenger is the best now.
    fn judge(
        &mut self,
        profile: Profile,
        away: &Epoch,
        (before, after): (&Epoch, &Epoch),
        weight: u32,
    ) -> bool {
        let challenger = profile as usize;
        self.count(profile);
        let agrees = |difference: i64| difference.abs() <= NOISE;
        if !after.against(before, weight, LEAST).is_some_and(agrees) {
            return false;
        }
        let Some(worse) = away.against(&before.with(*after), weight, LEAST) else { return false };
        if worse >= BY_FAR {
            self.played[challenger] += 1;
        }
        let home = self.home as usize;
        let points = points(self.ratings[challenger] - self.ratings[home], worse);
        self.ratings[challenger] += points;
        self.ratings[home] -= points;
        worse <= -MARGIN && self.ratings[challenger] > self.ratings[home]
    }
}

/// What a challenger wins that was rated so much higher, and cost so many thousandths more.
fn points(higher: i32, worse: i64) -> i32 {
    // Elo's curve near its middle: 1.44 thousandths a point.
    let expected = (500 + higher * 36 / 25).clamp(50, 950);
    let score = match worse {
        _ if worse <= -MARGIN => 1000,
        _ if worse >= MARGIN => 0,
        _ => 500,
    };
    let stake = if worse.abs() >= BY_FAR { 2 * STAKE } else { STAKE };
    stake * (score - expected) / 1000
}

/// Orders that the profiles' dials have these values. `false`: they have them.
fn set(values: &[u32; DIALS], dials: &Dials, orders: &mut Orders, reason: Reason) -> bool {
    let before = orders.list().len();
    for (dial, &value) in Profile::DIALS.into_iter().zip(values) {
        orders.set(dials, dial, value, reason);
    }
    orders.list().len() > before
}

impl Default for Learner {
    fn default() -> Self {
        Self::new()
    }
}
