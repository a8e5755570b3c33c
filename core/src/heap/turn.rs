//! A turn of ACE: what is seen is gathered here, what is ordered is carried out here. Floor: roof.
//!
//! Turns come from three places: slow paths count down and now and then look at the clock; a thread
//! of the host, or its idle loop, calls [`Heap::turn`]. One at a time: who finds a turn in progress
//! goes on. No lock is held while ACE thinks, so a turn that is held up holds nobody up.

use super::Heap;
use crate::{
    ace::{Ace, Act, ClassSeen, Mode, Orders, Policy, Profile, Seen, Turn},
    dials::{Dial, Dials},
    geometry::{Geometry, shape_of},
    meter::{COUNTERS, ClassEvent},
    platform::Platform,
    pool::Shared,
    ring::Event,
    seat::Seat,
    size_class::SizeClass,
    stats::Events,
    tiny::{Local, visit::Asleep},
};

/// What a thread pauses in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    /// A request: the thread holds no lock of its C library.
    Malloc,
    /// A free, which C libraries also call while they hold locks of their own.
    Free,
}

impl<P: Platform> Heap<P> {
    /// How much ACE does.
    pub fn mode(&self) -> Mode {
        self.shared.seat.mode()
    }

    /// Sets how much ACE does. Dials stay where they are. Where that ends [`Mode::Tune`] in an
    /// attended heap (see [`Self::set_attended`]), what waits for a turn is given back by this
    /// call.
    pub fn set_mode(&self, mode: Mode) {
        self.attend(|seat| seat.set_mode(mode));
    }

    /// Says whether somebody calls [`Self::turn`] every 10 to 20 milliseconds from now on, whatever
    /// the program does. If so, and in [`Mode::Tune`], memory that is freed waits for the turn that
    /// finds it unused: a program that wants it again at once gets it without page faults. If not,
    /// which is how a heap begins, the free that exceeds the limit gives it back, and so does this
    /// call with what still waits. The last call counts: where an adapter has a thread for turns,
    /// that thread calls this, and a host should not.
    pub fn set_attended(&self, attended: bool) {
        self.attend(|seat| seat.set_attended(attended));
    }

    /// Changes the seat. If nobody is there any more for whom freed memory waits, it goes now.
    fn attend(&self, change: impl FnOnce(&Seat)) {
        let shared = &self.shared;
        let before = shared.seat.is_attended();
        change(&shared.seat);
        if before
            && !shared.seat.is_attended()
            && shared.arena().is_some()
            && let Some(mut pool) = shared.lock()
        {
            pool.settle();
        }
    }

    /// Sets the dials of a profile.
    pub fn set_profile(&self, profile: Profile) {
        profile.set(&self.shared.dials);
    }

    /// One turn of ACE, if the mode is not off and nobody else is at it: for a host's own thread or
    /// idle loop. `now_ms` is the time in milliseconds since any fixed moment, on the clock of
    /// [`Platform::now_ms`] where there is one. Returns the number of orders.
    pub fn turn(&self, now_ms: u64) -> usize {
        self.take_turn(now_ms, |ace, seen, dials, orders| ace.turn(seen, dials, orders))
    }

    /// A turn in which `policy` decides instead of ACE: for tests.
    #[doc(hidden)]
    pub fn turn_with(&self, now_ms: u64, policy: &mut dyn Policy) -> usize {
        self.take_turn(now_ms, |_, seen, dials, orders| policy.decide(seen, dials, orders))
    }

    fn take_turn(
        &self,
        now_ms: u64,
        decide: impl FnOnce(&mut Ace, &Seen, &Dials, &mut Orders),
    ) -> usize {
        let shared = &self.shared;
        if shared.seat.mode() == Mode::Off || shared.arena().is_none() || !Shared::<P>::may_wait() {
            return 0;
        }
        self.help();
        if let Some(local) = Local::current(shared) {
            local.tell();
            local.heed();
        }
        shared.seat.turn(|state| {
            let applied = shared.seat.mode() == Mode::Tune;
            gather(shared, &mut state.seen, &mut state.pool_told, now_ms);
            state.orders.clear();
            decide(&mut state.ace, &state.seen, &shared.dials, &mut state.orders);
            let orders = state.orders.list();
            // Before they are carried out: a trace says what a dial stood at until then.
            P::on_turn(&Turn { seen: &state.seen, dials: &shared.dials, orders, applied });
            if applied {
                for order in orders {
                    carry_out(shared, order.act, now_ms);
                }
            }
            orders.len()
        })
    }

    /// One slow event of the calling thread. Every so many the clock is asked whether a turn is
    /// due.
    #[inline]
    pub(super) fn tick(&self, call: Call) {
        if let Some(local) = Local::current(&self.shared)
            && local.tick()
        {
            self.pause(&local, call);
        }
    }

