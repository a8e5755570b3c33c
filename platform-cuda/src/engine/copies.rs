//! Copies under way: each chunk of the planner's is one job of a lane, cut into pieces that fit a staging
//! buffer if its host memory is not pinned. Floor: first.
//!
//! Within a lane pieces end in the order in which they were queued, so only the first is asked about. A
//! job ends when its last piece has; also one that failed, because a piece before may still be on its way.

use super::{
    memory::{Home, HostAddress, Keep},
    meter::Meter,
};
use crate::{
    device::{Device, DeviceAddress, DeviceFault, Lane},
    planner::Action,
};
use alloc::{collections::VecDeque, vec::Vec};

/// If a device refuses to mark or to answer so often for one piece, or to answer for one use's end, it can't
/// be used any more: chosen.
pub(super) const MOST_REFUSALS: u32 = 1000;

/// A chunk to be copied.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    pub action: Action,
    pub device: DeviceAddress,
    pub host: HostAddress,
    pub bytes: usize,
    pub keep: Keep,
    /// Somebody waits for it.
    pub urgent: bool,
}

#[derive(Debug)]
struct Job {
    order: Order,
    /// Bytes that were given to the device.
    given: usize,
    pieces: usize,
    fault: Option<DeviceFault>,
}

impl Job {
    const fn is_given(&self) -> bool {
        self.fault.is_some() || self.given == self.order.bytes
    }
}

#[derive(Debug)]
struct Piece<M> {
    /// `None` until the device has marked it.
    mark: Option<M>,
    refusals: u32,
    /// Where it is in the job's host memory, and in between.
    host: HostAddress,
    staging: Option<Home>,
    bytes: usize,
}

/// How many copies went which way through host memory.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Routes {
    pub direct: u64,
    pub staged: u64,
    pub pageable: u64,
}

/// A chunk whose copy is over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended {
    pub action: Action,
    pub result: Result<(), DeviceFault>,
}

/// One direction.
#[derive(Debug)]
pub(super) struct Lanes<M> {
    lane: Lane,
    jobs: VecDeque<Job>,
    /// In the order of the queue; the first `jobs[0].pieces` belong to the first job, and so on.
    pieces: VecDeque<Piece<M>>,
    staging: Vec<Home>,
    has_staging: bool,
    pub meter: Meter,
    pub routes: Routes,
}

impl<M> Lanes<M> {
    pub fn new(lane: Lane, staging: Vec<Home>, meter: Meter) -> Self {
        Self {
            lane,
            jobs: VecDeque::new(),
            pieces: VecDeque::new(),
            has_staging: !staging.is_empty(),
            staging,
            meter,
            routes: Routes::default(),
        }
    }

