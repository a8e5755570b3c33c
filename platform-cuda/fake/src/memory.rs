//! Reserved addresses, physical blocks, mappings, and pinned host memory. Floor: ground.
//!
//! All physical memory is one sparse file in memory: a block is a stretch of it, never used twice, so that
//! a stale mapping can't show the contents of another block.

use crate::code::{INVALID_VALUE, OPERATING_SYSTEM, OUT_OF_MEMORY, Outcome};
use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    os::{
        fd::{AsRawFd, FromRawFd},
        unix::fs::FileExt,
    },
    ptr,
};

/// What fresh memory begins and ends with, so that nobody takes it for zeros.
const FRESH: [u8; 64] = [0xA5; 64];

struct Block {
    device: usize,
    bytes: u64,
    offset: u64,
    is_mapped: bool,
    is_released: bool,
}

struct Mapping {
    bytes: u64,
    handle: u64,
    /// The devices that may touch it, a bit each.
    access: u64,
}

/// What is reserved, created, mapped and pinned.
#[derive(Default)]
pub struct Memory {
    file: Option<File>,
    file_bytes: u64,
    reservations: BTreeMap<u64, u64>,
    blocks: HashMap<u64, Block>,
    mappings: BTreeMap<u64, Mapping>,
    pins: BTreeMap<u64, u64>,
    used_bytes: HashMap<usize, u64>,
}

/// A pointer to an address that `mmap` gave.
fn pointer(address: u64) -> *mut libc::c_void {
    ptr::with_exposed_provenance_mut(address as usize)
}

/// Asks the system for addresses, at `at` if that is not 0.
fn system_map(
    at: u64,
    bytes: u64,
    protection: i32,
    flags: i32,
    from: Option<(&File, u64)>,
) -> Option<u64> {
    let (file, offset) = from.map_or((-1, 0), |(file, offset)| (file.as_raw_fd(), offset));
    let kind =
        if from.is_some() { libc::MAP_SHARED } else { libc::MAP_PRIVATE | libc::MAP_ANONYMOUS };
    let flags = flags | kind | libc::MAP_NORESERVE;
    let offset = libc::off_t::try_from(offset).ok()?;
    // SAFETY: Where `at` is not 0 (with MAP_FIXED), the caller passes a range inside a reservation of its
    // own, so that nothing of anybody else's is replaced.
    let mapped =
        unsafe { libc::mmap(pointer(at), bytes as usize, protection, flags, file, offset) };
    (mapped != libc::MAP_FAILED).then(|| mapped.expose_provenance() as u64)
}

fn system_unmap(start: u64, bytes: u64) {
    if bytes > 0 {
        // SAFETY: The range came from `mmap` in this file and is forgotten by the caller.
        unsafe { libc::munmap(pointer(start), bytes as usize) };
    }
}

impl Memory {
    /// Reserves addresses without access, aligned to `alignment`.
    pub fn reserve(&mut self, bytes: u64, alignment: u64, limit: u64) -> Result<u64, u32> {
        let reserved: u64 = self.reservations.values().sum();
        if reserved.saturating_add(bytes) > limit {
            return Err(OUT_OF_MEMORY);
        }
        let whole = bytes.checked_add(alignment).ok_or(INVALID_VALUE)?;
        let found = system_map(0, whole, libc::PROT_NONE, 0, None).ok_or(OUT_OF_MEMORY)?;
        let start = found.next_multiple_of(alignment);
        system_unmap(found, start - found);
        system_unmap(start + bytes, found + whole - start - bytes);
        self.reservations.insert(start, bytes);
        Ok(start)
    }

    /// Gives a whole reservation back, with nothing mapped in it.
    pub fn free(&mut self, start: u64, bytes: u64) -> Outcome {
        let is_known = self.reservations.get(&start) == Some(&bytes);
        if !is_known || self.mappings.range(start..start + bytes).next().is_some() {
            return Err(INVALID_VALUE);
        }
        self.reservations.remove(&start);
        system_unmap(start, bytes);
        Ok(())
    }

    /// Physical memory that a device has in use.
    pub fn used_bytes(&self, device: usize) -> u64 {
        self.used_bytes.get(&device).copied().unwrap_or(0)
    }

