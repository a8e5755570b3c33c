//! Commands: the actions of a load or an eviction, one after the other, and how they end (invariants 2, 3,
//! 7, 8, 10). Floor: second.
//!
//! A load is a map and copies in; an eviction is copies out, if the host lacks the newest version, and an
//! unmap. A load that is stopped unmaps what it mapped, once its last copy has come to an end.

use super::{
    Action, CommandId, End, Error, Fault, Planner, Report, Span, Task, What,
    commands::{Command, Stage},
    record::Seat,
};
use crate::{policy::News, ranges::Ranges};
use alloc::vec::Vec;

impl Planner {
    fn start(&mut self, slot: u32, task: Task, stage: Stage, todo: Ranges) {
        let id = CommandId(self.commands.next);
        self.commands.next += 1;
        let state = self.records.handle(slot);
        let command = Command { slot, state, task, stage, todo, given: Vec::new(), stopped: None };
        self.commands.all.insert(id, command);
        self.records[slot].command = Some(id);
        // A load that has not been mapped yet can already be told apart by its urgency.
        if stage == Stage::Copy || task == Task::Prefetch {
            self.commands.queue(task).push_back(id);
        }
        if stage != Stage::Copy {
            self.commands.mapping.push_back(id);
        }
        self.rerank(slot);
    }

    /// The space for it is free: invariant 2 is the caller's.
    pub(super) fn start_load(&mut self, slot: u32, task: Task) {
        self.commands.committed_bytes += self.records[slot].bytes;
        self.loads += 1;
        self.records[slot].load_order = self.loads;
        self.start(slot, task, Stage::Map, Ranges::none());
    }

    /// The state is on the device and nobody has a claim on it: invariant 1 is the caller's.
    pub(super) fn start_eviction(&mut self, slot: u32) {
        let record = &mut self.records[slot];
        self.commands.leaving_bytes += record.bytes;
        self.policy.evicted(&mut record.memo);
        let given_up = record.doomed || record.fresh || record.is_cheaper_recomputed();
        let (stage, todo) = if record.is_clean() || given_up {
            (Stage::Unmap, Ranges::none())
        } else {
            (Stage::Copy, record.dirty.clone())
        };
        self.start(slot, Task::Evict, stage, todo);
    }

    /// Somebody waits for what is being fetched ahead.
    pub(super) fn promote(&mut self, slot: u32) {
        let Some(id) = self.records[slot].command else { return };
        let Some(command) = self.commands.all.get_mut(&id) else { return };
        if command.task == Task::Prefetch && command.stopped.is_none() {
            command.task = Task::Demand;
            self.policy.follow(News::Ahead { was_used: true });
            if command.stage == Stage::Copy {
                self.commands.demands.push_back(id);
            }
        }
    }

    /// Stops a state's command as soon as its copies allow, if it can still be stopped.
    pub(super) fn stop(&mut self, slot: u32) {
        if let Some(id) = self.records[slot].command {
            self.halt(id, End::Cancelled);
            self.proceed(id);
        }
    }

    fn halt(&mut self, id: CommandId, end: End) {
        let Some(command) = self.commands.all.get_mut(&id) else { return };
        if command.stopped.is_some() || command.stage == Stage::Unmap {
            return;
        }
        command.stopped = Some(end);
        let bytes = self.records[command.slot].bytes;
        match command.task {
            Task::Evict => self.commands.leaving_bytes -= bytes,
            Task::Demand | Task::Prefetch => self.commands.leaving_bytes += bytes,
        }
    }

