//! A device in memory that watches its user. Copies and work on queues end late, when a seeded random
//! generator says so while the device is asked whether they have; what must not happen is a panic.

mod device;

pub use device::ModelDevice;

use ace_alloc_cuda::device::{DeviceAddress, DeviceFault, Lane};
use ace_alloc_tests::random::Random;
use std::{
    alloc::Layout,
    collections::{BTreeMap, VecDeque},
    ops::Range,
    ptr::{self, NonNull},
};

pub const GRAIN: u64 = 256;
const CALLER_QUEUES: u64 = 3;

/// A pointer that the tests hand around under a lock.
#[derive(Clone, Copy)]
struct HostPointer(NonNull<u8>);
// SAFETY: used only under the model's lock, for memory that the engine promised to leave alone.
unsafe impl Send for HostPointer {}

impl HostPointer {
    fn range(self, bytes: usize) -> Range<usize> {
        let start = self.0.addr().get();
        start..start + bytes
    }
}

enum Work {
    Copy {
        lane: Lane,
        host: HostPointer,
        device: u64,
        bytes: usize,
    },
    /// Reads a range, expects these contents, and writes others.
    Kernel {
        device: u64,
        expected: Vec<u8>,
        written: Vec<u8>,
    },
}

#[derive(Default)]
struct Queue {
    queued: u64,
    ended: u64,
    work: VecDeque<Work>,
}

struct Block {
    bytes: Vec<u8>,
    mapped_at: Option<u64>,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    Refused,
    OutOfMemory,
    Lost,
}

pub struct Model {
    random: Random,
    memory_bytes: u64,
    blocks: BTreeMap<u64, Block>,
    reserved: BTreeMap<u64, u64>,
    mapped: BTreeMap<u64, (u64, u64)>,
    pinned: BTreeMap<usize, (HostPointer, Layout)>,
    /// Lanes, and queues of the caller's.
    queues: BTreeMap<u64, Queue>,
    next: u64,
    /// How many calls there were that could fail.
    pub calls: u64,
    /// Which call fails, and from which one on all do.
    pub fail_at: Option<(u64, Failure)>,
    /// Calls by this name fail always.
    pub fail_always: Option<(&'static str, Failure)>,
    pub is_lost: bool,
    pub most_created_bytes: u64,
    /// Blocks that were created.
    pub creates: u64,
    pub most_pinned_bytes: usize,
    /// Nothing ends for as long as this is set.
    pub is_stopped: bool,
    pub panics: bool,
}

const fn lane_queue(lane: Lane) -> u64 {
    match lane {
        Lane::In => u64::MAX,
        Lane::Out => u64::MAX - 1,
    }
}

fn overlap<T: PartialOrd>(one: &Range<T>, other: &Range<T>) -> bool {
    one.start < other.end && other.start < one.end
}

impl Model {
    fn new(seed: u64, memory_bytes: u64) -> Self {
        Self {
            random: Random::new(seed),
            memory_bytes,
            blocks: BTreeMap::new(),
            reserved: BTreeMap::new(),
            mapped: BTreeMap::new(),
            pinned: BTreeMap::new(),
            queues: BTreeMap::new(),
            next: 1,
            calls: 0,
            fail_at: None,
            fail_always: None,
            is_lost: false,
            most_created_bytes: 0,
            creates: 0,
            most_pinned_bytes: 0,
            is_stopped: false,
            panics: false,
        }
    }

    pub fn created_bytes(&self) -> u64 {
        self.blocks.values().map(|block| block.bytes.len() as u64).sum()
    }

    pub fn pinned_bytes(&self) -> usize {
        self.pinned.values().map(|(_, layout)| layout.size()).sum()
    }

    pub fn set_memory(&mut self, bytes: u64) {
        self.memory_bytes = bytes;
    }

    /// All that was handed out has come back.
    pub fn assert_empty(&self) {
        assert!(self.pinned.is_empty(), "{} pieces are still pinned", self.pinned.len());
        assert!(self.queues.values().all(|queue| queue.work.is_empty()), "work is under way");
        if !self.is_lost {
            assert!(self.mapped.is_empty(), "mapped: {:?}", self.mapped);
            assert!(self.reserved.is_empty(), "reserved: {:?}", self.reserved);
        }
        assert!(self.blocks.is_empty(), "{} blocks were not destroyed", self.blocks.len());
    }

    /// Whether questions for marks are refused, for ever.
    fn refuses_marks(&self) -> bool {
        self.fail_always == Some(("is_ready", Failure::Refused))
    }

    fn call(&mut self, call: &'static str) -> Result<(), DeviceFault> {
        assert!(!self.panics, "the device panics, as it was told");
        self.calls += 1;
        let now = self.fail_at.filter(|(at, _)| *at == self.calls).map(|(_, failure)| failure);
        let always = self.fail_always.filter(|(name, _)| *name == call).map(|it| it.1);
        match now.or(always) {
            _ if self.is_lost => Err(DeviceFault::Lost { call, code: 700 }),
            None => Ok(()),
            Some(Failure::Lost) => {
                self.lose();
                Err(DeviceFault::Lost { call, code: 700 })
            }
            Some(Failure::OutOfMemory) if matches!(call, "create" | "pin" | "reserve") => {
                Err(DeviceFault::OutOfMemory)
            }
            Some(_) => Err(DeviceFault::Refused { call, code: 1 }),
        }
    }