    /// Creates a block under a new handle.
    pub fn create(&mut self, handle: u64, device: usize, bytes: u64, limit: u64) -> Outcome {
        if self.used_bytes(device).saturating_add(bytes) > limit {
            return Err(OUT_OF_MEMORY);
        }
        let file = match self.file.take() {
            Some(file) => file,
            None => new_file()?,
        };
        let offset = self.file_bytes;
        let grown = file.set_len(offset + bytes);
        let marked = grown
            .and_then(|()| file.write_all_at(&FRESH, offset))
            .and_then(|()| file.write_all_at(&FRESH, offset + bytes - FRESH.len() as u64));
        self.file = Some(file);
        marked.map_err(|_| OUT_OF_MEMORY)?;
        self.file_bytes += bytes;
        *self.used_bytes.entry(device).or_default() += bytes;
        let block = Block { device, bytes, offset, is_mapped: false, is_released: false };
        self.blocks.insert(handle, block);
        Ok(())
    }

    /// Gives a handle back. The memory goes with its mapping, if it has one.
    pub fn release(&mut self, handle: u64) -> Outcome {
        let block = self.blocks.get_mut(&handle).filter(|block| !block.is_released);
        block.ok_or(INVALID_VALUE)?.is_released = true;
        self.bury(handle);
        Ok(())
    }

    /// Frees a block that has neither handle nor mapping.
    fn bury(&mut self, handle: u64) {
        let Some(block) = self.blocks.get(&handle) else { return };
        if block.is_mapped || !block.is_released {
            return;
        }
        if let Some(file) = &self.file {
            let hole = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
            let (offset, bytes) = (block.offset as libc::off_t, block.bytes as libc::off_t);
            // SAFETY: No memory of Rust's is touched; the stretch belongs to this block, and it has no
            // mapping. Where it fails, the memory stays until the file is closed.
            unsafe { libc::fallocate(file.as_raw_fd(), hole, offset, bytes) };
        }
        if let Some(used) = self.used_bytes.get_mut(&block.device) {
            *used -= block.bytes;
        }
        self.blocks.remove(&handle);
    }

    /// Puts a whole block behind reserved addresses, without access.
    pub fn map(&mut self, start: u64, bytes: u64, handle: u64) -> Outcome {
        let end = start.checked_add(bytes).ok_or(INVALID_VALUE)?;
        let reservation = self.reservations.range(..=start).next_back();
        let is_reserved = reservation.is_some_and(|(at, length)| end <= at + length);
        let before = self.mappings.range(..end).next_back();
        let is_free = before.is_none_or(|(at, mapping)| at + mapping.bytes <= start);
        let block = self.blocks.get_mut(&handle).filter(|block| !block.is_released);
        let block = block.ok_or(INVALID_VALUE)?;
        if !is_reserved || !is_free || block.bytes != bytes || block.is_mapped {
            return Err(INVALID_VALUE);
        }
        let from = self.file.as_ref().map(|file| (file, block.offset)).ok_or(INVALID_VALUE)?;
        system_map(start, bytes, libc::PROT_NONE, libc::MAP_FIXED, Some(from))
            .ok_or(OPERATING_SYSTEM)?;
        block.is_mapped = true;
        self.mappings.insert(start, Mapping { bytes, handle, access: 0 });
        Ok(())
    }

    /// The starts of the mappings that fill a range exactly.
    fn mappings_of(&self, start: u64, bytes: u64) -> Result<Vec<u64>, u32> {
        let end = start.checked_add(bytes).ok_or(INVALID_VALUE)?;
        let (mut at, mut starts) = (start, Vec::new());
        while at < end {
            starts.push(at);
            at += self.mappings.get(&at).ok_or(INVALID_VALUE)?.bytes;
        }
        if at == end && bytes > 0 { Ok(starts) } else { Err(INVALID_VALUE) }
    }

    /// Allows or forbids a device access to whole mappings. The host may touch what any device may.
    pub fn set_access(&mut self, start: u64, bytes: u64, device: usize, allow: bool) -> Outcome {
        let bit = 1_u64.checked_shl(device as u32).ok_or(INVALID_VALUE)?;
        for at in self.mappings_of(start, bytes)? {
            let mapping = self.mappings.get_mut(&at).ok_or(INVALID_VALUE)?;
            let access = if allow { mapping.access | bit } else { mapping.access & !bit };
            let both = libc::PROT_READ | libc::PROT_WRITE;
            let protection = if access == 0 { libc::PROT_NONE } else { both };
            // SAFETY: The range is a mapping of this file's, made by `map`.
            let done = unsafe { libc::mprotect(pointer(at), mapping.bytes as usize, protection) };
            if done != 0 {
                return Err(OPERATING_SYSTEM);
            }
            mapping.access = access;
        }
        Ok(())
    }