    pub(super) fn next_action(&mut self) -> Option<Action> {
        while let Some(id) = self.commands.mapping.pop_front() {
            let Some(command) = self.commands.all.get(&id) else { continue };
            let bytes = self.records[command.slot].bytes;
            if command.stage == Stage::Map && command.stopped.is_some() {
                // Stopped before anything was done.
                self.commands.leaving_bytes -= bytes;
                self.end_load(id, false);
                continue;
            }
            let is_map = command.stage == Stage::Map;
            return self.give(id, if is_map { What::Map { bytes } } else { What::Unmap { bytes } });
        }
        let most = self.settings.chunks_in_flight;
        for task in [Task::Demand, Task::Evict, Task::Prefetch] {
            let under_way =
                if task == Task::Evict { self.commands.outward } else { self.commands.inward };
            if under_way < most
                && let Some((id, span)) = self.next_chunk(task)
            {
                let out = task == Task::Evict;
                return self.give(id, if out { What::CopyOut(span) } else { What::CopyIn(span) });
            }
        }
        None
    }

    fn give(&mut self, command: CommandId, what: What) -> Option<Action> {
        let given = self.commands.all.get_mut(&command)?;
        given.given.push(what);
        Some(Action { command, state: given.state, what })
    }

    /// The next chunk of the first command of a queue that has one. Others leave the queue.
    fn next_chunk(&mut self, task: Task) -> Option<(CommandId, Span)> {
        let mut unmapped = 0;
        while let Some(id) = self.commands.queue(task).get(unmapped).copied() {
            let command = self.commands.all.get_mut(&id).filter(|command| command.task == task);
            let Some(command) = command.filter(|command| command.stopped.is_none()) else {
                self.commands.queue(task).remove(unmapped);
                continue;
            };
            if command.stage == Stage::Map {
                unmapped += 1;
                continue;
            }
            let Some(range) = command.todo.take(self.settings.chunk_bytes) else {
                self.commands.queue(task).remove(unmapped);
                continue;
            };
            let bytes = range.end - range.start;
            if task == Task::Evict {
                self.commands.outward += 1;
                // From here on the host copy is neither the old version nor the new one.
                self.records[command.slot].host_version = None;
            } else {
                self.commands.inward += 1;
            }
            match task {
                Task::Evict => self.totals.written_bytes += bytes,
                Task::Demand => self.totals.demand_bytes += bytes,
                Task::Prefetch => self.totals.prefetch_bytes += bytes,
            }
            return Some((id, Span { offset_bytes: range.start, bytes }));
        }
        None
    }

    pub(super) fn applied(
        &mut self,
        action: Action,
        result: Result<(), Fault>,
    ) -> Result<(), Error> {
        let command = self.commands.all.get_mut(&action.command).ok_or(Error::UnknownAction)?;
        let at = command.given.iter().position(|given| *given == action.what);
        command.given.swap_remove(at.ok_or(Error::UnknownAction)?);
        match action.what {
            What::CopyIn(_) => self.commands.inward -= 1,
            What::CopyOut(_) => self.commands.outward -= 1,
            What::Map { .. } => match result {
                Ok(()) => self.mapped(action.command),
                Err(fault) => self.not_mapped(action.command, fault),
            },
            What::Unmap { .. } => self.unmapped(action.command, result),
        }
        if let (Err(fault), What::CopyIn(_) | What::CopyOut(_)) = (result, action.what) {
            self.halt(action.command, End::Failed(fault));
        }
        self.proceed(action.command);
        Ok(())
    }

    /// Goes on to the next stage if this one is over.
    fn proceed(&mut self, id: CommandId) {
        let Some(command) = self.commands.all.get_mut(&id) else { return };
        if !command.ends_copying() {
            return;
        }
        match (command.task, command.stopped) {
            (Task::Demand | Task::Prefetch, None) => self.end_load(id, true),
            (Task::Evict, Some(_)) => self.end_eviction(id, Seat::On),
            (_, stopped) => {
                command.stage = Stage::Unmap;
                self.commands.mapping.push_back(id);
                if stopped.is_none() {
                    let record = &mut self.records[command.slot];
                    record.host_version = Some(record.version);
                    record.dirty = Ranges::none();
                }
            }
        }
    }

