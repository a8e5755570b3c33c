//! How many blocks the magazines of each class hold. Floor: garden.
//!
//! | reads | turns |
//! |---|---|
//! | refills and overflows of each class, threads | [`ClassDial::Cap`] |
//!
//! A class has the room that geometry or host gave it. A class that refills and overflows in turn,
//! more than [`BUSY`] times a second each, goes back and forth over the edge of its magazine: it
//! gets twice the room, and again, while the budgets ([`Dial::CapThreadKib`],
//! [`Dial::CapProcessKib`] by threads) have place for it. Where they have none, grown classes that
//! were idle for [`Dial::IdleMs`] give theirs back. Nobody shrinks for being idle alone: room costs
//! no memory until blocks fill it, those are emptied by trims, and a class that needs little help
//! from slabs looks idle while it is used.
//!
//! What counts against the budgets is grown room, and the room of classes that were found full
//! lately. If that is too much (more threads, a smaller budget), no class may hold more than the
//! largest power of two of bytes with which it fits. Bounds: [`FLOOR`] blocks (or the room, if
//! less) to [`Seen::slots`], and [`MOST_BYTES`] for growth.

use super::{Orders, Policy, Reason, Seen, home::Home};
use crate::{
    dials::{ClassDial, Dial, Dials},
    size_class::SizeClass,
};

/// Blocks of which no class is deprived.
const FLOOR: u8 = 4;
/// Bytes to which the room of a class grows, at most.
const MOST_BYTES: u64 = 2 << 20;
/// Refills a second, and overflows, that make a class busy at its edge.
const BUSY: u64 = 4000;
/// Times [`Dial::IdleMs`] that a class counts as full after an overflow.
const FULL: u32 = 4;
/// A class that never did what is asked about.
const NEVER: u32 = u32::MAX;

/// See the module's documentation.
#[derive(Debug)]
pub struct Cap {
    homes: [Home<u8>; SizeClass::COUNT],
    /// Time since the class did something slow, and since it overflowed.
    quiet_ms: [u32; SizeClass::COUNT],
    fit_ms: [u32; SizeClass::COUNT],
    /// Threads among which the process's budget is divided: a power of two, slow to fall.
    threads: u32,
}

/// What the policy wants for one class.
#[derive(Clone, Copy)]
struct Wish {
    /// Without this policy.
    own: u8,
    cap: u8,
    /// Whether what it holds counts.
    full: bool,
    reason: Reason,
}

impl Wish {
    fn held(&self, class: SizeClass) -> u64 {
        if self.full || self.cap > self.own { bytes_of(class, self.cap) } else { 0 }
    }
}

fn bytes_of(class: SizeClass, cap: u8) -> u64 {
    class.bytes() as u64 * u64::from(cap)
}

type Wishes = [Wish; SizeClass::COUNT];

fn held(wishes: &Wishes, limit: u64) -> u64 {
    SizeClass::all().zip(wishes).map(|(class, wish)| wish.held(class).min(limit)).sum()
}

/// The most bytes that one class may hold so that all of them fit.
fn limit(wishes: &Wishes, budget: u64) -> u64 {
    let mut limit = 1 << 24;
    while limit > 1 << 14 && held(wishes, limit) > budget {
        limit /= 2;
    }
    limit
}

