//! The commands that are under way, and their queues. Floor: second.

use super::{CommandId, End, Handle, Task, What};
use crate::ranges::Ranges;
use alloc::{
    collections::{BTreeMap, VecDeque},
    vec::Vec,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Map,
    Copy,
    Unmap,
}

#[derive(Debug)]
pub(super) struct Command {
    pub slot: u32,
    pub state: Handle,
    pub task: Task,
    pub stage: Stage,
    /// What is still to be copied.
    pub todo: Ranges,
    /// What the device has been given and has not answered.
    pub given: Vec<What>,
    /// Why it does not go on.
    pub stopped: Option<End>,
}

impl Command {
    pub fn ends_copying(&self) -> bool {
        let idle = self.given.is_empty() && self.stage == Stage::Copy;
        idle && (self.stopped.is_some() || self.todo.is_empty())
    }
}

#[derive(Debug, Default)]
pub(super) struct Commands {
    pub all: BTreeMap<CommandId, Command>,
    pub next: u64,
    /// Commands whose next action is to map or unmap.
    pub mapping: VecDeque<CommandId>,
    pub demands: VecDeque<CommandId>,
    pub prefetches: VecDeque<CommandId>,
    pub stores: VecDeque<CommandId>,
    /// Chunks under way, to and from the device.
    pub inward: u32,
    pub outward: u32,
    /// Bytes of all states on the device and on the way.
    pub committed_bytes: u64,
    /// Of those, the bytes that will be free without another decision.
    pub leaving_bytes: u64,
}

impl Commands {
    pub fn task(&self, command: CommandId) -> Task {
        self.all[&command].task
    }

    pub fn is_idle(&self) -> bool {
        self.all.is_empty()
    }

    /// Prefetches that can be stopped, newest first, with their slots.
    pub fn prefetches(&self) -> impl Iterator<Item = u32> {
        let stoppable =
            |command: &&Command| command.task == Task::Prefetch && command.stopped.is_none();
        self.prefetches
            .iter()
            .rev()
            .filter_map(|id| self.all.get(id))
            .filter(stoppable)
            .map(|c| c.slot)
    }

    /// Demands for which space is set aside and nothing was done yet, newest first, with their slots.
    pub fn unmapped_demands(&self) -> impl Iterator<Item = u32> {
        let commands = self.mapping.iter().rev().filter_map(|id| self.all.get(id));
        let unmapped = |command: &&Command| {
            let waits = command.stage == Stage::Map && command.stopped.is_none();
            waits && command.task == Task::Demand
        };
        commands.filter(unmapped).map(|command| command.slot)
    }

    /// Demands for which space was found and that are not given to the device whole, and their bytes that
    /// are not.
    pub fn demands_ahead(&self, bytes_of: impl Fn(u32) -> u64) -> (usize, u64) {
        let unfinished = self.all.values().filter_map(|command| {
            let bytes = match command.stage {
                _ if command.task != Task::Demand || command.stopped.is_some() => 0,
                Stage::Map => bytes_of(command.slot),
                Stage::Copy => command.todo.bytes(),
                Stage::Unmap => 0,
            };
            (bytes > 0).then_some(bytes)
        });
        unfinished.fold((0, 0), |(count, sum), bytes| (count + 1, sum + bytes))
    }

    pub fn queue(&mut self, task: Task) -> &mut VecDeque<CommandId> {
        match task {
            Task::Demand => &mut self.demands,
            Task::Prefetch => &mut self.prefetches,
            Task::Evict => &mut self.stores,
        }
    }

    pub fn forget_all(&mut self) -> Vec<(CommandId, u32, Handle, Task)> {
        let all = core::mem::take(self);
        self.next = all.next;
        all.all
            .into_iter()
            .map(|(id, command)| (id, command.slot, command.state, command.task))
            .collect()
    }
}