    fn mapped(&mut self, id: CommandId) {
        let Some(command) = self.commands.all.get_mut(&id) else { return };
        command.stage = Stage::Copy;
        let record = &self.records[command.slot];
        if record.host_version.is_some() && command.stopped.is_none() {
            command.todo = Ranges::all(record.bytes);
            if command.task == Task::Demand {
                self.commands.demands.push_back(id);
            }
        }
    }

    fn not_mapped(&mut self, id: CommandId, fault: Fault) {
        self.halt(id, End::Failed(fault));
        let Some(command) = self.commands.all.get(&id) else { return };
        let (slot, end) = (command.slot, command.stopped);
        self.commands.leaving_bytes -= self.records[slot].bytes;
        if let (Fault::OutOfMemory { free_bytes }, Some(End::Failed(_))) = (fault, end) {
            self.out_of_memory(slot, free_bytes);
        }
        self.end_load(id, false);
    }

    /// What can't be unmapped stays counted: the budget is that much smaller for good.
    fn unmapped(&mut self, id: CommandId, result: Result<(), Fault>) {
        let Some(command) = self.commands.all.get_mut(&id) else { return };
        let bytes = self.records[command.slot].bytes;
        self.commands.leaving_bytes -= bytes;
        if let Err(fault) = result {
            command.stopped = Some(End::Failed(fault));
            self.commands.committed_bytes += bytes;
        }
        match command.task {
            Task::Evict => self.end_eviction(id, Seat::Off),
            Task::Demand | Task::Prefetch => self.end_load(id, false),
        }
    }

    /// `on`: its contents are there. Otherwise its memory is not, or not any more.
    fn end_load(&mut self, id: CommandId, on: bool) {
        let Some(command) = self.commands.all.remove(&id) else { return };
        let record = &mut self.records[command.slot];
        record.command = None;
        if on {
            record.seat = Seat::On;
            record.retried = false;
            record.unused = command.task == Task::Prefetch;
            record.fresh = record.host_version.is_none();
            if record.fresh {
                record.dirty = Ranges::all(record.bytes);
            }
        } else {
            self.commands.committed_bytes -= record.bytes;
            if command.stopped == Some(End::Cancelled) && !record.waiting.is_empty() {
                // It had its turn, and lost it to a smaller budget.
                self.enqueue(command.slot, true);
            }
        }
        self.ended(id, &command);
        if let Some(End::Failed(fault)) = command.stopped {
            self.load_failed(command.slot, fault);
        }
        self.settle(command.slot);
    }

    fn end_eviction(&mut self, id: CommandId, seat: Seat) {
        let Some(command) = self.commands.all.remove(&id) else { return };
        let record = &mut self.records[command.slot];
        record.command = None;
        record.seat = seat;
        if seat == Seat::Off {
            self.commands.committed_bytes -= record.bytes;
            self.totals.evictions += 1;
            if core::mem::take(&mut record.unused) {
                self.totals.wasted_bytes += record.bytes;
                self.policy.follow(News::Ahead { was_used: false });
            }
            (record.demoted, record.fresh) = (false, false);
            if !record.is_clean() {
                // Given up on purpose (invariant 8): to be computed anew.
                record.host_version = None;
                record.dirty = Ranges::none();
            }
        } else if let Some(End::Failed(_)) = command.stopped {
            record.held = true;
            self.held.push(command.slot);
        }
        self.ended(id, &command);
        self.settle(command.slot);
    }

    fn ended(&mut self, id: CommandId, command: &Command) {
        let end = command.stopped.unwrap_or(End::Done);
        let Command { state, task, .. } = *command;
        self.reports.push_back(Report::Ended { command: id, state, task, end });
    }

    pub(super) fn is_loading(&self, slot: u32) -> bool {
        self.records[slot].command.is_some_and(|id| self.commands.task(id) != Task::Evict)
    }
}
