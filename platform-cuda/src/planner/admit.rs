//! Who gets the space: a smaller budget first, then demands, then what is fetched ahead (invariants 1, 2, 4,
//! 5). Floor: second.

use super::{Planner, Refusal, Report, Task};
use crate::policy::View;
use alloc::vec::Vec;

/// Space is found for so many demands before the link takes them: one is copied while the next is mapped.
/// Further ones wait, because who is evicted later is chosen with more knowledge.
const DEMANDS_AHEAD: usize = 2;
/// And for more if they are small, up to so many.
const MOST_AHEAD: usize = 32;
/// So many prefetches are under way at once: one is copied while the next is mapped.
const MOST_PREFETCHES: usize = 2;

/// Free bytes, now and when what leaves has left.
#[derive(Clone, Copy)]
struct Room {
    now_bytes: u64,
    coming_bytes: u64,
}

impl Room {
    const fn all(&self) -> u64 {
        self.now_bytes + self.coming_bytes
    }

    /// Sets bytes aside, those that are free now first.
    fn reserve(&mut self, bytes: u64) {
        let now = self.now_bytes.min(bytes);
        self.now_bytes -= now;
        self.coming_bytes -= bytes - now;
    }
}

impl Planner {
    pub(super) fn admit(&mut self) {
        self.shed();
        self.admit_demands();
        if self.queue.is_empty() {
            self.admit_asked();
            self.admit_predicted();
        }
    }

    fn room(&self) -> Room {
        let (committed, leaving) = (self.commands.committed_bytes, self.commands.leaving_bytes);
        let now_bytes = self.limit_bytes.saturating_sub(committed);
        let later = self.limit_bytes.saturating_sub(committed - leaving);
        Room { now_bytes, coming_bytes: later - now_bytes }
    }

    /// After a smaller budget: what is too much goes, as far as it may. What is being fetched ahead goes
    /// first, then what has no memory yet and only waits again, then what is on the device.
    fn shed(&mut self) {
        let staying = self.commands.committed_bytes - self.commands.leaving_bytes;
        let Some(over) = staying.checked_sub(self.limit_bytes).filter(|over| *over > 0) else {
            return;
        };
        let mut stopped = 0;
        let (ahead, unmapped) = (self.commands.prefetches(), self.commands.unmapped_demands());
        for slot in ahead.chain(unmapped).collect::<Vec<_>>() {
            if stopped >= over {
                return;
            }
            stopped += self.records[slot].bytes;
            self.stop(slot);
        }
        let (victims, _) = self.gather(over.saturating_sub(stopped), None);
        for slot in victims {
            self.start_eviction(slot);
        }
    }

    fn admit_demands(&mut self) {
        let mut room = self.room();
        // Who comes later must not take what an earlier one waits for.
        let mut in_order = true;
        let (mut ahead, mut ahead_bytes) =
            self.commands.demands_ahead(|slot| self.records[slot].bytes);
        let enough_bytes =
            self.settings.chunk_bytes.saturating_mul(u64::from(self.settings.chunks_in_flight));
        let turns: Vec<u32> = self.queue.values().take(MOST_AHEAD).copied().collect();
        for (position, slot) in turns.into_iter().enumerate() {
            let bytes = self.records[slot].bytes;
            let is_enough = ahead >= DEMANDS_AHEAD && ahead_bytes >= enough_bytes;
            if ahead >= MOST_AHEAD || is_enough {
                return;
            }
            (ahead, ahead_bytes) = (ahead + 1, ahead_bytes.saturating_add(bytes));
            if bytes > self.limit_bytes {
                let reason = if self.records[slot].retried {
                    Refusal::OutOfMemory
                } else {
                    Refusal::TooLarge
                };
                self.records[slot].retried = false;
                self.refuse_all(slot, reason);
                self.rerank(slot);
                continue;
            }
            if in_order && bytes <= room.now_bytes {
                room.reserve(bytes);
                self.dequeue(slot);
                self.blocked = None;
                self.start_load(slot, Task::Demand);
                continue;
            }
            in_order = false;
            if let Some(short) = bytes.checked_sub(room.all()).filter(|short| *short > 0) {
                let Some(freed) = self.make_room(short) else {
                    if position == 0 || self.blocked.is_none() {
                        self.say_blocked(slot, short);
                    }
                    return;
                };
                room.coming_bytes += freed;
            }
            room.reserve(bytes);
        }
    }

