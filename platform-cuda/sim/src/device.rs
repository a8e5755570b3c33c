//! `SimDevice`: a virtual clock, a link with a lane in each direction, and a processor.

use ace_alloc_cuda::planner::{Action, Handle, What};
use std::{cmp::Reverse, collections::BinaryHeap};

/// What is assumed of a machine. None of it was measured.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    /// Memory for states.
    pub memory_bytes: u64,
    /// From the host to the device.
    pub inward_bytes_per_second: u64,
    /// From the device to the host.
    pub outward_bytes_per_second: u64,
    /// One request.
    pub compute_ns: u64,
    /// Mapping or unmapping a state.
    pub map_ns: u64,
}

impl Machine {
    /// Copying takes longer than computing.
    #[must_use]
    pub const fn link_bound(memory_bytes: u64) -> Self {
        Self {
            memory_bytes,
            inward_bytes_per_second: 25_000_000_000,
            outward_bytes_per_second: 25_000_000_000,
            compute_ns: 4_000_000,
            map_ns: 20_000,
        }
    }

    /// Computing takes longer than copying.
    #[must_use]
    pub const fn compute_bound(memory_bytes: u64) -> Self {
        let machine = Self::link_bound(memory_bytes);
        let speed = 50_000_000_000;
        Self {
            inward_bytes_per_second: speed,
            outward_bytes_per_second: speed,
            compute_ns: 12_000_000,
            ..machine
        }
    }

    /// How long a copy to the device takes.
    #[must_use]
    pub const fn copies_in_ns(&self, bytes: u64) -> u64 {
        copy_ns(bytes, self.inward_bytes_per_second)
    }

    /// How long a copy from the device takes.
    #[must_use]
    pub const fn copies_out_ns(&self, bytes: u64) -> u64 {
        copy_ns(bytes, self.outward_bytes_per_second)
    }

    /// Copies from memory that is not page-locked, as a naive swap makes them: four fifths of the speed.
    #[must_use]
    pub const fn pageable(self) -> Self {
        Self {
            inward_bytes_per_second: self.inward_bytes_per_second / 5 * 4,
            outward_bytes_per_second: self.outward_bytes_per_second / 5 * 4,
            ..self
        }
    }
}

const fn copy_ns(bytes: u64, bytes_per_second: u64) -> u64 {
    // Rounded up, so that the parts of a copy never take less than the whole.
    (bytes as u128 * 1_000_000_000).div_ceil(bytes_per_second as u128) as u64
}

/// What has come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// An action of the planner's.
    Applied(Action),
    /// A request.
    Computed(Handle),
}

/// See the module's documentation.
#[derive(Debug)]
pub struct SimDevice {
    machine: Machine,
    now_ns: u64,
    inward_free_ns: u64,
    outward_free_ns: u64,
    processor_free_ns: u64,
    /// What is under way, by the time of its end and its number.
    ends: BinaryHeap<Reverse<(u64, usize)>>,
    begun: Vec<Done>,
}

impl SimDevice {
    /// Nothing is under way at time 0.
    #[must_use]
    pub const fn new(machine: Machine) -> Self {
        Self {
            machine,
            now_ns: 0,
            inward_free_ns: 0,
            outward_free_ns: 0,
            processor_free_ns: 0,
            ends: BinaryHeap::new(),
            begun: Vec::new(),
        }
    }

    /// The time.
    #[must_use]
    pub const fn now_ns(&self) -> u64 {
        self.now_ns
    }

    /// Whether the processor has nothing to do.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        self.processor_free_ns <= self.now_ns
    }

    fn end_at(&mut self, time_ns: u64, done: Done) {
        self.ends.push(Reverse((time_ns, self.begun.len())));
        self.begun.push(done);
    }

    /// Begins an action. Copies in one direction follow one another. Returns how long it takes by itself.
    pub fn apply(&mut self, action: Action) -> u64 {
        let machine = self.machine;
        let (lane, takes_ns) = match action.what {
            What::Map { .. } | What::Unmap { .. } => {
                self.end_at(self.now_ns + machine.map_ns, Done::Applied(action));
                return machine.map_ns;
            }
            What::CopyIn(span) => (&mut self.inward_free_ns, machine.copies_in_ns(span.bytes)),
            What::CopyOut(span) => (&mut self.outward_free_ns, machine.copies_out_ns(span.bytes)),
        };
        *lane = self.now_ns.max(*lane) + takes_ns;
        let end_ns = *lane;
        self.end_at(end_ns, Done::Applied(action));
        takes_ns
    }

    /// Begins a request; the processor is idle.
    pub fn compute(&mut self, state: Handle) {
        self.processor_free_ns = self.now_ns + self.machine.compute_ns;
        self.end_at(self.processor_free_ns, Done::Computed(state));
    }

    /// Goes on to the next end; `None` if nothing is under way.
    pub fn next_end(&mut self) -> Option<Done> {
        let Reverse((time_ns, number)) = self.ends.pop()?;
        self.now_ns = time_ns;
        Some(self.begun[number])
    }
}
