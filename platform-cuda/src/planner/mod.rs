//! The residency planner: which state is on the device, which one goes, which one comes next. Floor: second.
//!
//! A state machine without clock, threads or device. Its host drives it:
//!
//! * **observe**: [`Planner::observe`] takes an [`Event`]: a use begins or ends, somebody predicts one, an
//!   action was applied, the budget changed, the device is lost;
//! * **decide**: [`Planner::decide`] gives the next [`Action`] for the device, until there is none;
//! * **apply**: the host applies it (map, a chunk of a copy, unmap) and observes its result.
//!   [`Planner::report`] tells what came of it.
//!
//! A simulator with a virtual clock and a driver of a real device drive the same code, and the same events
//! lead to the same actions.
//!
//! ```text
//!                Begin, Prefetch                    Begin              End
//!   Absent ─────────────┐                        ┌──────────► InUse(n) ───┐
//!   HostOnly ───────────┴──► Loading ──► Resident ◄───────────────────────┘
//!      ▲  ▲                     │           │  ▲
//!      │  └── failed, cancelled ┘           │  └── cancelled, write-back failed
//!      └──────────────── Evicting ◄─────────┘       DeviceLost: Resident, InUse ──► Poisoned
//! ```
//!
//! Invariants; `tests/invariants.rs` checks each by its number against a model, under random events and
//! faults:
//!
//! 1. What is in use, pinned or retained is not evicted.
//! 2. No memory is mapped beyond the budget: bytes on the device and on the way ≤ budget, and after a
//!    smaller budget nothing is mapped until they fit again.
//! 3. A state has at most one command, and copies of it go in one direction at a time.
//! 4. What nobody waits for displaces nothing that is predicted nearer or as near, unless it was demoted.
//! 5. Only what is missing is evicted: without any one of the victims the space would not do.
//! 6. Memory is given back when no copy touches it: an unregistered state stays until its copies end.
//! 7. A demand overtakes prefetches at the next chunk.
//! 8. Device memory is given up only if the host has the newest version, or if the contents can be computed
//!    anew for less. A failed copy leaves the surviving copy as it was.
//! 9. When the device is lost, what the host has in its newest version is safe, and all else is reported.
//! 10. Every command ends once, done, cancelled or failed; every `Begin` is granted or refused once.
//! 11. A state of several agents is as near as the nearest of them.
//! 12. No event looks at all states; only the loss and return of a device do.
//!
//! How much is fetched ahead follows from the time that the link really had to spare
//! ([`Event::LinkSpare`]), not from a fixed number of steps.

mod admit;
mod agents;
mod command;
mod commands;
mod event;
mod faults;
mod observe;
mod owners;
mod record;
mod uses;

pub use event::{
    Action, CommandId, End, Error, Event, Fault, Handle, Place, Refusal, Report, Span, Task, What,
};

use crate::{
    distance::Trust,
    order::{Order, Toward},
    policy::{News, Policy, Seen},
    state::{AgentId, AgentState, Kind},
};
use agents::Agents;
use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet, VecDeque},
    vec::Vec,
};
use commands::Commands;
use record::{Record, Seat, Table};

/// The sizes a planner works with.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Device memory for states.
    pub budget_bytes: u64,
    /// Copies are cut into pieces of this size, so that a demand need not wait for a whole prefetch.
    pub chunk_bytes: u64,
    /// So many pieces are under way in each direction; 2 keep a link busy.
    pub chunks_in_flight: u32,
}

/// What a planner has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Uses that began at once.
    pub hits: u64,
    /// Uses that had to wait.
    pub misses: u64,
    /// Copied to the device because somebody waited.
    pub demand_bytes: u64,
    /// Copied to the device ahead of use.
    pub prefetch_bytes: u64,
    /// Of those, evicted before they were used.
    pub wasted_bytes: u64,
    /// Copied from the device.
    pub written_bytes: u64,
    /// States evicted.
    pub evictions: u64,
}

