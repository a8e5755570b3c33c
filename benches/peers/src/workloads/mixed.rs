//! Owns the step that the mixed workloads share: a random slot, freed if taken, else filled.

use crate::Peer;
use crate::peer::{give, take};
use crate::random::{Random, lower_below, upper_below};

/// Slots, and the generator that chooses among them.
pub struct Mix<'a> {
    slots: &'a mut [*mut u8],
    random: Random,
}

impl<'a> Mix<'a> {
    /// A mix over `slots`, all of them null.
    pub fn new(slots: &'a mut [*mut u8], seed: u64) -> Self {
        Self { slots, random: Random::new(seed) }
    }

    /// `steps` steps with sizes from `SMALLEST` to `LARGEST` bytes, both included. A step is one
    /// malloc or one free. The block's first word holds its size, which is how `free` learns it.
    #[inline(never)]
    pub fn steps<P: Peer, const SMALLEST: usize, const LARGEST: usize>(
        &mut self,
        steps: u64,
    ) -> u64 {
        const { assert!(8 <= SMALLEST && SMALLEST <= LARGEST) };
        let mut checksum = 0u64;
        for _ in 0..steps {
            let bits = self.random.bits();
            let chosen = upper_below(bits, self.slots.len());
            let slot = &mut self.slots[chosen];
            if slot.is_null() {
                let size = SMALLEST + lower_below(bits, LARGEST - SMALLEST + 1);
                *slot = take::<P>(size, size as u64);
            } else {
                // SAFETY: a slot that is not null holds a live block that `take` filled with its size.
                let size = unsafe { give_sized::<P>(*slot) };
                checksum = checksum.rotate_left(1) ^ size;
                *slot = std::ptr::null_mut();
            }
        }
        checksum
    }

    /// `steps` steps that each replace the block of a random slot: free what it holds, if anything,
    /// and fill it again. A step is one malloc and, once the slots are full, one free.
    #[inline(never)]
    pub fn replacements<P: Peer, const SMALLEST: usize, const LARGEST: usize>(
        &mut self,
        steps: u64,
    ) -> u64 {
        const { assert!(8 <= SMALLEST && SMALLEST <= LARGEST) };
        let mut checksum = 0u64;
        for _ in 0..steps {
            let bits = self.random.bits();
            let chosen = upper_below(bits, self.slots.len());
            let slot = &mut self.slots[chosen];
            if !slot.is_null() {
                // SAFETY: as in `steps`.
                checksum = checksum.rotate_left(1) ^ unsafe { give_sized::<P>(*slot) };
            }
            let size = SMALLEST + lower_below(bits, LARGEST - SMALLEST + 1);
            *slot = take::<P>(size, size as u64);
        }
        checksum
    }

    /// Fills every slot.
    pub fn fill<P: Peer, const SMALLEST: usize, const LARGEST: usize>(&mut self) {
        for slot in self.slots.iter_mut().filter(|slot| slot.is_null()) {
            let size = SMALLEST + lower_below(self.random.bits(), LARGEST - SMALLEST + 1);
            *slot = take::<P>(size, size as u64);
        }
    }

    /// Frees the blocks in the order of their slots but for each `keep`-th; 0 frees all.
    #[inline(never)]
    pub fn empty<P: Peer>(&mut self, keep: usize) -> u64 {
        let mut checksum = 0u64;
        for (nth, slot) in (1..).zip(self.slots.iter_mut()) {
            let kept = keep > 0 && nth % keep == 0;
            if !kept && !slot.is_null() {
                // SAFETY: as in `steps`.
                checksum = checksum.rotate_left(1) ^ unsafe { give_sized::<P>(*slot) };
                *slot = std::ptr::null_mut();
            }
        }
        checksum
    }

    /// Bytes of the blocks that the slots hold.
    pub fn live_bytes(&self) -> u64 {
        let live = self.slots.iter().filter(|slot| !slot.is_null());
        // SAFETY: as in `steps`: a live block's first word is its size.
        live.map(|slot| unsafe { slot.cast::<u64>().read() }).sum()
    }

    /// Frees what is left.
    pub fn finish<P: Peer>(&mut self) {
        self.empty::<P>(0);
    }
}

/// Frees a block whose first word is its size, and returns that size.
///
/// # Safety
/// 1. `block` came from `take::<P>(size, size)` and was not given before.
#[inline(always)]
pub unsafe fn give_sized<P: Peer>(block: *mut u8) -> u64 {
    // SAFETY: (1) => the first word is the size.
    let size = unsafe { block.cast::<u64>().read() };
    // SAFETY: (1) is give's own condition.
    unsafe { give::<P>(block, size as usize) }
}
