//! A turn: what the device did is taken in, and it is given what the planner wants next. Floor: second.

use super::{
    EngineError,
    copies::{Ended, MOST_REFUSALS, Order},
    host::{Host, Pace},
    memory::Keep,
};
use crate::{
    device::{Device, DeviceFault, Lane},
    planner::{Action, Event, Fault, Span, What},
};

/// So many actions a turn, so that callers get their turns as well: chosen.
const MOST_ACTIONS: usize = 8;
/// When nothing could go on for so many turns, because what should go can't be written back, somebody is
/// refused: chosen.
const MOST_STALLS: u32 = 16;

impl<D: Device> Host<D> {
    /// Goes on: takes in what the device has done until now and gives it what comes next. `now_ns` is any
    /// clock that never goes back.
    pub fn turn(&mut self, now_ns: u64) -> Pace {
        self.now_ns = now_ns;
        self.window.pass(now_ns, self.inward.is_urgent());
        if self.is_lost {
            self.release_gone();
            return Pace::Idle;
        }
        match self.work() {
            Ok(true) => Pace::Again,
            Ok(false) => self.pace(),
            Err(fault) => {
                self.lose(fault);
                Pace::Again
            }
        }
    }

    fn pace(&mut self) -> Pace {
        let busy = !self.inward.is_idle() || !self.outward.is_idle() || !self.ends.is_empty();
        if busy || (self.stalls > 0 && !self.is_closing) {
            return Pace::Soon;
        }
        let left_ns = self.settings.window_ns.saturating_sub(self.window.length_ns());
        if self.restless && left_ns > 0 && !self.is_closing {
            return Pace::After(left_ns);
        }
        Pace::Idle
    }

    /// Returns whether there is more to do at once.
    fn work(&mut self) -> Result<bool, DeviceFault> {
        let mut more = self.poll_copies()?;
        self.poll_ends()?;
        if self.is_closing {
            // The planner is not asked any more. No copy begins, and who is unregistered is not in use: once
            // the lanes are idle nothing touches what is given up.
            if self.inward.is_idle() && self.outward.is_idle() {
                self.release_gone();
            }
            return Ok(more);
        }
        if self.window.length_ns() >= self.settings.window_ns {
            self.tell_spare();
            self.restless = false;
        }
        more |= self.act()?;
        self.release_gone();
        if let Some(device) = &mut self.device {
            more |= self.inward.give(device, self.now_ns)?;
            more |= self.outward.give(device, self.now_ns)?;
        }
        if !more {
            self.see_stall();
        }
        Ok(more)
    }

    fn poll_copies(&mut self) -> Result<bool, DeviceFault> {
        Ok(self.poll_lane(Lane::In)? | self.poll_lane(Lane::Out)?)
    }

    /// Returns whether the processor moved bytes; then there may be more to take in.
    fn poll_lane(&mut self, lane: Lane) -> Result<bool, DeviceFault> {
        loop {
            let copies = match lane {
                Lane::In => &mut self.inward,
                Lane::Out => &mut self.outward,
            };
            let Some(device) = &mut self.device else { return Ok(false) };
            let (ended, moved) = copies.poll(device, self.now_ns)?;
            if let Some(Ended { action, result }) = ended {
                self.answer(action, result.map_err(|fault| (fault, Fault::Other)));
            } else if !moved {
                return Ok(false);
            }
            if moved {
                return Ok(true);
            }
        }
    }

    fn poll_ends(&mut self) -> Result<(), DeviceFault> {
        let mut at = 0;
        while at < self.ends.len() {
            let Some(device) = &mut self.device else { return Ok(()) };
            let end = &mut self.ends[at];
            match device.is_ready(&mut end.mark) {
                Ok(true) => {
                    let end = self.ends.swap_remove(at);
                    self.progress += 1;
                    self.finish(end.group);
                    self.settle();
                }
                Ok(false) => at += 1,
                Err(lost @ DeviceFault::Lost { .. }) => return Err(lost),
                Err(_) if end.refusals < MOST_REFUSALS => {
                    end.refusals += 1;
                    at += 1;
                }
                Err(DeviceFault::Refused { call, code }) => {
                    return Err(DeviceFault::Lost { call, code });
                }
                Err(DeviceFault::OutOfMemory) => {
                    return Err(DeviceFault::Lost { call: "is_ready", code: 0 });
                }
            }
        }
        Ok(())
    }

    fn act(&mut self) -> Result<bool, DeviceFault> {
        if let Some(device) = &mut self.device {
            self.pages.set_limit(device, self.planner.limit_bytes());
        }
        for _ in 0..MOST_ACTIONS {
            let action = self.planner.decide();
            // A decision may refuse somebody.
            self.go_on();
            let Some(action) = action else { return Ok(false) };
            self.apply(action)?;
        }
        Ok(true)
    }

