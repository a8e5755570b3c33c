//! Blocks given back before the device is done with them: each waits for a mark. Floor: adapter.

use crate::device::DeviceAddress;
use parking_lot::Mutex;
use std::{
    collections::{HashSet, VecDeque},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    vec::Vec,
};

/// See the module's documentation. In the order of their coming.
pub(super) struct Late<M> {
    waiting: Mutex<Waiting<M>>,
    // Spares the lock where nothing waits. Written under it.
    count: AtomicUsize,
}

struct Waiting<M> {
    blocks: VecDeque<(DeviceAddress, M)>,
    addresses: HashSet<DeviceAddress>,
}

impl<M> Late<M> {
    pub(super) fn new() -> Self {
        let waiting = Waiting { blocks: VecDeque::new(), addresses: HashSet::new() };
        Self { waiting: Mutex::new(waiting), count: AtomicUsize::new(0) }
    }

    /// Blocks that wait.
    pub(super) fn count(&self) -> usize {
        self.count.load(Relaxed)
    }

    /// Whether this block does.
    pub(super) fn holds(&self, address: DeviceAddress) -> bool {
        self.count() > 0 && self.waiting.lock().addresses.contains(&address)
    }

    /// Lets a block wait for the mark that `mark` makes. `None`: it waits already.
    pub(super) fn push<E>(
        &self,
        address: DeviceAddress,
        mark: impl FnOnce() -> Result<M, E>,
    ) -> Option<Result<(), E>> {
        let mut waiting = self.waiting.lock();
        if waiting.addresses.contains(&address) {
            return None;
        }
        Some(mark().map(|mark| {
            waiting.addresses.insert(address);
            waiting.blocks.push_back((address, mark));
            self.count.store(waiting.blocks.len(), Relaxed);
        }))
    }

    /// Takes the blocks of which `is_ready` says that their mark is. `all`: every block is looked at;
    /// otherwise no further than the first that is not ready, since one queue ends in order.
    pub(super) fn take_ready(
        &self,
        all: bool,
        mut is_ready: impl FnMut(&mut M) -> bool,
    ) -> Vec<DeviceAddress> {
        let mut ready = Vec::new();
        if self.count() == 0 {
            return ready;
        }
        let mut waiting = self.waiting.lock();
        let mut at = 0;
        while let Some((address, mark)) = waiting.blocks.get_mut(at) {
            if is_ready(mark) {
                ready.push(*address);
                waiting.blocks.remove(at);
            } else if all {
                at += 1;
            } else {
                break;
            }
        }
        for address in &ready {
            waiting.addresses.remove(address);
        }
        self.count.store(waiting.blocks.len(), Relaxed);
        ready
    }
}