    /// Takes whole mappings away; the addresses stay reserved.
    pub fn unmap(&mut self, start: u64, bytes: u64) -> Outcome {
        for at in self.mappings_of(start, bytes)? {
            let Some(mapping) = self.mappings.remove(&at) else { continue };
            system_map(at, mapping.bytes, libc::PROT_NONE, libc::MAP_FIXED, None)
                .ok_or(OPERATING_SYSTEM)?;
            if let Some(block) = self.blocks.get_mut(&mapping.handle) {
                block.is_mapped = false;
            }
            self.bury(mapping.handle);
        }
        Ok(())
    }

    /// Whether a device may touch all of a range: mapped with access, or pinned host memory.
    pub fn is_usable(&self, device: usize, start: u64, bytes: u64) -> bool {
        let bit = 1_u64.checked_shl(device as u32).unwrap_or(0);
        let Some(end) = start.checked_add(bytes) else { return false };
        let mut at = start;
        while at < end {
            let Some((from, mapping)) = self.mappings.range(..=at).next_back() else { break };
            if mapping.access & bit == 0 || from + mapping.bytes <= at {
                break;
            }
            at = from + mapping.bytes;
        }
        at >= end || self.is_pinned(start, bytes)
    }

    /// Whether a range lies in one piece of pinned host memory.
    pub fn is_pinned(&self, start: u64, bytes: u64) -> bool {
        let below = self.pins.range(..=start).next_back();
        below.is_some_and(|(at, length)| bytes <= length - (start - at).min(*length))
    }

    /// Pins host memory.
    pub fn pin(&mut self, bytes: u64, limit: u64) -> Result<u64, u32> {
        let pinned: u64 = self.pins.values().sum();
        if bytes == 0 {
            return Err(INVALID_VALUE);
        }
        if pinned.saturating_add(bytes) > limit {
            return Err(OUT_OF_MEMORY);
        }
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let start = system_map(0, bytes, access, 0, None).ok_or(OUT_OF_MEMORY)?;
        self.pins.insert(start, bytes);
        Ok(start)
    }

    /// Gives pinned host memory back.
    pub fn unpin(&mut self, start: u64) -> Outcome {
        let bytes = self.pins.remove(&start).ok_or(INVALID_VALUE)?;
        system_unmap(start, bytes);
        Ok(())
    }

    /// Copies between ranges of which the device's was found usable.
    pub fn copy(&self, to: u64, from: u64, bytes: u64) {
        // SAFETY: The caller found both ranges usable under the lock that guards `self`, or has one from
        // the user, who promised it in calling the copy. A copy over itself is `memmove`'s business.
        unsafe { libc::memmove(pointer(to), pointer(from), bytes as usize) };
    }

    /// Damages a byte of what was copied just now.
    pub fn flip_bit(&self, at: u64) {
        let byte = pointer(at).cast::<u8>();
        // SAFETY: The caller has copied to this byte under the same lock.
        unsafe { byte.write(byte.read() ^ 1) };
    }

    /// Blocks, reservations, mappings and pins.
    pub fn live(&self) -> [u64; 4] {
        let lengths =
            [self.blocks.len(), self.reservations.len(), self.mappings.len(), self.pins.len()];
        lengths.map(|length| length as u64)
    }
}

fn new_file() -> Result<File, u32> {
    // SAFETY: The name is a C string; the call touches no other memory.
    let file = unsafe { libc::memfd_create(c"ace-fake-cuda".as_ptr(), libc::MFD_CLOEXEC) };
    if file < 0 {
        return Err(OPERATING_SYSTEM);
    }
    // SAFETY: The descriptor is new and belongs to nobody else.
    Ok(unsafe { File::from_raw_fd(file) })
}

impl Drop for Memory {
    fn drop(&mut self) {
        for (start, bytes) in self.reservations.iter().chain(&self.pins) {
            system_unmap(*start, *bytes);
        }
    }
}
