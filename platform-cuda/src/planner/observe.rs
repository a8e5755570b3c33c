//! `observe`: each event finds its room. Floor: second.

use super::{Error, Event, Handle, Planner};
use crate::policy::News;

impl Planner {
    /// Takes an event in. Call [`Planner::decide`] afterwards.
    ///
    /// # Errors
    /// The event does not fit what was before; it was not taken.
    pub fn observe(&mut self, event: Event) -> Result<(), Error> {
        match event {
            Event::Step(step) => self.step(step),
            Event::Expect { agent, source, next_use } => self.expect(agent, source, next_use),
            Event::Begin { state, agent } => self.begin(state, agent),
            Event::Withdraw { state, agent } => self.withdraw(state, agent),
            Event::Wrote { state, span } => self.wrote(state, span),
            Event::End { state } => self.end(state),
            Event::Prefetch(state) => self.ask(state),
            Event::Cancel(state) => self.cancel(state),
            Event::Pin(state) => self.pin(state),
            Event::Unpin(state) => self.unpin(state),
            Event::Retain { state, until_step } => self.retain(state, until_step),
            Event::Demote(state) => self.demote(state),
            Event::Share { state, agent } => {
                let slot = self.records.slot(state)?;
                self.join(slot, agent);
                self.rerank(slot);
                Ok(())
            }
            Event::Unshare { state, agent } => self.unshare(state, agent),
            Event::Applied { action, result } => self.applied(action, result),
            Event::Budget { bytes } => {
                self.limit_to(bytes);
                Ok(())
            }
            Event::LinkSpare { spare_ns, bytes_per_second } => {
                let bytes = u128::from(spare_ns) * u128::from(bytes_per_second) / 1_000_000_000;
                self.allowance_bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
                Ok(())
            }
            Event::DeviceLost => self.device_lost(),
            Event::DeviceRestored { budget_bytes } => self.device_restored(budget_bytes),
            Event::AcceptLoss(state) => self.accept_loss(state),
        }
    }

    pub(super) fn limit_to(&mut self, bytes: u64) {
        self.limit_bytes = bytes;
        self.policy.follow(News::Budget { bytes });
    }

    /// Only what falls due is looked at: invariant 12.
    fn step(&mut self, step: u64) -> Result<(), Error> {
        if step < self.step {
            return Err(Error::PastStep);
        }
        self.step = step;
        self.policy.follow(News::Step(step));
        for order in self.victims.iter_mut().chain(&mut self.wanted) {
            order.advance(step);
        }
        self.agents_step();
        self.due.advance(step);
        while let Some((key, slot)) = self.due.top(0) {
            if key >= crate::distance::NextUse::at(step).key() {
                break;
            }
            self.records[slot].gap.missed(step);
            let due = self.records[slot].gap.next_use();
            self.due.place(slot, 0, due.key());
            self.rerank(slot);
        }
        while let Some((until, slot)) = self.retained.first().copied() {
            if until > step {
                break;
            }
            self.retained.pop_first();
            self.records[slot].retained_until = None;
            self.rerank(slot);
        }
        for slot in core::mem::take(&mut self.held) {
            self.let_go(slot);
        }
        Ok(())
    }

    /// A slot in `held` may have been given to another state meanwhile; then nothing is held.
    fn let_go(&mut self, slot: u32) {
        if self.records.holds(slot) && core::mem::take(&mut self.records[slot].held) {
            self.settle(slot);
        }
    }

    fn pin(&mut self, state: Handle) -> Result<(), Error> {
        let slot = self.records.slot(state)?;
        self.records[slot].pins += 1;
        self.keep(slot);
        Ok(())
    }

    /// An eviction stops, unless the memory is being given up already.
    fn keep(&mut self, slot: u32) {
        if !self.is_loading(slot) {
            self.stop(slot);
        }
        self.rerank(slot);
    }

    fn unpin(&mut self, state: Handle) -> Result<(), Error> {
        let slot = self.records.slot(state)?;
        let record = &mut self.records[slot];
        record.pins = record.pins.checked_sub(1).ok_or(Error::NotPinned)?;
        self.rerank(slot);
        Ok(())
    }

    fn retain(&mut self, state: Handle, until_step: u64) -> Result<(), Error> {
        let slot = self.records.slot(state)?;
        let record = &mut self.records[slot];
        let until = (until_step > self.step).then_some(until_step);
        if let Some(before) = core::mem::replace(&mut record.retained_until, until) {
            self.retained.remove(&(before, slot));
        }
        if let Some(until) = until {
            self.retained.insert((until, slot));
            self.keep(slot);
        }
        self.rerank(slot);
        Ok(())
    }

    fn demote(&mut self, state: Handle) -> Result<(), Error> {
        let slot = self.records.slot(state)?;
        self.records[slot].demoted = true;
        self.rerank(slot);
        Ok(())
    }

    /// Forgotten if it can't be done by the time its turn comes.
    fn ask(&mut self, state: Handle) -> Result<(), Error> {
        let slot = self.records.slot(state)?;
        if self.records[slot].is_fetchable() {
            self.asked.push_back(state);
        }
        Ok(())
    }

    fn cancel(&mut self, state: Handle) -> Result<(), Error> {
        let slot = self.records.slot(state)?;
        self.asked.retain(|asked| *asked != state);
        if self.is_loading(slot) && self.records[slot].waiting.is_empty() {
            self.stop(slot);
        }
        Ok(())
    }
}