    /// A pause for a thread that frees for others, of which each parcel was a slow event.
    #[cold]
    #[inline(never)]
    pub(super) fn take_breath(&self) {
        if let Some(local) = Local::current(&self.shared) {
            self.pause(&local, Call::Free);
        }
    }

    /// The thread's countdown has ended.
    #[cold]
    #[inline(never)]
    fn pause(&self, local: &Local<'_, P>, call: Call) {
        let seat = &self.shared.seat;
        local.rest(seat.pace());
        if seat.mode() == Mode::Off || !Shared::<P>::may_wait() {
            return;
        }
        match P::now_ms() {
            // Which tells and heeds first.
            Some(now) if seat.is_due(now) => {
                self.turn(now);
            }
            _ => {
                local.tell();
                local.heed();
            }
        }
        if call == Call::Malloc {
            P::on_pause();
        }
    }
}

fn gather<P: Platform>(
    shared: &Shared<P>,
    seen: &mut Seen,
    pool_told: &mut [u64; COUNTERS],
    now_ms: u64,
) {
    seen.span_ms = if seen.now_ms == 0 { 0 } else { now_ms.saturating_sub(seen.now_ms) };
    seen.now_ms = now_ms;
    for class in SizeClass::all() {
        let told = shared.board.take_class(class);
        seen.classes[class.index()] = ClassSeen {
            refills: told[ClassEvent::Refill as usize],
            overflows: told[ClassEvent::Overflow as usize],
            parcels: told[ClassEvent::Parcel as usize],
            sent: told[ClassEvent::Sent as usize],
        };
        seen.rooms[class.index()] = shape_of::<P::Geometry>(class).magazine;
    }
    seen.slots = P::Geometry::MAGAZINE_SLOTS as u8 - 1;
    seen.superslab_bytes = P::Geometry::SUPERSLAB;
    let mut counts = shared.board.take();
    if let Some(mut pool) = shared.lock() {
        let first = seen.span_ms == 0 && *pool_told == [0; COUNTERS];
        for (sum, (count, told)) in
            counts.iter_mut().zip(pool.meter.counts().into_iter().zip(&mut *pool_told))
        {
            // The first turn has seen nothing happen.
            *sum += if first { 0 } else { count.wrapping_sub(*told) };
            *told = count;
        }
        seen.levels = pool.levels();
    }
    seen.asleep = asleep(shared, now_ms).count(shared);
    seen.levels.rss_bytes = P::resident_bytes();
    seen.events = Events::of(counts);
    (seen.began, seen.ended, seen.denied, seen.grown_units) = (0, 0, 0, 0);
    while let Some(event) = shared.ring.pop() {
        match event {
            Event::Began => seen.began += 1,
            Event::Ended => seen.ended += 1,
            Event::Denied => seen.denied += 1,
            Event::Grew(units) => seen.grown_units = seen.grown_units.saturating_add(units),
        }
    }
    seen.dropped = shared.ring.take_dropped();
}

fn asleep<P: Platform>(shared: &Shared<P>, now_ms: u64) -> Asleep {
    Asleep { now_ms, idle_ms: shared.dials.get(Dial::IdleMs).into() }
}

/// Gives back what is dirty now, but for `keep` bytes. Others come in between, a superslab's worth
/// at a time: a GiB takes a tenth of a second. What they free meanwhile is left to a later order.
fn purge<P: Platform>(shared: &Shared<P>, keep: usize) {
    let mut more = shared.lock().map_or(0, |pool| pool.dirty_bytes().saturating_sub(keep));
    while more > 0 {
        let Some(mut pool) = shared.lock() else { return };
        let least = pool.dirty_bytes().saturating_sub(P::Geometry::SUPERSLAB).max(keep);
        let given = pool.purge_to(least);
        if given == 0 {
            // The system does not take it, or others took it.
            return;
        }
        more = more.saturating_sub(given);
    }
}

fn carry_out<P: Platform>(shared: &Shared<P>, act: Act, now_ms: u64) {
    let dials = &shared.dials;
    match act {
        Act::Set(dial, _) if dials.is_pinned(dial) => {}
        Act::Set(dial, value) => dials.set(dial, value),
        Act::SetClass(class, dial, value) => dials.set_of_class(class, dial, value),
        Act::Purge(keep_kib) => purge(shared, keep_kib as usize * 1024),
        Act::Trim => shared.seat.ask_for_trim(),
        Act::Promote(superslabs) => {
            if let Some(mut pool) = shared.lock() {
                pool.promote(superslabs as usize);
            }
        }
        Act::Visit(threads) => asleep(shared, now_ms).visit(shared, threads),
    }
}