    /// Once for each state that is first in the queue, and only if waiting alone does not help.
    fn say_blocked(&mut self, slot: u32, short_bytes: u64) {
        let state = self.records.handle(slot);
        let first = self.queue.values().next() == Some(&slot);
        if first && self.commands.is_idle() && self.blocked != Some(state) {
            self.blocked = Some(state);
            self.reports.push_back(Report::Blocked { state, short_bytes });
        }
    }

    /// Evicts what is missing, or stops prefetches if that does not suffice. Returns what will be free, or
    /// `None` if all together is not enough; then nothing was done.
    fn make_room(&mut self, short: u64) -> Option<u64> {
        let (victims, freed) = self.gather(short, None);
        let mut freed = freed;
        let mut stopped = Vec::new();
        for slot in self.commands.prefetches() {
            if freed >= short {
                break;
            }
            freed += self.records[slot].bytes;
            stopped.push(slot);
        }
        if freed < short {
            for slot in victims {
                self.rerank(slot);
            }
            return None;
        }
        for slot in stopped {
            self.stop(slot);
        }
        for slot in victims {
            self.start_eviction(slot);
        }
        Some(freed)
    }

    /// Takes victims out of the orders until `short` bytes are together, or until there are no more, or
    /// none that is predicted later than `before`; and puts back what is not needed.
    fn gather(&mut self, short: u64, before: Option<u64>) -> (Vec<u32>, u64) {
        let (mut victims, mut freed) = (Vec::new(), 0);
        while freed < short {
            let Some(slot) = self.next_victim(before) else { break };
            for order in &mut self.victims {
                order.remove(slot);
            }
            self.demoted.remove(&slot);
            freed += self.records[slot].bytes;
            victims.push(slot);
        }
        // The last ones may be so large that earlier ones can stay.
        let mut needed = Vec::new();
        for slot in victims {
            let bytes = self.records[slot].bytes;
            if freed - bytes >= short {
                freed -= bytes;
                self.rerank(slot);
            } else {
                needed.push(slot);
            }
        }
        (needed, freed)
    }

    fn next_victim(&mut self, before: Option<u64>) -> Option<u32> {
        if let Some(slot) = self.demoted.first().copied() {
            return Some(slot);
        }
        let view = self.believed();
        let order = &self.victims[view];
        match before {
            None => self.policy.choose(order, self.step),
            Some(before) => {
                let slot = self.policy.spare(order, self.step)?;
                let record = &self.records[slot];
                let next_use = match self.policy.views()[view] {
                    // Who follows no prediction spares what somebody predicts all the same.
                    View::Hinted | View::Recent | View::Any => record.hinted(),
                    View::OwnGap => record.gap.next_use(),
                };
                (next_use.key() > before).then_some(slot)
            }
        }
    }

    fn admit_asked(&mut self) {
        while let Some(state) = self.asked.front().copied() {
            let slot =
                self.records.slot(state).ok().filter(|slot| self.records[*slot].is_fetchable());
            let Some(slot) = slot else {
                self.asked.pop_front();
                continue;
            };
            // As if it were used in this step: it displaces what is predicted for later steps.
            if !self.fetch(slot, crate::distance::NextUse::at(self.step).key()) {
                return;
            }
            self.asked.pop_front();
        }
    }

    /// Nearest first, as long as the link has time to spare.
    fn admit_predicted(&mut self) {
        if !self.policy.foresees(&self.trust) {
            return;
        }
        let view = self.believed();
        while let Some((key, slot)) = self.wanted[view].top(0) {
            let bytes = self.records[slot].bytes;
            if bytes > self.allowance_bytes || !self.fetch(slot, key) {
                return;
            }
            self.allowance_bytes -= bytes;
        }
    }

    /// Starts a prefetch if it fits, or makes room for it if only what is predicted later has to go for it.
    /// Returns whether it was started.
    fn fetch(&mut self, slot: u32, key: u64) -> bool {
        let (bytes, room) = (self.records[slot].bytes, self.room());
        if self.commands.prefetches().take(MOST_PREFETCHES).count() == MOST_PREFETCHES
            || bytes > self.limit_bytes
        {
            return false;
        }
        if bytes <= room.now_bytes {
            self.start_load(slot, Task::Prefetch);
            return true;
        }
        if let Some(short) = bytes.checked_sub(room.all()).filter(|short| *short > 0) {
            let (victims, freed) = self.gather(short, Some(key));
            for victim in victims {
                if freed >= short { self.start_eviction(victim) } else { self.rerank(victim) }
            }
        }
        false
    }
}
