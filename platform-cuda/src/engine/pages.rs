//! Device pages: physical memory behind addresses that stay. Floor: ground.
//!
//! A state's addresses are reserved once. Behind them go blocks of physical memory: full ones, and for the
//! rest smaller ones by powers of two, so that a block that one state gives up fits into many others. Given
//! up blocks wait in a pool; creating and destroying them costs the driver more than mapping them.
//!
//! Mapped and pooled bytes together stay within the limit.

use crate::device::{Device, DeviceAddress, DeviceFault};
use alloc::{collections::BTreeMap, vec::Vec};

/// So often is it tried to unmap a block: a block that stays mapped is lost to all others.
const UNMAP_TRIES: u32 = 2;

/// The addresses of a state, and what is behind them.
#[derive(Debug)]
pub(super) struct Addresses<B> {
    /// `None` before the first use, and after the device was lost.
    pub start: Option<DeviceAddress>,
    /// A multiple of the granularity.
    bytes: u64,
    blocks: Vec<Mapped<B>>,
}

#[derive(Debug)]
struct Mapped<B> {
    offset: u64,
    bytes: u64,
    block: B,
}

impl<B> Addresses<B> {
    pub const fn new(bytes: u64) -> Self {
        Self { start: None, bytes, blocks: Vec::new() }
    }
}

#[derive(Debug)]
pub(super) struct Pages<B> {
    granularity: u64,
    block_bytes: u64,
    limit_bytes: u64,
    mapped_bytes: u64,
    pooled_bytes: u64,
    pool: BTreeMap<u64, Vec<B>>,
}

impl<B> Pages<B> {
    /// Blocks are of `block_bytes` rounded up to a power of two, and at least one grain.
    pub fn new(granularity: u64, block_bytes: u64, limit_bytes: u64) -> Self {
        let block_bytes = block_bytes.checked_next_power_of_two().unwrap_or(1 << 63);
        Self {
            granularity,
            block_bytes: block_bytes.max(granularity),
            limit_bytes,
            mapped_bytes: 0,
            pooled_bytes: 0,
            pool: BTreeMap::new(),
        }
    }

    /// Whole grains; `None` if that overflows.
    pub const fn round(&self, bytes: u64) -> Option<u64> {
        bytes.checked_next_multiple_of(self.granularity)
    }

    pub const fn granularity(&self) -> u64 {
        self.granularity
    }

    pub const fn mapped_bytes(&self) -> u64 {
        self.mapped_bytes
    }

    pub const fn pooled_bytes(&self) -> u64 {
        self.pooled_bytes
    }

    /// The largest block that belongs at `offset` of a range of `bytes`.
    fn block_at(&self, offset: u64, bytes: u64) -> u64 {
        let rest = bytes - offset;
        let largest = 1 << rest.ilog2();
        if largest < self.block_bytes { largest } else { self.block_bytes }
    }

    /// Puts memory behind all of a range: all of it or, after a fault, none.
    ///
    /// # Errors
    /// As the device; [`DeviceFault::OutOfMemory`] if it has none, or if the limit does not allow it.
    pub fn map<D: Device<Block = B>>(
        &mut self,
        device: &mut D,
        range: &mut Addresses<B>,
    ) -> Result<DeviceAddress, DeviceFault> {
        let start = match range.start {
            Some(start) => start,
            None => device.reserve(range.bytes)?,
        };
        range.start = Some(start);
        let mut offset = 0;
        while offset < range.bytes {
            let bytes = self.block_at(offset, range.bytes);
            // A block that could not be unmapped is there already.
            let is_there = range.blocks.iter().any(|mapped| mapped.offset == offset);
            if !is_there && let Err(fault) = self.map_block(device, range, start, offset, bytes) {
                // SAFETY: nobody was told of these addresses yet.
                let _ = unsafe { self.unmap(device, range) };
                return Err(fault);
            }
            offset += bytes;
        }
        Ok(start)
    }

    fn map_block<D: Device<Block = B>>(
        &mut self,
        device: &mut D,
        range: &mut Addresses<B>,
        start: DeviceAddress,
        offset: u64,
        bytes: u64,
    ) -> Result<(), DeviceFault> {
        let block = self.obtain(device, bytes)?;
        // SAFETY: the range is reserved, no block of it is mapped at this offset, and what is pooled or new
        // is mapped nowhere.
        if let Err(fault) = unsafe { device.map(start.plus(offset), &block) } {
            self.shelve(device, bytes, block);
            return Err(fault);
        }
        self.mapped_bytes += bytes;
        range.blocks.push(Mapped { offset, bytes, block });
        Ok(())
    }

