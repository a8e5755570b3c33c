//! One thread's part of the soak: it asks, resizes, looks, frees, and swaps blocks with the others.
//! Floor: tool.

use super::{
    block::{Block, Promise},
    floor::Floor,
    mix,
};
use fastrand::Rng;
use std::{thread, time::Duration};

/// Blocks in one place of the shelf.
const MOST_IN_SLOT: usize = 96;
/// Steps between two looks at the clock.
const BATCH: u32 = 256;
/// A step of the idle phase: the caches stay as they are, and only others would notice what they hold.
const IDLE_STEP: Duration = Duration::from_millis(2);

/// See the module's documentation.
pub struct Actor<'a> {
    pub floor: &'a Floor,
    pub random: Rng,
    pub mine: Vec<Block>,
    operations: u64,
    verified: u64,
}

impl<'a> Actor<'a> {
    /// A thread's part; counts the thread.
    pub fn new(floor: &'a Floor) -> Self {
        let random = floor.random(floor.count_thread());
        Self { floor, random, mine: Vec::new(), operations: 0, verified: 0 }
    }

    /// Acts until the soak ends; between the batches `aside` is done. Then everything is given back.
    pub fn live(mut self, mut aside: impl FnMut(&mut Self) -> Promise<()>) {
        while !self.floor.is_done() {
            let batch = self.batch().and_then(|()| aside(&mut self));
            self.settle(batch);
        }
        let all_free = self.free_all("at the end");
        self.settle(all_free);
    }

    /// Hands the counts on, and what was found.
    pub fn settle(&mut self, outcome: Promise<()>) {
        let (operations, verified) = (&mut self.operations, &mut self.verified);
        self.floor.count(std::mem::take(operations), std::mem::take(verified));
        if let Err(what) = outcome {
            self.floor.find(what);
        }
    }

    fn batch(&mut self) -> Promise<()> {
        for _ in 0..BATCH {
            self.step()?;
            if self.floor.wants_much_less() {
                for _ in 0..4 {
                    self.free_one()?;
                }
            } else if self.floor.is_idle() {
                thread::sleep(IDLE_STEP);
                // A batch of idle steps would be half a second.
                return Ok(());
            }
        }
        Ok(())
    }

    fn step(&mut self) -> Promise<()> {
        let asks = if self.floor.wants_more() { 30 } else { 8 };
        match self.random.u32(0..64) {
            0..4 => self.look(),
            4..12 => self.resize(),
            12..22 => self.swap(),
            rest if rest < 22 + asks => self.ask(),
            _ => self.free_one(),
        }
    }

    /// Asks for one block, if one more may live.
    pub fn ask(&mut self) -> Promise<()> {
        let bytes = self.floor.mix().size(&mut self.random);
        if !self.floor.admit(bytes) {
            return self.free_one();
        }
        self.operations += 1;
        let block = Block::ask(mix::call(&mut self.random), bytes, self.random.u64(..))?;
        self.floor.admit_anyway(block.bytes() - bytes);
        self.mine.push(block);
        Ok(())
    }

    fn look(&mut self) -> Promise<()> {
        let Some(index) = self.any() else { return Ok(()) };
        self.verified += 1;
        self.mine[index].check("while it lives")
    }

    /// Grows a block as a vector does, cuts it, or gives it any size. `realloc` to 0 bytes would free.
    pub fn resize(&mut self) -> Promise<()> {
        let Some(index) = self.any() else { return Ok(()) };
        let before = self.mine[index].bytes();
        let after = match self.random.u32(0..8) {
            0..4 => before * 2,
            4..6 => before / 2,
            _ => self.floor.mix().size(&mut self.random),
        };
        let after = after.max(1);
        if !self.floor.admit(after) {
            return Ok(());
        }
        self.operations += 1;
        self.verified += 1;
        self.mine[index].resize(after, self.random.u64(..))?;
        self.floor.dismiss(before);
        Ok(())
    }

    /// Puts a block on the shelf and takes another one, which some other thread asked for.
    fn swap(&mut self) -> Promise<()> {
        let index = self.any();
        let mut slot = self.floor.slot(&mut self.random);
        if let Some(index) = index.filter(|_| slot.len() < MOST_IN_SLOT) {
            slot.push(self.mine.swap_remove(index));
        }
        if slot.is_empty() {
            return Ok(());
        }
        let taken = self.random.usize(..slot.len());
        let taken = slot.swap_remove(taken);
        drop(slot);
        if self.random.bool() {
            return self.free(taken, "in another thread's hands");
        }
        self.mine.push(taken);
        Ok(())
    }

    /// Leaves blocks on the shelf for others; what does not fit there is freed.
    pub fn leave(&mut self, count: usize) -> Promise<()> {
        for block in self.mine.split_off(self.mine.len().saturating_sub(count)) {
            let mut slot = self.floor.slot(&mut self.random);
            if slot.len() < MOST_IN_SLOT {
                slot.push(block);
            } else {
                drop(slot);
                self.free(block, "for want of a place on the shelf")?;
            }
        }
        Ok(())
    }

    /// Takes all blocks of one place of the shelf and frees them; how many.
    pub fn reap(&mut self) -> Promise<usize> {
        let taken = std::mem::take(&mut *self.floor.slot(&mut self.random));
        let count = taken.len();
        for block in taken {
            self.free(block, "in a thread that only frees")?;
        }
        Ok(count)
    }

    fn free_one(&mut self) -> Promise<()> {
        match self.any() {
            Some(index) => {
                let block = self.mine.swap_remove(index);
                self.free(block, "before free")
            }
            None => self.reap().map(|_| ()),
        }
    }

    /// Frees every block of this thread.
    pub fn free_all(&mut self, when: &str) -> Promise<()> {
        while let Some(block) = self.mine.pop() {
            self.free(block, when)?;
        }
        Ok(())
    }

    /// Checks a block and frees it.
    pub fn free(&mut self, block: Block, when: &str) -> Promise<()> {
        self.operations += 1;
        self.verified += 1;
        let bytes = block.bytes();
        block.free(when)?;
        self.floor.dismiss(bytes);
        Ok(())
    }

    fn any(&mut self) -> Option<usize> {
        (!self.mine.is_empty()).then(|| self.random.usize(..self.mine.len()))
    }
}
