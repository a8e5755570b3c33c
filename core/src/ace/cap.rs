//! How many blocks the magazines of each class hold. Floor: garden.
//!
//! | reads | turns |
//! |---|---|
//! | refills and overflows of each class, refills that depots served, threads | [`ClassDial::Cap`] |
//!
//! A class in use has the room that geometry or host gave it. One that nobody refilled for
//! [`Dial::IdleMs`] loses half of it, and half again for each such time more, down to an eighth, at least
//! [`FLOOR`] blocks: should it wake, few blocks are cached for what may be a single use. It has its room
//! back at the first turn that sees it in use.
//!
//! Mid classes, whose room is scant, get more while they are busy, magazines and depots do not hold what
//! is asked of them, and the budgets ([`Dial::CapThreadKib`], [`Dial::CapProcessKib`] by threads) have
//! place for it. Where rooms exceed the budgets, no class may hold more than the largest power of two of
//! bytes with which they fit. Bounds: [`FLOOR`] blocks (or the room, if less) to [`Seen::slots`].

use super::{Orders, Policy, Reason, Seen, home::Home};
use crate::{
    dials::{ClassDial, Dial, Dials},
    size_class::SizeClass,
};

/// Blocks of which no class is deprived.
const FLOOR: u8 = 4;
/// Refills and overflows a second that make a class busy.
const BUSY: u64 = 4000;
/// A class that nobody used yet, or not for so long that its room is the least already.
const UNUSED: u32 = u32::MAX;

/// See the module's documentation.
#[derive(Debug)]
pub struct Cap {
    homes: [Home<u8>; SizeClass::COUNT],
    quiet_ms: [u32; SizeClass::COUNT],
    /// Threads among which the process's budget is divided: a power of two, slow to fall.
    threads: u32,
}

impl Cap {
    /// Nothing seen yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            homes: [const { Home::new(0) }; SizeClass::COUNT],
            quiet_ms: [UNUSED; SizeClass::COUNT],
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

    fn note(&mut self, class: SizeClass, seen: &Seen) {
        let (quiet, acts) = (&mut self.quiet_ms[class.index()], &seen.classes[class.index()]);
        if acts.refills > 0 || acts.overflows > 0 {
            *quiet = 0;
        } else if *quiet != UNUSED {
            let span = u32::try_from(seen.span_ms).unwrap_or(UNUSED);
            *quiet = quiet.saturating_add(span).min(UNUSED - 1);
        }
    }
}

/// What the policy wants for one class.
#[derive(Clone, Copy)]
struct Wish {
    cap: u8,
    own: u8,
    reason: Reason,
}

impl Cap {
    fn wish(&mut self, class: SizeClass, seen: &Seen, dials: &Dials) -> Wish {
        let now = dials.of_class(class, ClassDial::Cap);
        let room = seen.rooms[class.index()];
        let or_room = |cap: u8| if cap == 0 { room } else { cap.min(seen.slots) };
        let own = or_room(self.homes[class.index()].of(now));
        let (quiet, idle) = (self.quiet_ms[class.index()], dials.get(Dial::IdleMs));
        if idle > 0 && quiet >= idle {
            let least = (own / 8).max(FLOOR).min(own);
            let cap = (own >> (quiet / idle).min(7)).max(least);
            return Wish { cap, own, reason: Reason::ClassIdle };
        }
        Wish { cap: own.max(or_room(now)), own, reason: Reason::ClassBack }
    }

    /// More room for a busy class of which the depots hold too little.
    fn grown(wish: Wish, class: SizeClass, seen: &Seen) -> Wish {
        let acts = &seen.classes[class.index()];
        let each = u64::from(acts.refills) + u64::from(acts.overflows);
        let events = &seen.events;
        let busy = class.bytes() > SizeClass::TINY_MAX
            && each * 1000 >= BUSY.saturating_mul(seen.span_ms.max(1))
            && acts.overflows > 0
            && events.depot_hits.saturating_mul(2) < events.refills;
        let cap =
            if busy { wish.cap.saturating_mul(2).min(seen.slots).max(wish.cap) } else { wish.cap };
        Wish { cap, reason: if cap > wish.cap { Reason::ClassGrown } else { wish.reason }, ..wish }
    }
}

fn bytes_of(class: SizeClass, cap: u8) -> u64 {
    class.bytes() as u64 * u64::from(cap)
}