    fn obtain<D: Device<Block = B>>(
        &mut self,
        device: &mut D,
        bytes: u64,
    ) -> Result<B, DeviceFault> {
        if let Some(block) = self.pool.get_mut(&bytes).and_then(Vec::pop) {
            self.pooled_bytes -= bytes;
            return Ok(block);
        }
        if bytes > self.limit_bytes.saturating_sub(self.mapped_bytes) {
            return Err(DeviceFault::OutOfMemory);
        }
        self.trim(device, self.limit_bytes - bytes);
        match device.create(bytes) {
            Err(DeviceFault::OutOfMemory) if self.pooled_bytes > 0 => {
                self.trim(device, 0);
                device.create(bytes)
            }
            other => other,
        }
    }

    fn shelve<D: Device<Block = B>>(&mut self, device: &mut D, bytes: u64, block: B) {
        self.pool.entry(bytes).or_default().push(block);
        self.pooled_bytes += bytes;
        self.trim(device, self.limit_bytes);
    }

    /// Destroys pooled blocks, small ones first, until mapped and pooled bytes are `most` or none is left.
    fn trim<D: Device<Block = B>>(&mut self, device: &mut D, most: u64) {
        while self.mapped_bytes + self.pooled_bytes > most {
            let Some(mut entry) = self.pool.first_entry() else { return };
            let bytes = *entry.key();
            match entry.get_mut().pop() {
                Some(block) => {
                    self.pooled_bytes -= bytes;
                    // The block is gone either way; a lost device says so at the next call that matters.
                    let _ = device.destroy(block);
                }
                None => drop(entry.remove()),
            }
        }
    }

    /// Another limit. What is mapped beyond it stays until it is unmapped.
    pub fn set_limit<D: Device<Block = B>>(&mut self, device: &mut D, bytes: u64) {
        self.limit_bytes = bytes;
        self.trim(device, bytes);
    }

    /// Bytes that may still be mapped, by the limit and by what the device says.
    pub fn free_bytes<D: Device<Block = B>>(&self, device: &mut D) -> u64 {
        let by_limit = self.limit_bytes.saturating_sub(self.mapped_bytes);
        let by_device = device.memory().map_or(0, |memory| memory.free_bytes);
        by_limit.min(by_device.saturating_add(self.pooled_bytes))
    }

    /// Takes the memory from behind a range.
    ///
    /// # Errors
    /// Some blocks are still mapped; the next [`Self::map`] finds them there.
    ///
    /// # Safety
    /// No work on the device touches the range any more.
    pub unsafe fn unmap<D: Device<Block = B>>(
        &mut self,
        device: &mut D,
        range: &mut Addresses<B>,
    ) -> Result<(), DeviceFault> {
        let Some(start) = range.start else { return Ok(()) };
        let mut outcome = Ok(());
        for mapped in core::mem::take(&mut range.blocks) {
            let mut tries = 0;
            let answer = loop {
                // SAFETY: `map` put a block of this size there; the rest is the caller's promise.
                let answer = unsafe { device.unmap(start.plus(mapped.offset), mapped.bytes) };
                tries += 1;
                if tries == UNMAP_TRIES || !matches!(answer, Err(DeviceFault::Refused { .. })) {
                    break answer;
                }
            };
            match answer {
                Ok(()) => {
                    self.mapped_bytes -= mapped.bytes;
                    self.shelve(device, mapped.bytes, mapped.block);
                }
                Err(fault) => {
                    outcome = Err(fault);
                    range.blocks.push(mapped);
                }
            }
        }
        outcome
    }

    /// Gives the addresses back.
    ///
    /// # Errors
    /// Some of it is still mapped, or the addresses are still reserved.
    ///
    /// # Safety
    /// No work on the device touches the range, and nobody will use it again.
    pub unsafe fn release<D: Device<Block = B>>(
        &mut self,
        device: &mut D,
        range: &mut Addresses<B>,
    ) -> Result<(), DeviceFault> {
        // SAFETY: the caller's promise.
        unsafe { self.unmap(device, range)? };
        if let Some(start) = range.start {
            // SAFETY: it came from `reserve` with this length, and nothing is mapped there any more.
            unsafe { device.release(start, range.bytes)? };
            range.start = None;
        }
        Ok(())
    }

    /// The device is lost, and with it what was mapped: blocks are given up, addresses forgotten.
    pub fn forget<D: Device<Block = B>>(&mut self, device: &mut D, range: &mut Addresses<B>) {
        range.start = None;
        for mapped in range.blocks.drain(..) {
            self.mapped_bytes -= mapped.bytes;
            let _ = device.destroy(mapped.block);
        }
    }

    /// Destroys what is pooled.
    pub fn empty<D: Device<Block = B>>(&mut self, device: &mut D) {
        self.trim(device, 0);
    }
}