/// See the module's documentation.
pub struct Planner {
    policy: Box<dyn Policy>,
    settings: Settings,
    records: Table,
    agents: Agents,
    commands: Commands,
    /// What may be evicted, farthest first: an order for each view.
    victims: Vec<Order>,
    /// What may be fetched and is predicted, nearest first: an order for each view.
    wanted: Vec<Order>,
    /// Of what may be evicted, what was demoted.
    demoted: BTreeSet<u32>,
    /// States whose own past predicts them.
    due: Order,
    retained: BTreeSet<(u64, u32)>,
    held: Vec<u32>,
    /// Demands that wait for memory, by turn.
    queue: BTreeMap<i64, u32>,
    asked: VecDeque<Handle>,
    reports: VecDeque<Report>,
    trust: Trust,
    totals: Totals,
    step: u64,
    /// The budget, or less if the device had less.
    limit_bytes: u64,
    /// What may still be fetched ahead in this window.
    allowance_bytes: u64,
    uses: u64,
    loads: u64,
    turns: i64,
    blocked: Option<Handle>,
    is_lost: bool,
}

impl Planner {
    /// No states, step 0, a device that is there.
    #[must_use]
    pub fn new(mut policy: Box<dyn Policy>, settings: Settings) -> Self {
        policy.follow(News::Budget { bytes: settings.budget_bytes });
        let orders = |toward, classes: u8| {
            let order = |_| Order::new(toward, usize::from(classes));
            policy.views().iter().map(order).collect::<Vec<_>>()
        };
        Self {
            victims: orders(Toward::Farthest, policy.classes()),
            wanted: orders(Toward::Nearest, 1),
            policy,
            settings: Settings {
                chunk_bytes: settings.chunk_bytes.max(1),
                chunks_in_flight: settings.chunks_in_flight.max(1),
                ..settings
            },
            records: Table::default(),
            agents: Agents::default(),
            commands: Commands::default(),
            demoted: BTreeSet::new(),
            due: Order::new(Toward::Nearest, 1),
            retained: BTreeSet::new(),
            held: Vec::new(),
            queue: BTreeMap::new(),
            asked: VecDeque::new(),
            reports: VecDeque::new(),
            trust: Trust::default(),
            totals: Totals::default(),
            step: 0,
            limit_bytes: settings.budget_bytes,
            allowance_bytes: 0,
            uses: 0,
            loads: 0,
            turns: 0,
            blocked: None,
            is_lost: false,
        }
    }

    /// Takes a state into its care. Its agents are known from here on.
    ///
    /// # Errors
    /// [`Error::BadSize`]: it has no bytes, or it is dirty beyond its end.
    pub fn register(&mut self, state: &dyn AgentState) -> Result<Handle, Error> {
        let handle = self.records.insert(Record::new(state)?);
        for agent in state.owners() {
            self.join(handle.slot, agent);
        }
        self.rerank(handle.slot);
        Ok(handle)
    }

    /// Forgets a state. Its handle is stale at once; [`Report::Released`] follows when its memory is free.
    /// Who waits for it is refused.
    ///
    /// # Errors
    /// [`Error::Stale`]; [`Error::InUse`].
    pub fn unregister(&mut self, state: Handle) -> Result<(), Error> {
        let slot = self.records.slot(state)?;
        if self.records[slot].users > 0 {
            return Err(Error::InUse);
        }
        self.refuse_all(slot, Refusal::Unregistered);
        let owners: Vec<AgentId> = self.records[slot].owners.agents().collect();
        for agent in owners {
            self.leave(slot, agent);
        }
        let record = &mut self.records[slot];
        record.doomed = true;
        (record.pins, record.held) = (0, false);
        if let Some(until) = record.retained_until.take() {
            self.retained.remove(&(until, slot));
        }
        self.due.remove(slot);
        self.stop(slot);
        self.settle(slot);
        Ok(())
    }

    /// The next thing for the device to do. Call it after every event until it gives `None`.
    pub fn decide(&mut self) -> Option<Action> {
        if self.is_lost {
            return None;
        }
        self.admit();
        self.next_action()
    }

    /// The next piece of news.
    pub fn report(&mut self) -> Option<Report> {
        self.reports.pop_front()
    }