impl Cap {
    /// Nothing seen yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            homes: [const { Home::new(0) }; SizeClass::COUNT],
            quiet_ms: [NEVER; SizeClass::COUNT],
            fit_ms: [NEVER; SizeClass::COUNT],
            threads: 1,
        }
    }

    /// Bytes that the magazines of one thread may hold.
    fn budget(&mut self, seen: &Seen, dials: &Dials) -> u64 {
        let threads = seen.levels.threads.clamp(1, 1 << 16);
        if threads > self.threads || threads * 3 <= self.threads {
            self.threads = threads.next_power_of_two();
        }
        let each = dials.get(Dial::CapProcessKib) / self.threads;
        u64::from(each.min(dials.get(Dial::CapThreadKib))) * 1024
    }

    fn note(&mut self, class: usize, seen: &Seen) {
        let acts = &seen.classes[class];
        let span = u32::try_from(seen.span_ms).unwrap_or(NEVER);
        let since =
            |time: &mut u32, now: bool| *time = if now { 0 } else { time.saturating_add(span) };
        since(&mut self.quiet_ms[class], acts.refills > 0 || acts.overflows > 0);
        since(&mut self.fit_ms[class], acts.overflows > 0);
    }

    fn wish(&mut self, class: SizeClass, seen: &Seen, dials: &Dials) -> Wish {
        self.note(class.index(), seen);
        let now = dials.of_class(class, ClassDial::Cap);
        let room = seen.rooms[class.index()];
        let or_room = |cap: u8| if cap == 0 { room } else { cap.min(seen.slots) };
        let own = or_room(self.homes[class.index()].of(now));
        let lately = dials.get(Dial::IdleMs).saturating_mul(FULL);
        let full = room > 0 && self.fit_ms[class.index()] <= lately.min(NEVER - 1);
        Wish { own, cap: own.max(or_room(now)), full, reason: Reason::ClassBack }
    }

    /// Takes growth from idle classes until no more than `most` bytes are held. Returns what is
    /// held then.
    fn take_back(&self, wishes: &mut Wishes, mut held: u64, idle: u32, most: u64) -> u64 {
        for class in SizeClass::all() {
            let wish = &mut wishes[class.index()];
            if held <= most {
                break;
            }
            if idle > 0 && self.quiet_ms[class.index()] >= idle && wish.cap > wish.own {
                held -= wish.held(class);
                *wish = Wish { cap: wish.own, reason: Reason::ClassIdle, ..*wish };
                held += wish.held(class);
            }
        }
        held
    }

    /// Gives busy classes more room.
    fn grow(&self, wishes: &mut Wishes, seen: &Seen, idle: u32, budget: u64) {
        let often = BUSY.saturating_mul(seen.span_ms.max(1));
        let mut held = self.take_back(wishes, held(wishes, u64::MAX), idle, budget);
        for class in SizeClass::all() {
            let (acts, wish) = (&seen.classes[class.index()], wishes[class.index()]);
            let both_ways = u64::from(acts.refills.min(acts.overflows)) * 1000;
            let cap = wish.cap.saturating_mul(2).min(seen.slots);
            if seen.is_short()
                || both_ways < often
                || cap <= wish.cap
                || bytes_of(class, cap) > MOST_BYTES
            {
                continue;
            }
            let more = bytes_of(class, cap) - wish.held(class);
            held = self.take_back(wishes, held, idle, budget.saturating_sub(more));
            if held + more <= budget {
                wishes[class.index()] = Wish { cap, reason: Reason::ClassGrown, ..wish };
                held += more;
            }
        }
    }
}

impl Policy for Cap {
    fn decide(&mut self, seen: &Seen, dials: &Dials, orders: &mut Orders) {
        let budget = self.budget(seen, dials);
        let nothing = Wish { own: 0, cap: 0, full: false, reason: Reason::ClassBack };
        let mut wishes = [nothing; SizeClass::COUNT];
        for class in SizeClass::all() {
            wishes[class.index()] = self.wish(class, seen, dials);
        }
        self.grow(&mut wishes, seen, dials.get(Dial::IdleMs), budget);
        let limit = limit(&wishes, budget);
        for class in SizeClass::all() {
            let Wish { own, mut cap, mut reason, .. } = wishes[class.index()];
            let fits = u8::try_from(limit / class.bytes() as u64).unwrap_or(u8::MAX).max(FLOOR);
            if wishes[class.index()].held(class) > 0 && fits < cap {
                (cap, reason) = (fits, Reason::CapBudget);
            }
            let home = &mut self.homes[class.index()];
            let geometrys = home.of(dials.of_class(class, ClassDial::Cap)) == 0;
            let value = if geometrys && cap == own { 0 } else { cap };
            home.set((dials, &mut *orders), (class, ClassDial::Cap), value, reason);
        }
    }
}

impl Default for Cap {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ace::scene::{busy, scene, settles, take};

    fn cap(dials: &Dials, class: SizeClass) -> u8 {
        dials.of_class(class, ClassDial::Cap)
    }

    fn of(bytes: usize) -> SizeClass {
        SizeClass::of(bytes).expect("a class")
    }