    fn apply(&mut self, action: Action) -> Result<(), DeviceFault> {
        let (entry, device) = (self.entries.get_mut(&action.state), self.device.as_mut());
        let Some((entry, device)) = entry.zip(device) else {
            // The planner releases a state after its last action, so its entry is still here.
            return Err(DeviceFault::Lost { call: "apply", code: 0 });
        };
        let pages = &mut self.pages;
        let answer = match action.what {
            What::Map { .. } => pages.map(device, &mut entry.range).map(drop),
            // SAFETY: the planner unmaps when no use and no copy of the state is under way, and a use is
            // under way until its mark is ready.
            What::Unmap { .. } => unsafe { pages.unmap(device, &mut entry.range) },
            What::CopyIn(span) | What::CopyOut(span) => {
                if !self.copy(action, span) {
                    self.answer(action, Ok(()));
                }
                return Ok(());
            }
        };
        match (answer, action.what) {
            (Err(lost @ DeviceFault::Lost { .. }), _) => return Err(lost),
            (Err(fault @ DeviceFault::OutOfMemory), What::Map { .. }) => {
                let free_bytes = pages.free_bytes(device);
                self.answer(action, Err((fault, Fault::OutOfMemory { free_bytes })));
            }
            (Err(fault), what) => {
                if let What::Unmap { bytes } = what {
                    self.stranded_bytes += bytes;
                }
                self.answer(action, Err((fault, Fault::Other)));
            }
            (Ok(()), _) => self.answer(action, Ok(())),
        }
        Ok(())
    }

    /// Returns `false` if there is nothing to copy: the planner counts in whole grains, and the end of the
    /// last one is nobody's.
    fn copy(&mut self, action: Action, span: Span) -> bool {
        let Some(entry) = self.entries.get(&action.state) else { return false };
        let bytes = span.bytes.min(entry.bytes.saturating_sub(span.offset_bytes));
        let host = usize::try_from(span.offset_bytes).ok().zip(usize::try_from(bytes).ok());
        let Some((offset, bytes)) = host.filter(|(_, bytes)| *bytes > 0) else { return false };
        let host = entry.home.at(offset, bytes);
        let Some((host, start)) = host.zip(entry.range.start) else { return false };
        let order = Order {
            action,
            device: start.plus(span.offset_bytes),
            host,
            bytes,
            keep: entry.home.keep,
            urgent: !entry.waiting.is_empty(),
        };
        let inward = matches!(action.what, What::CopyIn(_));
        let lane = if inward { &mut self.inward } else { &mut self.outward };
        // SAFETY: the planner copies between mapping and unmapping; of one state in one direction only, no
        // byte twice, and while nobody uses it. The host copy is written by nobody else meanwhile: see
        // `write_host`, `read_host` and `Borrowed::new`.
        unsafe { lane.push(order) };
        true
    }

    fn answer(&mut self, action: Action, result: Result<(), (DeviceFault, Fault)>) {
        if self.is_closing {
            return;
        }
        if let Err((fault, _)) = result {
            self.failures += 1;
            if let Some(entry) = self.entries.get_mut(&action.state) {
                entry.fault = Some(fault);
            }
        } else if !matches!(action.what, What::CopyOut(_)) {
            // A write-back that gets a little farther each time is no way out.
            self.stalls = 0;
        }
        self.progress += 1;
        let result = result.map_err(|(_, fault)| fault);
        let taken = self.planner.observe(Event::Applied { action, result });
        debug_assert_eq!(taken, Ok(()), "each action is answered once");
        self.settle();
    }

    /// A write-back that failed is tried again at the next step. If somebody waits for its memory, and the
    /// next step may wait for that somebody, the present step is told once more.
    fn see_stall(&mut self) {
        let Some(group) = self.uses.loading.last().copied() else {
            self.stalls = 0;
            return;
        };
        if !self.inward.is_idle() || !self.outward.is_idle() {
            return;
        }
        self.stalls += 1;
        if self.stalls > MOST_STALLS {
            self.stalls = 0;
            self.refuse(group, EngineError::CopyFailed);
        }
        let _ = self.planner.observe(Event::Step(self.step));
        self.settle();
    }

    /// Gives up the memory of states that were unregistered and have left the device, or leave it now.
    fn release_gone(&mut self) {
        for state in core::mem::take(&mut self.gone) {
            let Some(mut entry) = self.entries.remove(&state) else { continue };
            if entry.claims > 0 {
                self.uses.claimed_bytes -= entry.device_bytes;
            }
            if let Some(device) = self.device.as_mut().filter(|_| !self.is_lost) {
                // SAFETY: the planner has released it, or the host is closing and its lanes are idle: no use
                // and no copy is under way.
                let answer = unsafe { self.pages.release(device, &mut entry.range) };
                match answer {
                    Ok(()) => {}
                    Err(fault @ DeviceFault::Lost { .. }) => {
                        self.pages.forget(device, &mut entry.range);
                        self.lose(fault);
                    }
                    Err(_) => self.stuck.push(entry.range),
                }
            }
            if entry.home.keep == Keep::Pinned {
                self.arena.give(&entry.home);
            }
        }
    }
}