    /// Where a state is.
    ///
    /// # Errors
    /// [`Error::Stale`].
    pub fn place(&self, state: Handle) -> Result<Place, Error> {
        let record = &self.records[self.records.slot(state)?];
        Ok(match record.command.map(|command| self.commands.task(command)) {
            Some(Task::Evict) => Place::Evicting,
            Some(Task::Demand | Task::Prefetch) => Place::Loading,
            None => record.place_at_rest(),
        })
    }

    /// The version of a state, and the one that the host holds whole.
    ///
    /// # Errors
    /// [`Error::Stale`].
    pub fn versions(&self, state: Handle) -> Result<(u64, Option<u64>), Error> {
        let record = &self.records[self.records.slot(state)?];
        Ok((record.version, record.host_version))
    }

    /// What a state holds, as its owner said.
    ///
    /// # Errors
    /// [`Error::Stale`].
    pub fn kind(&self, state: Handle) -> Result<Kind, Error> {
        Ok(self.records[self.records.slot(state)?].kind)
    }

    /// What was done so far.
    #[must_use]
    pub const fn totals(&self) -> Totals {
        self.totals
    }

    /// How far predictions have been off so far.
    #[must_use]
    pub const fn trust(&self) -> &Trust {
        &self.trust
    }

    /// Bytes on the device and on the way, in either direction.
    #[must_use]
    pub const fn committed_bytes(&self) -> u64 {
        self.commands.committed_bytes
    }

    /// The budget, or less if the device had less.
    #[must_use]
    pub const fn limit_bytes(&self) -> u64 {
        self.limit_bytes
    }

    /// How often any order was touched: the work of the index, without a clock.
    #[must_use]
    pub fn index_moves(&self) -> u64 {
        let orders = self.victims.iter().chain(&self.wanted).chain([&self.due]);
        orders.map(Order::moves).sum::<u64>() + self.agents.moves() + self.policy.moves()
    }

    /// Puts a state where it belongs in all orders.
    fn rerank(&mut self, slot: u32) {
        let record = &mut self.records[slot];
        let seen = Seen {
            bytes: record.bytes,
            reload_ns: record.reload_ns,
            recompute_ns: record.recompute_ns,
            use_order: record.use_order,
            load_order: record.load_order,
            hinted: record.hinted(),
            own: record.gap.next_use(),
        };
        self.policy.follow(News::Changed { slot, seen: &seen });
        let (evictable, fetchable) = (record.is_evictable(), record.is_fetchable());
        if evictable && record.demoted {
            self.demoted.insert(slot);
        } else {
            self.demoted.remove(&slot);
        }
        for (at, view) in self.policy.views().iter().enumerate() {
            if evictable {
                let rank = self.policy.rank(*view, &seen, &mut record.memo);
                self.victims[at].place(slot, rank.class, rank.key);
            } else {
                self.victims[at].remove(slot);
            }
            let next_use = seen.next_use(*view);
            if fetchable && next_use.is_known() {
                self.wanted[at].place(slot, 0, next_use.key());
            } else {
                self.wanted[at].remove(slot);
            }
        }
    }

    /// The order of the view that is believed now.
    fn believed(&self) -> usize {
        let view = self.policy.believed(&self.trust);
        self.policy.views().iter().position(|own| *own == view).unwrap_or(0)
    }

    /// A state without a command goes on to what it has to do next.
    fn settle(&mut self, slot: u32) {
        let record = &self.records[slot];
        if record.command.is_none() {
            match record.seat {
                Seat::On if record.doomed => self.start_eviction(slot),
                Seat::On => self.grant_all(slot),
                _ if record.doomed => return self.release(slot),
                Seat::Off if !record.waiting.is_empty() => self.enqueue(slot, false),
                Seat::Off | Seat::Poisoned => {}
            }
        }
        self.rerank(slot);
    }

    fn release(&mut self, slot: u32) {
        self.rerank(slot);
        let (state, id) = (self.records.handle(slot), self.records[slot].id);
        self.records.remove(slot);
        self.policy.follow(News::Gone { slot });
        self.reports.push_back(Report::Released { state, id });
    }
}
