//! The host thread: turns the host while there is something to do, and sleeps otherwise. Floor: third.
//!
//! Calls lock the host, change what is wanted and wake the thread; what is there already is granted without
//! it. Only the thread touches the device: a call that needs it goes there as an errand.

use super::{
    EngineError,
    host::{Host, Pace},
    uses::GroupId,
};
use crate::device::Device;
use std::{
    boxed::Box,
    collections::{BTreeMap, VecDeque},
    sync::{Condvar, Mutex, MutexGuard, PoisonError, mpsc},
    thread::{self, Thread},
    time::{Duration, Instant},
};

/// Between two looks at a device that is busy: at first, and when nothing ends for some time. A chunk of
/// 16 MiB takes more than 200 microseconds on any link of today. Chosen.
const LOOKS: (Duration, Duration) = (Duration::from_micros(20), Duration::from_micros(160));

/// Something for the thread to do with the host.
type Errand<D> = Box<dyn FnOnce(&mut Host<D>) + Send>;

/// What the thread and its callers share.
pub(super) struct Desk<D: Device> {
    /// `None` when it is all over.
    pub host: Option<Host<D>>,
    errands: VecDeque<Errand<D>>,
    /// Who sleeps until a group is granted or refused.
    pub waiting: BTreeMap<GroupId, Thread>,
    pub stopping: bool,
}

impl<D: Device> Desk<D> {
    /// Wakes those for whom there is news.
    fn tell(&mut self) {
        for group in self.host.iter_mut().flat_map(Host::take_news) {
            if let Some(thread) = self.waiting.remove(&group) {
                thread.unpark();
            }
        }
    }
}

pub(super) struct Shared<D: Device> {
    desk: Mutex<Desk<D>>,
    /// There is something for the thread to do.
    work: Condvar,
    /// A state was given up.
    released: Condvar,
}

impl<D: Device> Shared<D> {
    pub fn new(host: Host<D>) -> Self {
        let desk = Desk {
            host: Some(host),
            errands: VecDeque::new(),
            waiting: BTreeMap::new(),
            stopping: false,
        };
        Self { desk: Mutex::new(desk), work: Condvar::new(), released: Condvar::new() }
    }

    /// The desk, with the host on it.
    fn lock(&self) -> Result<MutexGuard<'_, Desk<D>>, EngineError> {
        let desk = self.desk.lock().map_err(|_| EngineError::Died)?;
        if desk.host.is_none() { Err(EngineError::Stopped) } else { Ok(desk) }
    }

    /// Does something that does not touch the device.
    pub fn with_desk<R>(
        &self,
        call: impl FnOnce(&mut Desk<D>) -> Result<R, EngineError>,
    ) -> Result<R, EngineError> {
        let mut desk = self.lock()?;
        let answer = call(&mut desk);
        desk.tell();
        drop(desk);
        self.work.notify_one();
        answer
    }

    /// As [`Self::with_desk`], with the host.
    pub fn with<R>(
        &self,
        call: impl FnOnce(&mut Host<D>) -> Result<R, EngineError>,
    ) -> Result<R, EngineError> {
        self.with_desk(|desk| call(desk.host.as_mut().ok_or(EngineError::Stopped)?))
    }

    /// Has something done that may touch the device, and waits for it.
    pub fn errand<R: Send + 'static>(
        &self,
        call: impl FnOnce(&mut Host<D>) -> Result<R, EngineError> + Send + 'static,
    ) -> Result<R, EngineError> {
        let (reply, answer) = mpsc::sync_channel(1);
        self.with_desk(|desk| {
            desk.errands.push_back(Box::new(move |host| {
                // Who asked waits below, unless it has panicked.
                let _ = reply.send(call(host));
            }));
            Ok(())
        })?;
        match answer.recv() {
            Ok(answer) => answer,
            // The errand was dropped undone.
            Err(_) => Err(self.lock().map_or_else(|error| error, |_| EngineError::Stopped)),
        }
    }

    /// Waits until a condition holds that follows from a state's release, or until it is all over.
    pub fn wait_released(&self, done: impl Fn(&Host<D>) -> bool) -> Result<(), EngineError> {
        let mut desk = self.lock()?;
        while desk.host.as_ref().is_some_and(|host| !done(host)) {
            desk = self.released.wait(desk).map_err(|_| EngineError::Died)?;
        }
        Ok(())
    }

    /// What the thread does, until the host was stopped and all uses are over.
    pub fn run(&self) {
        // Dropped last, also when something panics.
        let _alarm = Alarm(self);
        let begun = Instant::now();
        let (mut look, mut progress) = (LOOKS.0, 0);
        let Ok(mut desk) = self.desk.lock() else { return };
        loop {
            let pace = {
                let desk = &mut *desk;
                let Some(host) = desk.host.as_mut() else { return };
                while let Some(errand) = desk.errands.pop_front() {
                    errand(host);
                }
                let states = host.states();
                let pace = host.turn(u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX));
                if host.states() != states {
                    self.released.notify_all();
                }
                let before = core::mem::replace(&mut progress, host.progress());
                look = if before == progress { (look * 2).min(LOOKS.1) } else { LOOKS.0 };
                if desk.stopping && host.is_quiet() {
                    desk.host = None;
                    return;
                }
                desk.tell();
                pace
            };
            let rested = match pace {
                Pace::Again => {
                    drop(desk);
                    thread::yield_now();
                    self.desk.lock().map_err(drop)
                }
                Pace::Soon => self.rest(desk, look),
                Pace::After(ns) => self.rest(desk, Duration::from_nanos(ns)),
                Pace::Idle => self.work.wait(desk).map_err(drop),
            };
            let Ok(again) = rested else { return };
            desk = again;
        }
    }

    fn rest<'a>(
        &self,
        desk: MutexGuard<'a, Desk<D>>,
        time: Duration,
    ) -> Result<MutexGuard<'a, Desk<D>>, ()> {
        self.work.wait_timeout(desk, time).map(|(desk, _)| desk).map_err(drop)
    }
}

/// Wakes everybody when the thread ends, so that nobody waits for it for ever.
struct Alarm<'a, D: Device>(&'a Shared<D>);

impl<D: Device> Drop for Alarm<'_, D> {
    fn drop(&mut self) {
        let died = self.0.desk.is_poisoned();
        let mut desk = self.0.desk.lock().unwrap_or_else(PoisonError::into_inner);
        if died {
            // Nobody knows what is under way on the device: what the host has there is left as it is.
            core::mem::forget(desk.host.take());
        }
        desk.errands.clear();
        for thread in core::mem::take(&mut desk.waiting).into_values() {
            thread.unpark();
        }
        self.0.released.notify_all();
    }
}
