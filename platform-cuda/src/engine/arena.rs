//! The pinned arena: a bounded amount of host memory that the device copies from and to by itself, in few
//! large pieces, cut best-fit with coalescing. Floor: ground.
//!
//! Pinning is slow and takes memory from the whole machine, so a piece stays pinned until the end.

use super::memory::{Home, HostAddress, Keep};
use crate::device::{Device, DeviceFault};
use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

/// The grain of what is cut out of a piece, so that neighbours share no cache line: chosen.
const GRAIN: usize = 256;
/// Pieces are of this size, or of a state's if that is larger: chosen.
const PIECE_BYTES: usize = 64 << 20;
/// Nothing smaller is asked of the device, except when less is left: chosen.
const LEAST_PIECE_BYTES: usize = 64 << 10;

#[derive(Debug)]
pub(super) struct Arena {
    most_bytes: usize,
    pinned_bytes: usize,
    /// By address.
    pieces: BTreeMap<usize, HostAddress>,
    /// Free ranges, by address, and by size and address. No two touch within a piece.
    free: BTreeMap<usize, usize>,
    by_size: BTreeSet<(usize, usize)>,
    refusals: u64,
}

impl Arena {
    /// Nothing is pinned until it is needed.
    pub const fn new(most_bytes: usize) -> Self {
        Self {
            most_bytes,
            pinned_bytes: 0,
            pieces: BTreeMap::new(),
            free: BTreeMap::new(),
            by_size: BTreeSet::new(),
            refusals: 0,
        }
    }

    pub const fn pinned_bytes(&self) -> usize {
        self.pinned_bytes
    }

    /// How often the device did not pin what it was asked for.
    pub const fn refusals(&self) -> u64 {
        self.refusals
    }

    /// Pinned memory, or `None` if there is no more; only the loss of the device is an error.
    pub fn take(
        &mut self,
        device: &mut impl Device,
        bytes: usize,
    ) -> Result<Option<Home>, DeviceFault> {
        let Some(size) = bytes.checked_next_multiple_of(GRAIN) else { return Ok(None) };
        if let Some(start) = self.cut(size) {
            return Ok(Some(Home { start, bytes, keep: Keep::Pinned }));
        }
        if !self.pin_more(device, size)? {
            return Ok(None);
        }
        let start = self.cut(size);
        Ok(start.map(|start| Home { start, bytes, keep: Keep::Pinned }))
    }

    /// Puts what `take` gave back.
    pub fn give(&mut self, home: &Home) {
        let size = home.bytes.next_multiple_of(GRAIN);
        self.add(home.start.0.addr().get(), size);
    }

    fn cut(&mut self, size: usize) -> Option<HostAddress> {
        let (found, start) = self.by_size.range((size, 0)..).next().copied()?;
        self.by_size.remove(&(found, start));
        self.free.remove(&start);
        if found > size {
            self.insert(start + size, found - size);
        }
        let (piece, first) = self.pieces.range(..=start).next_back()?;
        // SAFETY: free ranges lie in the piece that begins before them and nearest to them.
        Some(unsafe { first.plus(start - piece) })
    }

    fn insert(&mut self, start: usize, size: usize) {
        self.free.insert(start, size);
        self.by_size.insert((size, start));
    }

    fn add(&mut self, mut start: usize, mut size: usize) {
        let after = start + size;
        // Pieces may touch by chance; what lies in two of them is still two ranges.
        if !self.pieces.contains_key(&after)
            && let Some(next) = self.free.remove(&after)
        {
            self.by_size.remove(&(next, after));
            size += next;
        }
        let before = self.free.range(..start).next_back().map(|(at, bytes)| (*at, *bytes));
        if let Some((at, bytes)) = before.filter(|(at, bytes)| at + bytes == start)
            && !self.pieces.contains_key(&start)
        {
            self.free.remove(&at);
            self.by_size.remove(&(bytes, at));
            (start, size) = (at, size + bytes);
        }
        self.insert(start, size);
    }

