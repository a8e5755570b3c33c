//! Streams, events and the work on them, under a clock. Floor: ground.
//!
//! A stream runs its work in order, and each engine of a device (one for each direction of copies, one for
//! kernels) one piece of work at a time, in the order in which it was queued. So when a piece of work ends
//! is known at once; what it does to memory is done when the clock has come so far.

use crate::code::{INVALID_HANDLE, NOT_READY, Outcome};
use crate::kernels::Launch;
use std::collections::{BTreeMap, HashMap};

/// A part of a device that does one thing at a time.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Engine {
    In,
    Out,
    Compute,
}

/// What a piece of work does when its time has come.
pub enum Work {
    /// The host's side must still be pinned, if it was: the caller does not wait then.
    Copy {
        to: u64,
        from: u64,
        bytes: u64,
        engine: Engine,
        is_pinned: bool,
    },
    Kernel(Launch),
}

/// A stream by its handle; the handles 0, 1 and 2 are each device's default stream.
type StreamKey = (usize, u64);

struct Event {
    is_timed: bool,
    /// When it fires, once it was recorded.
    at_ns: Option<u64>,
}

/// What is queued and until when.
#[derive(Default)]
pub struct Queue {
    streams: HashMap<StreamKey, u64>,
    events: HashMap<u64, Event>,
    engines: HashMap<(usize, Engine), u64>,
    /// By the time of its end, then by its number; with its device.
    pending: BTreeMap<(u64, u64), (usize, Work)>,
    queued: u64,
}

fn is_default(stream: u64) -> bool {
    stream <= 2
}

impl Queue {
    /// A new stream.
    pub fn create_stream(&mut self, device: usize, stream: u64) {
        self.streams.insert((device, stream), 0);
    }

    /// The stream goes; its work goes on.
    pub fn destroy_stream(&mut self, device: usize, stream: u64) -> Outcome {
        self.streams.remove(&(device, stream)).map(|_| ()).ok_or(INVALID_HANDLE)
    }

    /// When all work of a stream so far ends.
    pub fn tail(&mut self, device: usize, stream: u64) -> Result<&mut u64, u32> {
        let key = if is_default(stream) {
            self.streams.entry((device, 0)).or_insert(0);
            (device, 0)
        } else {
            (device, stream)
        };
        self.streams.get_mut(&key).ok_or(INVALID_HANDLE)
    }

    /// Queues work that takes so long; gives the time at which it ends.
    pub fn submit(
        &mut self,
        (device, stream): StreamKey,
        engine: Engine,
        (now_ns, duration_ns): (u64, u64),
        work: Work,
    ) -> Result<u64, u32> {
        let engine_free = self.engines.get(&(device, engine)).copied().unwrap_or(0);
        let tail = self.tail(device, stream)?;
        let end = (*tail).max(engine_free).max(now_ns) + duration_ns;
        *tail = end;
        self.engines.insert((device, engine), end);
        self.queued += 1;
        self.pending.insert((end, self.queued), (device, work));
        Ok(end)
    }

    /// The next piece of work that has ended by now, if any, and its device.
    pub fn next_ended(&mut self, now_ns: u64) -> Option<(usize, Work)> {
        let first = self.pending.first_entry()?;
        (first.key().0 <= now_ns).then(|| first.remove())
    }

    /// Nothing that is queued will ever be done.
    pub fn abandon(&mut self) {
        self.pending.clear();
    }

    /// A new event.
    pub fn create_event(&mut self, event: u64, is_timed: bool) {
        self.events.insert(event, Event { is_timed, at_ns: None });
    }

    /// The event goes.
    pub fn destroy_event(&mut self, event: u64) -> Outcome {
        self.events.remove(&event).map(|_| ()).ok_or(INVALID_HANDLE)
    }

    /// The event fires when all work of the stream so far has ended.
    pub fn record(&mut self, event: u64, device: usize, stream: u64, now_ns: u64) -> Outcome {
        let at = (*self.tail(device, stream)?).max(now_ns);
        self.events.get_mut(&event).ok_or(INVALID_HANDLE)?.at_ns = Some(at);
        Ok(())
    }

    /// When the event fires. One that was never recorded has fired.
    pub fn fires_at(&self, event: u64) -> Result<u64, u32> {
        Ok(self.events.get(&event).ok_or(INVALID_HANDLE)?.at_ns.unwrap_or(0))
    }

    /// Later work of the stream starts after the event.
    pub fn wait(&mut self, device: usize, stream: u64, event: u64) -> Outcome {
        let at = self.fires_at(event)?;
        let tail = self.tail(device, stream)?;
        *tail = (*tail).max(at);
        Ok(())
    }

    /// The time between two events that have fired.
    pub fn elapsed_ns(&self, start: u64, end: u64, now_ns: u64) -> Result<i64, u32> {
        let time = |event| {
            let event = self.events.get(&event).filter(|event| event.is_timed);
            event.and_then(|event| event.at_ns).ok_or(INVALID_HANDLE)
        };
        let (start, end) = (time(start)?, time(end)?);
        if start.max(end) > now_ns {
            return Err(NOT_READY);
        }
        Ok(end as i64 - start as i64)
    }

    /// Streams and events that were not destroyed.
    pub fn live(&self) -> [u64; 2] {
        let streams = self.streams.keys().filter(|(_, stream)| !is_default(*stream)).count();
        [streams as u64, self.events.len() as u64]
    }
}