    /// Some of what is under way still happens; the rest never will.
    pub fn lose(&mut self) {
        for queue in self.queues.keys().copied().collect::<Vec<_>>() {
            while self.random.below(2) == 0 && self.end_one(queue) {}
        }
        self.is_lost = true;
        self.queues.clear();
        self.mapped.clear();
        self.reserved.clear();
        for block in self.blocks.values_mut() {
            block.mapped_at = None;
        }
    }

    /// Ends some of what is under way.
    fn pass(&mut self) {
        if self.is_stopped || self.is_lost {
            return;
        }
        for queue in self.queues.keys().copied().collect::<Vec<_>>() {
            while self.random.below(3) == 0 && self.end_one(queue) {}
        }
    }

    fn end_one(&mut self, queue: u64) -> bool {
        let Some(work) = self.queues.get_mut(&queue).and_then(|queue| queue.work.pop_front())
        else {
            return false;
        };
        match work {
            Work::Copy { lane, host, device, bytes } => self.copy(lane, host, device, bytes),
            Work::Kernel { device, expected, written } => {
                let found = self.read(DeviceAddress(device), expected.len());
                assert_eq!(found, expected, "a kernel found other contents");
                self.write(DeviceAddress(device), &written);
            }
        }
        if let Some(queue) = self.queues.get_mut(&queue) {
            queue.ended += 1;
        }
        true
    }

    fn copy(&mut self, lane: Lane, host: HostPointer, device: u64, bytes: usize) {
        let mut buffer = vec![0; bytes];
        match lane {
            Lane::In => {
                // SAFETY: the engine promised that the host's side holds so many bytes until now.
                unsafe {
                    ptr::copy_nonoverlapping(host.0.as_ptr(), buffer.as_mut_ptr(), bytes);
                }
                self.write(DeviceAddress(device), &buffer);
            }
            Lane::Out => {
                buffer = self.read(DeviceAddress(device), bytes);
                // SAFETY: as above, and nobody else uses it.
                unsafe { ptr::copy_nonoverlapping(buffer.as_ptr(), host.0.as_ptr(), bytes) };
            }
        }
    }

    fn byte(&mut self, at: u64) -> &mut u8 {
        let mapped = self.mapped.range(..=at).next_back().map(|(start, it)| (*start, *it));
        let Some((start, (bytes, block))) = mapped.filter(|(start, it)| at < start + it.0) else {
            panic!("address {at} is touched, and nothing is mapped there");
        };
        assert!(at < start + bytes);
        let block = self.blocks.get_mut(&block).expect("mapped blocks exist");
        &mut block.bytes[(at - start) as usize]
    }

    pub fn read(&mut self, start: DeviceAddress, bytes: usize) -> Vec<u8> {
        (0..bytes as u64).map(|at| *self.byte(start.0 + at)).collect()
    }

    pub fn write(&mut self, start: DeviceAddress, contents: &[u8]) {
        for (at, byte) in (start.0..).zip(contents) {
            *self.byte(at) = *byte;
        }
    }

    /// Queues a kernel that expects contents and writes others.
    pub fn launch(
        &mut self,
        queue: u64,
        start: DeviceAddress,
        expected: Vec<u8>,
        written: Vec<u8>,
    ) {
        assert!(queue < CALLER_QUEUES);
        self.enqueue(queue, Work::Kernel { device: start.0, expected, written });
    }

    /// Whether a kernel that touches this memory has not ended.
    pub fn has_kernel(&self, start: DeviceAddress, bytes: usize) -> bool {
        let range = start.0..start.0 + bytes as u64;
        let mut work = self.queues.values().flat_map(|queue| &queue.work);
        work.any(|work| match work {
            Work::Copy { .. } => false,
            Work::Kernel { device, expected, .. } => {
                overlap(&(*device..*device + expected.len() as u64), &range)
            }
        })
    }

    /// All work of callers ends, as if they waited for it.
    pub fn synchronize(&mut self) {
        for queue in 0..CALLER_QUEUES {
            while self.end_one(queue) {}
        }
    }

    fn enqueue(&mut self, queue: u64, work: Work) {
        let queue = self.queues.entry(queue).or_default();
        queue.queued += 1;
        queue.work.push_back(work);
    }

    fn assert_untouched(&self, device: &Range<u64>, what: &str) {
        for work in self.queues.values().flat_map(|queue| &queue.work) {
            let touched = match work {
                Work::Copy { device, bytes, .. } => *device..*device + *bytes as u64,
                Work::Kernel { device, expected, .. } => *device..*device + expected.len() as u64,
            };
            assert!(!overlap(&touched, device), "{what} while work on it is under way");
        }
    }

    fn is_pinned(&self, host: &Range<usize>) -> bool {
        let piece = self.pinned.range(..=host.start).next_back();
        piece.is_some_and(|(start, (_, layout))| host.end <= start + layout.size())
    }

    fn queue_copy(&mut self, lane: Lane, host: NonNull<u8>, device: u64, bytes: usize) {
        assert!(bytes > 0, "an empty copy");
        let host = HostPointer(host);
        let is_pinned = self.is_pinned(&host.range(bytes));
        let touched = device..device + bytes as u64;
        self.assert_untouched(&touched, "copied");
        self.enqueue(lane_queue(lane), Work::Copy { lane, host, device, bytes });
        if !is_pinned {
            while self.end_one(lane_queue(lane)) {}
        }
    }

    fn mark(&mut self, queue: u64) -> Mark {
        Mark { queue, after: self.queues.entry(queue).or_default().queued }
    }
}

/// After so much work of a queue.
pub struct Mark {
    queue: u64,
    after: u64,
}