    #[test]
    fn a_class_that_goes_back_and_forth_grows_while_the_budget_has_room() {
        for (thread_kib, room) in [(8192, 127), (1024, 127), (300, 0)] {
            let (mut policy, dials) = (Cap::new(), Dials::new());
            dials.set(Dial::CapThreadKib, thread_kib);
            let both = busy(busy(scene(), of(4096).index(), 500), of(64).index(), 500);
            settles(&mut policy, &dials, &both);
            assert_eq!(cap(&dials, of(4096)), room, "{thread_kib} KiB");
            assert_eq!(cap(&dials, of(64)), 0, "it has all there is");
            let calm = busy(busy(scene(), of(4096).index(), 1), of(64).index(), 1);
            settles(&mut policy, &dials, &calm);
            settles(&mut policy, &dials, &scene());
            assert_eq!(cap(&dials, of(4096)), room, "and keeps it");
        }
    }

    #[test]
    fn one_way_traffic_grows_nothing() {
        let (mut policy, dials) = (Cap::new(), Dials::new());
        let mut seen = busy(scene(), of(4096).index(), 500);
        seen.classes[of(4096).index()].overflows = 10;
        settles(&mut policy, &dials, &seen);
        assert_eq!(cap(&dials, of(4096)), 0);
    }

    #[test]
    fn a_busy_class_gets_the_room_of_grown_ones_that_are_idle_and_of_no_others() {
        let (mut policy, dials) = (Cap::new(), Dials::new());
        dials.set(Dial::CapThreadKib, 2750);
        let grown = [4096, 3072, 3584, 4608, 5120].map(of);
        let all =
            |refills, scene| grown.iter().fold(scene, |s, class| busy(s, class.index(), refills));
        settles(&mut policy, &dials, &all(500, scene()));
        let [idle, others @ ..] = grown;
        assert_eq!(grown.map(|class| cap(&dials, class)), [127; 5]);
        let late = busy(scene(), of(2560).index(), 500);
        settles(&mut policy, &dials, &all(1, late.clone()));
        assert_eq!(cap(&dials, of(2560)), 0, "nobody is idle");
        let still = |scene| others.iter().fold(scene, |s, class| busy(s, class.index(), 1));
        settles(&mut policy, &dials, &still(scene()));
        assert_eq!(cap(&dials, idle), 127, "nobody wants it");
        settles(&mut policy, &dials, &still(late));
        assert_eq!(others.map(|class| cap(&dials, class)), [127; 4]);
        assert_eq!([idle, of(2560)].map(|class| cap(&dials, class)), [0, 127]);
    }

    #[test]
    fn a_room_that_the_host_gave_is_kept_and_is_where_growth_goes_back_to() {
        let (mut policy, dials) = (Cap::new(), Dials::new());
        let class = of(4096);
        dials.set_of_class(class, ClassDial::Cap, 8);
        settles(&mut policy, &dials, &busy(scene(), class.index(), 1));
        assert_eq!(cap(&dials, class), 8);
        settles(&mut policy, &dials, &busy(scene(), class.index(), 500));
        assert_eq!(cap(&dials, class), 127);
        for _ in 0..200 {
            take(&mut policy, &dials, &scene());
        }
        dials.set(Dial::CapThreadKib, 40);
        settles(&mut policy, &dials, &scene());
        assert_eq!(cap(&dials, class), 8);
    }

    #[test]
    fn rooms_of_all_classes_in_use_fit_the_budgets_of_thread_and_process() {
        let mut all = scene();
        for class in SizeClass::all() {
            all = busy(all, class.index(), 1);
        }
        for (threads, process_kib) in [(1, 64 << 10), (8, 64 << 10), (40, 64 << 10), (1, 4096)] {
            let (mut policy, dials) = (Cap::new(), Dials::new());
            dials.set(Dial::CapProcessKib, process_kib);
            all.levels.threads = threads;
            settles(&mut policy, &dials, &all);
            let held = |class| {
                let cap = cap(&dials, class);
                bytes_of(class, if cap == 0 { all.rooms[class.index()] } else { cap })
            };
            let held: u64 = SizeClass::all().map(held).sum();
            let floors: u64 = SizeClass::all().map(|class| bytes_of(class, FLOOR)).sum();
            let budget = (u64::from(process_kib) * 1024 / u64::from(threads)).min(16 << 20);
            assert!(held <= budget + floors, "{threads} threads hold {held} bytes each");
        }
    }
}