    fn add_piece(&mut self, start: HostAddress, bytes: usize) {
        let address = start.0.addr().get();
        self.pinned_bytes += bytes;
        self.pieces.insert(address, start);
        self.insert(address, bytes);
    }

    /// Asks for a piece; for smaller ones as long as they refuse.
    fn pin_more(&mut self, device: &mut impl Device, size: usize) -> Result<bool, DeviceFault> {
        let left = (self.most_bytes - self.pinned_bytes) / GRAIN * GRAIN;
        if size > left {
            return Ok(false);
        }
        let mut asked = size.max(PIECE_BYTES).min(left);
        loop {
            match device.pin(asked) {
                Ok(start) => {
                    self.add_piece(HostAddress(start), asked);
                    return Ok(true);
                }
                Err(lost @ DeviceFault::Lost { .. }) => return Err(lost),
                Err(_) => self.refusals += 1,
            }
            let less = (asked / 2 / GRAIN * GRAIN).max(LEAST_PIECE_BYTES).max(size);
            if less >= asked {
                return Ok(false);
            }
            asked = less;
        }
    }

    /// Gives all pinned memory back to the device that pinned it.
    ///
    /// # Safety
    /// Nobody uses any of it any more.
    pub unsafe fn empty(&mut self, device: &mut impl Device) {
        for start in core::mem::take(&mut self.pieces).into_values().collect::<Vec<_>>() {
            // SAFETY: `pin` gave it, and by the caller's promise nobody uses it. If the device is lost, the
            // memory is gone, too.
            let _ = unsafe { device.unpin(start.0) };
        }
        self.free.clear();
        self.by_size.clear();
        self.pinned_bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use core::ptr::NonNull;

    /// Two pieces that touch, as two calls of a device may give them.
    fn two_pieces(memory: &mut [u8]) -> Arena {
        let mut arena = Arena::new(memory.len());
        let half = memory.len() / 2;
        let start = HostAddress(NonNull::from(memory).cast());
        arena.add_piece(start, half);
        // SAFETY: half of the memory is part of it.
        arena.add_piece(unsafe { start.plus(half) }, half);
        arena
    }

    #[test]
    fn what_is_cut_out_overlaps_nothing_and_all_of_it_comes_back_whole() {
        const PIECE: usize = 16 * GRAIN;
        let mut memory = std::vec![0; 2 * PIECE];
        let first = memory.as_ptr().addr();
        for seed in 0..100 {
            let mut arena = two_pieces(&mut memory);
            let mut random = Random::new(seed);
            let mut taken: Vec<Home> = Vec::new();
            for _ in 0..200 {
                if random.below(2) == 0 && !taken.is_empty() {
                    let at = random.below(taken.len() as u64) as usize;
                    arena.give(&taken.swap_remove(at));
                    continue;
                }
                let bytes = 1 + random.below(5 * GRAIN as u64) as usize;
                let Some(start) = arena.cut(bytes.next_multiple_of(GRAIN)) else { continue };
                let at = start.0.addr().get();
                let fits = at >= first && at + bytes <= first + 2 * PIECE;
                let across = at < first + PIECE && at + bytes > first + PIECE;
                assert!(fits && !across, "seed {seed}: not within one piece");
                for other in &taken {
                    let start = other.start.0.addr().get();
                    let apart = at + bytes <= start || start + other.bytes <= at;
                    assert!(apart, "seed {seed}: given twice");
                }
                taken.push(Home { start, bytes, keep: Keep::Pinned });
            }
            for home in &taken {
                arena.give(home);
            }
            let free: Vec<usize> = arena.free.values().copied().collect();
            assert_eq!(free, [PIECE, PIECE], "seed {seed}");
            assert_eq!(arena.by_size.len(), 2, "seed {seed}");
        }
    }
}