    pub fn is_idle(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Whether it carries something that somebody waits for.
    pub fn is_urgent(&self) -> bool {
        self.jobs.iter().any(|job| job.order.urgent)
    }

    /// # Safety
    /// Both sides hold the bytes and are left alone until [`Self::poll`] says that the job has ended.
    pub unsafe fn push(&mut self, order: Order) {
        self.jobs.push_back(Job { order, given: 0, pieces: 0, fault: None });
    }

    /// Gives the device what it can be given now. Returns whether bytes were moved by the processor: then
    /// there may be more to do, but others had to wait meanwhile.
    ///
    /// # Errors
    /// The device is lost.
    pub fn give<D: Device<Mark = M>>(
        &mut self,
        device: &mut D,
        now_ns: u64,
    ) -> Result<bool, DeviceFault> {
        while let Some(at) = self.jobs.iter().position(|job| !job.is_given()) {
            let order = self.jobs[at].order;
            let given = self.jobs[at].given;
            let left = order.bytes - given;
            // SAFETY: `given` is within the job's memory.
            let host = unsafe { order.host.plus(given) };
            let staging = if order.keep != Keep::Pinned && self.has_staging {
                match self.staging.pop() {
                    Some(staging) => Some(staging),
                    None => return Ok(false),
                }
            } else {
                None
            };
            let bytes = staging.as_ref().map_or(left, |staging| left.min(staging.bytes));
            if self.pieces.is_empty() {
                self.meter.begin(now_ns);
            }
            let by = staging.as_ref().map_or(host, |staging| staging.start);
            let address = order.device.plus(given as u64);
            let answer = match self.lane {
                Lane::In => {
                    if staging.is_some() {
                        // SAFETY: the buffer is free and holds `bytes`; the job's memory is left alone.
                        unsafe { by.copy_from(host, bytes) };
                    }
                    // SAFETY: `push` promised the device's side; the host's side is that memory itself or
                    // a buffer that stays with the piece until its mark is ready.
                    unsafe { device.copy_in(address, by.0, bytes) }
                }
                // SAFETY: as above.
                Lane::Out => unsafe { device.copy_out(by.0, address, bytes) },
            };
            let was_staged = staging.is_some();
            if let Err(fault) = answer {
                self.staging.extend(staging);
                if matches!(fault, DeviceFault::Lost { .. }) {
                    return Err(fault);
                }
                self.jobs[at].fault = Some(fault);
                continue;
            }
            match (was_staged, order.keep) {
                (true, _) => self.routes.staged += 1,
                (false, Keep::Pinned) => self.routes.direct += 1,
                (false, _) => self.routes.pageable += 1,
            }
            self.jobs[at].given += bytes;
            self.jobs[at].pieces += 1;
            self.pieces.push_back(Piece { mark: None, refusals: 0, host, staging, bytes });
            self.mark(device, self.pieces.len() - 1)?;
            if was_staged && self.lane == Lane::In {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A mark after the piece, or later if the device refuses now: any later one stands for it as well.
    fn mark<D: Device<Mark = M>>(&mut self, device: &mut D, at: usize) -> Result<(), DeviceFault> {
        let piece = &mut self.pieces[at];
        if piece.mark.is_none() {
            match device.mark(self.lane) {
                Ok(mark) => piece.mark = Some(mark),
                Err(lost @ DeviceFault::Lost { .. }) => return Err(lost),
                Err(_) => piece.refusals += 1,
            }
        }
        Ok(())
    }

    fn is_first_ready<D: Device<Mark = M>>(&mut self, device: &mut D) -> Result<bool, DeviceFault> {
        if self.pieces.is_empty() {
            return Ok(false);
        }
        self.mark(device, 0)?;
        let piece = &mut self.pieces[0];
        let Some(mark) = &mut piece.mark else {
            if piece.refusals < MOST_REFUSALS {
                return Ok(false);
            }
            return Err(DeviceFault::Lost { call: "mark", code: 0 });
        };
        match device.is_ready(mark) {
            Err(lost @ DeviceFault::Lost { .. }) => Err(lost),
            Err(_) if piece.refusals < MOST_REFUSALS => {
                piece.refusals += 1;
                Ok(false)
            }
            Err(_) => Err(DeviceFault::Lost { call: "is_ready", code: 0 }),
            answer => answer,
        }
    }

    /// Takes in what has arrived. Returns one job that has ended, and whether the processor moved bytes.
    ///
    /// # Errors
    /// The device is lost, or has not answered for so long that it counts as lost.
    pub fn poll<D: Device<Mark = M>>(
        &mut self,
        device: &mut D,
        now_ns: u64,
    ) -> Result<(Option<Ended>, bool), DeviceFault> {
        let mut moved = false;
        let mut arrived = 0;
        while !moved && self.is_first_ready(device)? {
            let Some(mut piece) = self.pieces.pop_front() else { break };
            arrived += piece.bytes as u64;
            if let Some(staging) = piece.staging.take() {
                if self.lane == Lane::Out {
                    // SAFETY: the device is done with the buffer, it holds `bytes`, and the job's memory is
                    // left alone until the job has ended.
                    unsafe { piece.host.copy_from(staging.start, piece.bytes) };
                    moved = true;
                }
                self.staging.push(staging);
            }
            if let Some(job) = self.jobs.iter_mut().find(|job| job.pieces > 0) {
                job.pieces -= 1;
            }
        }
        if arrived > 0 {
            self.meter.arrived(now_ns, arrived);
        }
        let ended = self.jobs.front().is_some_and(|job| job.is_given() && job.pieces == 0);
        let job = if ended { self.jobs.pop_front() } else { None };
        let ended = job
            .map(|job| Ended { action: job.order.action, result: job.fault.map_or(Ok(()), Err) });
        Ok((ended, moved))
    }

    /// No more pieces are given: what is under way ends, the rest never begins.
    pub fn stop(&mut self) {
        for job in &mut self.jobs {
            job.order.bytes = job.given;
        }
    }

    /// Other buffers, of another arena.
    pub fn replace_staging(&mut self, staging: Vec<Home>) {
        self.has_staging = !staging.is_empty();
        self.staging = staging;
    }

    /// The device is lost: nothing under way will end.
    pub fn forget(&mut self) {
        self.jobs.clear();
        self.staging.extend(self.pieces.drain(..).filter_map(|piece| piece.staging));
    }
}