/// The most bytes that one class may hold so that all of them fit.
fn limit(wishes: &[Option<Wish>; SizeClass::COUNT], budget: u64) -> u64 {
    let mut limit = 1 << 24;
    while limit > 1 << 14 {
        let held = |(class, wish): (SizeClass, &Option<Wish>)| {
            wish.map_or(0, |wish| bytes_of(class, wish.cap).min(limit))
        };
        if SizeClass::all().zip(wishes).map(held).sum::<u64>() <= budget {
            break;
        }
        limit /= 2;
    }
    limit
}

impl Policy for Cap {
    fn decide(&mut self, seen: &Seen, dials: &Dials, orders: &mut Orders) {
        let budget = self.budget(seen, dials);
        let mut wishes = [None; SizeClass::COUNT];
        let mut held = 0_u64;
        for class in SizeClass::all() {
            self.note(class, seen);
            if self.quiet_ms[class.index()] != UNUSED && seen.rooms[class.index()] > 0 {
                let wish = self.wish(class, seen, dials);
                held += bytes_of(class, wish.cap);
                wishes[class.index()] = Some(wish);
            }
        }
        // Growth comes last: it takes what is left, and nothing from another class.
        for class in SizeClass::all() {
            let Some(wish) = &mut wishes[class.index()] else { continue };
            let grown = Self::grown(*wish, class, seen);
            let more = bytes_of(class, grown.cap) - bytes_of(class, wish.cap);
            if held + more <= budget {
                held += more;
                *wish = grown;
            }
        }
        let limit = limit(&wishes, budget);
        for class in SizeClass::all() {
            let Some(Wish { mut cap, own, mut reason }) = wishes[class.index()] else { continue };
            let fits = u8::try_from(limit / class.bytes() as u64).unwrap_or(u8::MAX).max(FLOOR);
            if fits < cap {
                cap = fits;
                reason = Reason::CapBudget;
            }
            let home = &mut self.homes[class.index()];
            let at_home = cap == own && home.of(dials.of_class(class, ClassDial::Cap)) == 0;
            let value = if at_home { 0 } else { cap };
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
    fn an_idle_class_shrinks_to_an_eighth_and_has_its_room_back_at_once() {
        let (mut policy, dials, class) = (Cap::new(), Dials::new(), of(4096));
        let use_it = busy(scene(), class.index(), 1);
        settles(&mut policy, &dials, &use_it);
        assert_eq!(cap(&dials, class), 0);
        let mut last = 64;
        for _ in 0..200 {
            take(&mut policy, &dials, &scene());
            let now = if cap(&dials, class) == 0 { 64 } else { cap(&dials, class) };
            assert!(now <= last && now >= 8);
            last = now;
        }
        assert_eq!(last, 8);
        settles(&mut policy, &dials, &scene());
        take(&mut policy, &dials, &use_it);
        assert_eq!(cap(&dials, class), 0, "the geometry's own again");
    }

    #[test]
    fn a_class_that_the_host_gave_a_room_goes_back_to_that() {
        let (mut policy, dials, class) = (Cap::new(), Dials::new(), of(4096));
        dials.set_of_class(class, ClassDial::Cap, 48);
        let use_it = busy(scene(), class.index(), 1);
        settles(&mut policy, &dials, &use_it);
        for _ in 0..200 {
            take(&mut policy, &dials, &scene());
        }
        assert_eq!(cap(&dials, class), 6);
        take(&mut policy, &dials, &use_it);
        assert_eq!(cap(&dials, class), 48);
    }

    #[test]
    fn a_busy_mid_class_grows_while_the_budget_has_room_and_a_tiny_one_does_not() {
        for (kib, room) in [(8192, 127), (1024, 127), (400, 0)] {
            let (mut policy, dials) = (Cap::new(), Dials::new());
            dials.set(Dial::CapThreadKib, kib);
            let both = busy(busy(scene(), of(4096).index(), 500), of(64).index(), 500);
            settles(&mut policy, &dials, &both);
            assert_eq!(cap(&dials, of(4096)), room, "{kib} KiB");
            assert_eq!(cap(&dials, of(64)), 0);
        }
    }

    #[test]
    fn what_depots_serve_does_not_grow() {
        let (mut policy, dials) = (Cap::new(), Dials::new());
        let mut seen = busy(scene(), of(4096).index(), 500);
        seen.events.depot_hits = 400;
        settles(&mut policy, &dials, &seen);
        assert_eq!(cap(&dials, of(4096)), 0);
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
            let budget = (u64::from(process_kib) * 1024 / u64::from(threads)).min(8 << 20);
            assert!(held <= budget + floors, "{threads} threads hold {held} bytes each");
        }
    }
}
