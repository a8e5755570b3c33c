//! What a planner knows of a state, and the table of all. Floor: second.

use super::{
    event::{CommandId, Error, Handle, Place},
    owners::Owners,
};
use crate::{
    distance::{Gap, NextUse},
    ranges::Ranges,
    state::{AgentId, AgentState, Contents, Kind},
};
use alloc::{collections::VecDeque, vec::Vec};

/// Where a state's contents are when no command concerns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seat {
    /// Not on the device.
    Off,
    /// On the device.
    On,
    /// Lost with the device.
    Poisoned,
}

#[derive(Debug)]
pub(super) struct Record {
    pub id: u64,
    pub kind: Kind,
    pub bytes: u64,
    pub reload_ns: u64,
    pub recompute_ns: Option<u64>,
    pub seat: Seat,
    pub command: Option<CommandId>,
    pub users: u32,
    pub pins: u32,
    pub retained_until: Option<u64>,
    pub demoted: bool,
    /// A write-back failed in this step: not before the next one again.
    pub held: bool,
    /// Unregistered: to be forgotten as soon as it is off the device.
    pub doomed: bool,
    /// Memory ran out for it once already.
    pub retried: bool,
    /// It was fetched ahead and not used since.
    pub unused: bool,
    /// There is memory and nothing in it: the next user computes the contents.
    pub fresh: bool,
    pub version: u64,
    /// The version that the host holds whole; `None` while a write-back is under way or after one failed.
    pub host_version: Option<u64>,
    pub dirty: Ranges,
    /// By the believed prediction of each, nearest first.
    pub owners: Owners,
    pub gap: Gap,
    pub use_order: u64,
    pub load_order: u64,
    pub memo: u64,
    pub waiting: VecDeque<AgentId>,
    /// Its turn in the queue of demands.
    pub turn: Option<i64>,
}

impl Record {
    pub fn new(state: &dyn AgentState) -> Result<Self, Error> {
        let (bytes, dirty) = (state.bytes(), state.dirty());
        if bytes == 0 || dirty.end() > bytes {
            return Err(Error::BadSize);
        }
        let host_version = match state.contents() {
            Contents::None => None,
            Contents::Host { version } => Some(version),
        };
        Ok(Self {
            id: state.id(),
            kind: state.kind(),
            bytes,
            reload_ns: state.reload_cost_ns(),
            recompute_ns: state.recompute_cost_ns(),
            seat: Seat::Off,
            command: None,
            users: 0,
            pins: 0,
            retained_until: None,
            demoted: false,
            held: false,
            doomed: false,
            retried: false,
            unused: false,
            fresh: false,
            version: host_version.unwrap_or(0),
            host_version,
            dirty,
            owners: Owners::AtMostOne(None),
            gap: Gap::default(),
            use_order: 0,
            load_order: 0,
            memo: 0,
            waiting: VecDeque::new(),
            turn: None,
        })
    }

    pub fn hinted(&self) -> NextUse {
        self.owners.nearest()
    }

    pub const fn is_clean(&self) -> bool {
        matches!(self.host_version, Some(version) if version == self.version)
    }

    /// May be evicted now, as far as it goes by this state alone.
    pub const fn is_evictable(&self) -> bool {
        let kept = self.pins > 0 || self.retained_until.is_some() || self.held;
        // What is doomed is evicted by itself, and may be forgotten before that if the device is lost.
        let free = self.command.is_none() && !self.doomed;
        matches!(self.seat, Seat::On) && self.users == 0 && free && !kept
    }

    /// May be fetched now, as far as it goes by this state alone.
    pub const fn is_fetchable(&self) -> bool {
        let free = self.command.is_none() && self.turn.is_none() && !self.doomed;
        matches!(self.seat, Seat::Off) && self.host_version.is_some() && free
    }

    /// It is cheaper to compute it anew than to write it back and reload it later.
    pub fn is_cheaper_recomputed(&self) -> bool {
        self.recompute_ns.is_some_and(|cost_ns| cost_ns < self.reload_ns)
    }

    /// `Loading` and `Evicting` are what the command says.
    pub const fn place_at_rest(&self) -> Place {
        match self.seat {
            Seat::Poisoned => Place::Poisoned,
            Seat::On if self.users > 0 => Place::InUse(self.users),
            Seat::On => Place::Resident,
            Seat::Off if self.host_version.is_some() => Place::HostOnly,
            Seat::Off => Place::Absent,
        }
    }
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    record: Option<Record>,
}

/// All records, by slot.
#[derive(Debug, Default)]
pub(super) struct Table {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

impl Table {
    pub fn insert(&mut self, record: Record) -> Handle {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, record: None });
            u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 states")
        });
        self.slots[slot as usize].record = Some(record);
        self.handle(slot)
    }

    pub fn handle(&self, slot: u32) -> Handle {
        Handle { slot, generation: self.slots[slot as usize].generation }
    }

    /// The slot of a handle that is not stale.
    pub fn slot(&self, handle: Handle) -> Result<u32, Error> {
        let slot = self.slots.get(handle.slot as usize).ok_or(Error::Stale)?;
        let live = slot.record.as_ref().is_some_and(|record| !record.doomed);
        if live && slot.generation == handle.generation {
            Ok(handle.slot)
        } else {
            Err(Error::Stale)
        }
    }

    pub fn remove(&mut self, slot: u32) {
        let place = &mut self.slots[slot as usize];
        place.record = None;
        // A slot whose generations are used up is not used again.
        if let Some(next) = place.generation.checked_add(1) {
            place.generation = next;
            self.free.push(slot);
        }
    }

    pub fn holds(&self, slot: u32) -> bool {
        self.slots.get(slot as usize).is_some_and(|slot| slot.record.is_some())
    }

    /// All slots that hold a record, for what is rare.
    pub fn all(&self) -> impl Iterator<Item = u32> + use<> {
        let held = (0u32..).zip(&self.slots).filter(|(_, slot)| slot.record.is_some());
        held.map(|(slot, _)| slot).collect::<Vec<_>>().into_iter()
    }
}

/// A slot that a planner keeps anywhere has a record until `Table::remove`, and that comes last.
impl core::ops::Index<u32> for Table {
    type Output = Record;
    fn index(&self, slot: u32) -> &Record {
        self.slots[slot as usize].record.as_ref().expect("the slot holds a record")
    }
}

impl core::ops::IndexMut<u32> for Table {
    fn index_mut(&mut self, slot: u32) -> &mut Record {
        self.slots[slot as usize].record.as_mut().expect("the slot holds a record")
    }
}
