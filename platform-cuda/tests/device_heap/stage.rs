//! A heap beside its shadow: every live range, and what must be true of each after every step.

use crate::model::Model;
use ace_alloc_cuda::device::DeviceAddress;
use ace_alloc_cuda::heap::{DeviceHeap, HeapError, Settings};
use ace_alloc_tests::random::Random;
use std::collections::BTreeMap;

/// One step of a script. A number picks a block, modulo how many there are.
#[derive(Clone, Copy, Debug)]
pub enum Op {
    /// Bytes and alignment.
    Allocate(u64, u64),
    Free(usize),
    Trim(u64),
}

const KIB: u64 = 1 << 10;

impl Op {
    /// Sizes as serving programs have them: small tables, pages of keys and values, adapters' matrices.
    fn bytes(random: &mut Random) -> u64 {
        let most = match random.below(8) {
            0..3 => 4 * KIB,
            3..5 => 64 * KIB,
            5 => return (16 * KIB) << random.below(6),
            6 => 512 * KIB,
            _ => 8192 * KIB,
        };
        1 + random.draw() % most
    }

    pub fn script(seed: u64, steps: usize) -> Vec<Self> {
        let mut random = Random::new(seed);
        let mut op = |step: usize| {
            // Waves: for a while more comes than goes, then the other way round.
            let growing = (step / 200).is_multiple_of(2);
            match random.below(100) {
                0 => Self::Trim([0, 0, 1 << 20, 64 << 20][random.below(4)]),
                chance if chance < if growing { 60 } else { 40 } => {
                    let shift = if random.below(4) == 0 { random.below(22) } else { 0 };
                    Self::Allocate(Self::bytes(&mut random), 1 << shift)
                }
                _ => Self::Free(random.below(1 << 20)),
            }
        };
        (0..steps).map(&mut op).collect()
    }
}

pub struct Stage {
    pub model: Model,
    pub heap: DeviceHeap<Model>,
    pub settings: Settings,
    /// Whether a failure of the device is an answer that must be put up with.
    pub faults_are_fine: bool,
    pub refusals: u64,
    live: Vec<(DeviceAddress, u64)>,
    ends: BTreeMap<u64, u64>,
}

impl Stage {
    pub fn new(granularity: u64, settings: Settings) -> Self {
        let model = Model::new(granularity, 1 << 36);
        let heap = DeviceHeap::new(model.clone(), settings).expect("good settings");
        let (live, ends) = (Vec::new(), BTreeMap::new());
        Self { model, heap, settings, faults_are_fine: false, refusals: 0, live, ends }
    }

    pub fn play(&mut self, script: &[Op]) {
        for (step, op) in script.iter().enumerate() {
            self.step(*op);
            if step % 101 == 0 {
                self.check();
            }
        }
        self.check();
    }

    pub fn step(&mut self, op: Op) {
        match op {
            Op::Allocate(bytes, align) => self.allocate(bytes, align),
            Op::Free(_) if self.live.is_empty() => {}
            Op::Free(number) => {
                let (address, bytes) = self.live.swap_remove(number % self.live.len());
                self.ends.remove(&address.0);
                assert!(self.model.is_mapped(address, bytes), "memory of a live block went");
                // SAFETY: there is no device, so nothing works on it.
                unsafe { self.heap.free(address) }.expect("a live block");
            }
            Op::Trim(keep) => drop(self.heap.trim(keep)),
        }
    }

    fn allocate(&mut self, bytes: u64, align: u64) {
        let address = match self.heap.allocate(bytes, align) {
            Ok(address) => address,
            Err(HeapError::OutOfMemory { bytes: told }) => {
                assert_eq!(told, bytes);
                return self.refusals += 1;
            }
            Err(HeapError::Device(fault)) if self.faults_are_fine => {
                assert_eq!(fault, self.model.account().answer);
                return self.refusals += 1;
            }
            Err(other) => panic!("{other} for {bytes} bytes"),
        };
        let align = align.max(self.settings.min_align);
        assert!(address.0.is_multiple_of(align), "{address:x?} is not aligned to {align}");
        let usable = self.heap.size_of(address).expect("a live block");
        assert!(usable >= bytes && self.heap.owns(address));
        assert!(self.model.is_mapped(address, usable), "{usable} bytes without memory");
        let end = address.0 + usable;
        if let Some((other, other_end)) = self.ends.range(..end).next_back() {
            assert!(*other_end <= address.0, "{address:x?} overlaps the block at {other:x}");
        }
        self.ends.insert(address.0, end);
        self.live.push((address, usable));
    }

    /// What holds at any time.
    pub fn check(&self) {
        let ledger = self.heap.audit().unwrap_or_else(|imbalance| panic!("{imbalance}"));
        let stats = self.heap.stats();
        let live: u64 = self.live.iter().map(|(_, bytes)| bytes).sum();
        assert_eq!(ledger.live_blocks(), self.live.len() as u64);
        assert_eq!((stats.blocks, stats.live_bytes), (self.live.len() as u64, live));
        let account = self.model.account();
        let mapped: u64 = account.mapped.values().sum();
        assert_eq!((stats.mapped_bytes, stats.peak_mapped_bytes), (mapped, account.peak));
        assert_eq!(account.created, mapped, "memory was created and not mapped");
        assert!(mapped >= live && stats.peak_live_bytes >= live);
        assert!(account.peak <= self.settings.limit_bytes, "beyond the limit");
    }

    pub fn free_all(&mut self) {
        while !self.live.is_empty() {
            self.step(Op::Free(0));
        }
    }

    /// Frees everything, whether there is memory behind it still or not.
    pub fn abandon(&mut self) {
        self.ends.clear();
        for (address, _) in self.live.drain(..) {
            // SAFETY: there is no device, so nothing works on it.
            unsafe { self.heap.free(address) }.expect("a live block");
        }
    }

    /// Frees everything; then nothing must be left, neither memory nor addresses.
    pub fn finish(mut self) {
        self.free_all();
        self.check();
        self.heap.trim(0);
        assert_eq!(self.model.account().created, 0, "memory is left");
        let Self { heap, model, .. } = self;
        drop(heap);
        assert!(model.account().reserved.is_empty(), "addresses are left");
    }
}
