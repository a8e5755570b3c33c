//! Uses: who waits, who is granted, who is refused (invariant 10). Floor: second.

use super::{Error, Handle, Planner, Refusal, Report, Seat, Span};
use crate::{distance::error_in_256ths, policy::News, state::AgentId};

impl Planner {
    pub(super) fn begin(&mut self, state: Handle, agent: AgentId) -> Result<(), Error> {
        let slot = self.records.slot(state)?;
        if self.is_lost {
            return Err(Error::DeviceLost);
        }
        if self.records[slot].seat == Seat::Poisoned {
            return Err(Error::Poisoned);
        }
        if !self.owns(slot, agent) {
            return Err(Error::NotOwner);
        }
        self.agent_used(slot, agent);
        self.uses += 1;
        let believed = self.believed();
        let record = &mut self.records[slot];
        if record.gap.last_use() != Some(self.step) {
            let gap = record.gap.used(self.step);
            self.trust.measure_own(gap.map(|(expected, gap)| error_in_256ths(expected, gap)));
        }
        record.use_order = self.uses;
        record.demoted = false;
        if core::mem::take(&mut record.unused) {
            self.policy.follow(News::Ahead { was_used: true });
        }
        let is_there = record.seat == Seat::On && record.command.is_none();
        let is_first = record.waiting.is_empty() && record.command.is_none();
        if !is_there && is_first {
            self.policy.missed(&self.victims[believed], &mut record.memo);
        }
        self.policy.used(&mut record.memo);
        self.policy.follow(News::Used { slot });
        let due = record.gap.next_use();
        if due.is_known() {
            self.due.place(slot, 0, due.key());
        }
        *if is_there { &mut self.totals.hits } else { &mut self.totals.misses } += 1;
        record.waiting.push_back(agent);
        if self.is_loading(slot) {
            self.promote(slot);
        } else {
            // A write-back stops; what is on the device is granted; all else joins the queue.
            self.stop(slot);
        }
        self.settle(slot);
        Ok(())
    }

    pub(super) fn grant_all(&mut self, slot: u32) {
        let state = self.records.handle(slot);
        let record = &mut self.records[slot];
        let fresh = record.fresh;
        while let Some(agent) = record.waiting.pop_front() {
            record.users += 1;
            self.reports.push_back(Report::Granted { state, agent, fresh });
        }
    }

    pub(super) fn refuse_all(&mut self, slot: u32, reason: Refusal) {
        let state = self.records.handle(slot);
        while let Some(agent) = self.records[slot].waiting.pop_front() {
            self.reports.push_back(Report::Refused { state, agent, reason });
        }
        self.dequeue(slot);
    }

    pub(super) fn withdraw(&mut self, state: Handle, agent: AgentId) -> Result<(), Error> {
        let slot = self.records.slot(state)?;
        self.turn_away(slot, agent, Refusal::Withdrawn)
    }

    fn turn_away(&mut self, slot: u32, agent: AgentId, reason: Refusal) -> Result<(), Error> {
        let record = &mut self.records[slot];
        let at =
            record.waiting.iter().position(|other| *other == agent).ok_or(Error::NotWaiting)?;
        record.waiting.remove(at);
        let nobody_waits = record.waiting.is_empty();
        self.reports.push_back(Report::Refused { state: self.records.handle(slot), agent, reason });
        if nobody_waits {
            self.dequeue(slot);
            if self.is_loading(slot) {
                self.stop(slot);
            }
            self.rerank(slot);
        }
        Ok(())
    }

    pub(super) fn unshare(&mut self, state: Handle, agent: AgentId) -> Result<(), Error> {
        let slot = self.records.slot(state)?;
        if !self.leave(slot, agent) {
            return Err(Error::NotOwner);
        }
        while self.turn_away(slot, agent, Refusal::Unregistered).is_ok() {}
        self.rerank(slot);
        Ok(())
    }

    pub(super) fn wrote(&mut self, state: Handle, span: Span) -> Result<(), Error> {
        let slot = self.records.slot(state)?;
        let record = &mut self.records[slot];
        if record.users == 0 {
            return Err(Error::NotInUse);
        }
        if record.seat == Seat::Poisoned {
            return Err(Error::Poisoned);
        }
        let end = span.offset_bytes.checked_add(span.bytes).ok_or(Error::BadSize)?;
        if end > record.bytes || span.bytes == 0 {
            return Err(Error::BadSize);
        }
        record.version += 1;
        record.fresh = false;
        record.dirty.add(span.offset_bytes..end);
        Ok(())
    }

    pub(super) fn end(&mut self, state: Handle) -> Result<(), Error> {
        let slot = self.records.slot(state)?;
        let record = &mut self.records[slot];
        record.users = record.users.checked_sub(1).ok_or(Error::NotInUse)?;
        if record.users == 0 && record.seat == Seat::Poisoned && !self.is_lost {
            self.revive(slot);
        }
        self.settle(slot);
        Ok(())
    }

    /// Into the queue of demands, at its end or, if `first`, before all others.
    pub(super) fn enqueue(&mut self, slot: u32, first: bool) {
        if self.records[slot].turn.is_some() {
            return;
        }
        self.turns += 1;
        let turn = if first { -self.turns } else { self.turns };
        self.records[slot].turn = Some(turn);
        self.queue.insert(turn, slot);
    }

    pub(super) fn dequeue(&mut self, slot: u32) {
        if let Some(turn) = self.records[slot].turn.take() {
            self.queue.remove(&turn);
        }
    }
}
