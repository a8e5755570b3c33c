//! Blocks that somebody else than the owner put back into their slab (B4). Floor: 1st.
//!
//! A visitor of the owner's heap may write the bitmap, but not the words of live bits: the owner's
//! HOT may be at them. So the bits of delivered blocks stay set, and the slab counts them, until
//! the owner comes by.

use super::Slab;
use crate::{arena::CHECKED, geometry::Geometry, platform::MisuseKind};

impl<G: Geometry> Slab<'_, G> {
    /// Whether nobody has a block of it: all are in the bitmap, and none of those that were
    /// delivered was freed once more since, by an owner whose magazine has it now (B4).
    #[inline]
    pub fn is_vacated(&self) -> bool {
        let delivered = self.prefix.delivered.get();
        self.is_empty() && (delivered == 0 || self.live_bits() == delivered.into())
    }

    /// Puts back a block that the owner does not know to be free. Its live bit stays set: the words
    /// of live bits are the owner's to write, who may be doing so.
    ///
    /// # Errors
    /// The block is not live, or was delivered before; nothing is changed then.
    pub fn deliver(&self, block: *mut u8) -> Result<(), MisuseKind> {
        let address = block.addr();
        if CHECKED && !(self.is_start(address) && self.arena.is_live(address)) {
            return Err(self.fault(address));
        }
        self.put(block)?;
        if CHECKED {
            self.prefix.delivered.add(1);
        }
        Ok(())
    }

    /// Clears the live bits of the blocks that were delivered, as their owner, or as whoever takes
    /// a vacated slab from its owner. Returns how many of them were not live any more (B4).
    pub fn settle(&self) -> usize {
        let mut left = usize::from(self.prefix.delivered.get());
        if left == 0 {
            return 0;
        }
        let (bytes, start) = (self.shape().bytes as usize, self.arena.unit_start(self.head).addr());
        for (at, word) in self.bitmap().iter().enumerate() {
            let mut bits = word.get();
            while left > 0 && bits != 0 {
                let index = at * 64 + bits.trailing_zeros() as usize;
                left -= usize::from(self.arena.clear_live(start.get() + index * bytes));
                bits &= bits - 1;
            }
        }
        self.prefix.delivered.set(0);
        left
    }

    /// Takes a block out of the bitmap that is in a magazine too. `false`: it is not in the bitmap.
    pub fn withdraw(&self, block: *mut u8) -> bool {
        let offset = block.addr() - self.arena.unit_start(self.head).addr().get();
        let index = self.shape().index_of(offset);
        let (word, bit) = (&self.bitmap()[index / 64], 1 << (index % 64));
        let is_in = word.get() & bit != 0;
        if is_in {
            word.set(word.get() & !bit);
            self.prefix.used.add(1);
        }
        is_in
    }
}
