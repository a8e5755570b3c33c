//! The loss of a device and its return, and the end of all. Floor: second.

use super::{
    EngineError,
    host::{Host, staging},
    memory::{Home, Keep},
};
use crate::{
    device::{Device, DeviceFault},
    planner::Event,
};
use alloc::vec::Vec;

/// Between two looks at what is under way when a host is dropped.
const LOOK: std::time::Duration = std::time::Duration::from_micros(50);

impl<D: Device> Host<D> {
    /// Everything on the device is gone. Host memory, pinned or not, stays: it belongs to the old device
    /// until there is a new one.
    pub(super) fn lose(&mut self, fault: DeviceFault) {
        if core::mem::replace(&mut self.is_lost, true) {
            return;
        }
        debug_assert_ne!(fault, DeviceFault::OutOfMemory);
        self.inward.forget();
        self.outward.forget();
        if let Some(device) = &mut self.device {
            for entry in self.entries.values_mut() {
                self.pages.forget(device, &mut entry.range);
            }
            for mut range in self.stuck.drain(..) {
                self.pages.forget(device, &mut range);
            }
            self.pages.empty(device);
        }
        (self.stranded_bytes, self.stalls) = (0, 0);
        let _ = self.planner.observe(Event::DeviceLost);
        self.settle();
        self.refuse_waiting(EngineError::DeviceLost);
        // What ran on the device runs no more.
        for end in core::mem::take(&mut self.ends) {
            self.finish(end.group);
        }
        self.settle();
    }

    /// Whether the device is lost.
    #[must_use]
    pub const fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// Goes on with another device, empty, in place of a lost one. Device addresses change. Host copies that
    /// were pinned are copied, because they were the old device's. The old one is dropped before `open`
    /// opens the other, so that it may be the same hardware; if `open` fails, try again later.
    ///
    /// # Errors
    /// [`EngineError::NotLost`]; [`EngineError::OtherGrain`]; [`EngineError::OutOfHostMemory`];
    /// [`EngineError::InUse`]: a state is just being registered; the other device can't be used. The engine
    /// is without a device as before, and has all host copies.
    pub fn restore(
        &mut self,
        open: impl FnOnce() -> Result<D, DeviceFault>,
    ) -> Result<(), EngineError> {
        if !self.is_lost {
            return Err(EngineError::NotLost);
        }
        if self.homes_out > 0 {
            return Err(EngineError::InUse);
        }
        self.leave_device()?;
        let mut device = open()?;
        if device.granularity() != self.pages.granularity() {
            return Err(EngineError::OtherGrain);
        }
        device.attach()?;
        self.total_bytes = device.memory()?.total_bytes;
        self.is_lost = false;
        let moved = self.move_in(&mut device);
        self.device = Some(device);
        let budget_bytes = self.settings.budget_bytes;
        let _ = self.planner.observe(Event::DeviceRestored { budget_bytes });
        self.settle();
        moved.map_err(|fault| {
            self.lose(fault);
            EngineError::DeviceLost
        })
    }

    /// Nothing is left in what the lost device pinned, nor of the device.
    fn leave_device(&mut self) -> Result<(), EngineError> {
        for entry in self.entries.values_mut().filter(|entry| entry.home.keep == Keep::Pinned) {
            let home = Home::on_heap(entry.home.bytes)?;
            // SAFETY: both hold so many bytes; the device that copied from and to the old one is lost.
            unsafe { home.start.copy_from(entry.home.start, home.bytes) };
            self.arena.give(&entry.home);
            entry.home = home;
        }
        self.inward.replace_staging(Vec::new());
        self.outward.replace_staging(Vec::new());
        if let Some(mut device) = self.device.take() {
            // SAFETY: no state and no staging buffer lies there any more.
            unsafe { self.arena.empty(&mut device) };
        }
        Ok(())
    }

    /// Pins what there is room for.
    fn move_in(&mut self, device: &mut D) -> Result<(), DeviceFault> {
        let (inward, outward) = staging(device, &mut self.arena, &self.settings)?;
        self.inward.replace_staging(inward);
        self.outward.replace_staging(outward);
        for entry in self.entries.values_mut().filter(|entry| entry.home.keep == Keep::Heap) {
            let Some(home) = self.arena.take(device, entry.home.bytes)? else { continue };
            // SAFETY: both hold so many bytes, and no copy is under way.
            unsafe { home.start.copy_from(entry.home.start, home.bytes) };
            entry.home = home;
        }
        Ok(())
    }

    /// Begins the end: who waits is refused, and no copy begins. Go on with [`Self::turn`] until
    /// [`Self::is_quiet`]; then drop it.
    pub fn close(&mut self) {
        if core::mem::replace(&mut self.is_closing, true) {
            return;
        }
        self.refuse_waiting(EngineError::Stopped);
        self.settle();
        self.inward.stop();
        self.outward.stop();
        // Who was unregistered before waits for actions that are not decided any more.
        let left = self.entries.keys().filter(|state| self.planner.place(**state).is_err());
        self.gone.extend(left);
    }

    /// Whether no use and no copy is under way, and no state is being registered.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        let idle = self.inward.is_idle() && self.outward.is_idle();
        idle && self.uses.in_use() == 0 && self.homes_out == 0
    }

    fn wait_for_copies(&mut self) {
        self.close();
        while !(self.is_lost
            || self.inward.is_idle() && self.outward.is_idle() && self.ends.is_empty())
        {
            self.turn(self.now_ns);
            std::thread::sleep(LOOK);
        }
    }
}

impl<D: Device> Drop for Host<D> {
    fn drop(&mut self) {
        self.wait_for_copies();
        let Some(mut device) = self.device.take() else { return };
        let ranges = self.entries.values_mut().map(|entry| &mut entry.range);
        for range in ranges.chain(&mut self.stuck) {
            // SAFETY: no copy is under way, and who still holds a use gives it up with the host.
            let answer = unsafe { self.pages.release(&mut device, range) };
            if let Err(DeviceFault::Lost { .. }) = answer {
                self.pages.forget(&mut device, range);
            }
        }
        self.pages.empty(&mut device);
        // SAFETY: no copy is under way, and host copies are given up with the states.
        unsafe { self.arena.empty(&mut device) };
    }
}
