//! What goes wrong on a device (invariants 8 and 9). Floor: second.

use super::{End, Error, Fault, Handle, Planner, Refusal, Report, record::Seat};
use crate::ranges::Ranges;
use alloc::vec::Vec;

impl Planner {
    /// The device had less memory than the budget says: what is there now and what is free is the budget
    /// from here on. The demand is tried once more when others have been evicted.
    pub(super) fn out_of_memory(&mut self, slot: u32, free_bytes: u64) {
        let bytes = self.records[slot].bytes;
        let others = self.commands.committed_bytes - bytes;
        let found = others.saturating_add(free_bytes);
        // The device refused these bytes, whatever it says is free.
        let found = found.min(self.commands.committed_bytes - 1);
        self.limit_to(self.limit_bytes.min(found));
    }

    pub(super) fn load_failed(&mut self, slot: u32, fault: Fault) {
        let record = &mut self.records[slot];
        let out_of_memory = matches!(fault, Fault::OutOfMemory { .. });
        if out_of_memory && !core::mem::replace(&mut record.retried, true) {
            if !record.waiting.is_empty() {
                self.enqueue(slot, true);
            }
            return;
        }
        record.retried = false;
        let reason = if out_of_memory { Refusal::OutOfMemory } else { Refusal::CopyFailed };
        self.refuse_all(slot, reason);
    }

    /// Looks at all states; so does the return of the device.
    pub(super) fn device_lost(&mut self) -> Result<(), Error> {
        if core::mem::replace(&mut self.is_lost, true) {
            return Err(Error::DeviceLost);
        }
        for (command, slot, state, task) in self.commands.forget_all() {
            let record = &mut self.records[slot];
            record.command = None;
            let end = End::DeviceLost;
            self.reports.push_back(Report::Ended { command, state, task, end });
        }
        for slot in self.records.all() {
            self.refuse_all(slot, Refusal::DeviceLost);
            if self.records[slot].doomed {
                self.release(slot);
                continue;
            }
            if self.records[slot].seat == Seat::On {
                self.poison(slot);
            }
            self.rerank(slot);
        }
        self.asked.clear();
        self.held.clear();
        Ok(())
    }

    fn poison(&mut self, slot: u32) {
        let state = self.records.handle(slot);
        let record = &mut self.records[slot];
        record.seat = Seat::Poisoned;
        record.held = false;
        if !record.is_clean() {
            let (id, version, host_version) = (record.id, record.version, record.host_version);
            self.reports.push_back(Report::Lost { state, id, version, host_version });
        }
    }

    pub(super) fn device_restored(&mut self, budget_bytes: u64) -> Result<(), Error> {
        if !core::mem::replace(&mut self.is_lost, false) {
            return Err(Error::NotLost);
        }
        self.limit_to(budget_bytes);
        let poisoned = |slot: &u32| self.records[*slot].seat == Seat::Poisoned;
        let poisoned: Vec<u32> = self.records.all().filter(poisoned).collect();
        for slot in poisoned {
            self.revive(slot);
            self.rerank(slot);
        }
        Ok(())
    }

    /// A poisoned state whose newest version the host has is as good as before, once nobody believes that
    /// it is still on the device.
    pub(super) fn revive(&mut self, slot: u32) {
        let record = &mut self.records[slot];
        if record.is_clean() && record.users == 0 {
            record.seat = Seat::Off;
        }
    }

    pub(super) fn accept_loss(&mut self, state: Handle) -> Result<(), Error> {
        let slot = self.records.slot(state)?;
        let record = &mut self.records[slot];
        if record.seat != Seat::Poisoned {
            return Err(Error::NotPoisoned);
        }
        if record.users > 0 {
            return Err(Error::InUse);
        }
        if self.is_lost {
            return Err(Error::DeviceLost);
        }
        record.version = record.host_version.unwrap_or(0);
        record.dirty = Ranges::none();
        record.seat = Seat::Off;
        self.rerank(slot);
        Ok(())
    }
}
