//! Live bits: whether a block is in the program's hands. Verbs: grant, retire. Floor: lift.
//!
//! One bit for each 16 bytes of the heap, 32 to a word, set from the malloc of a block to its free.
//!
//! | who | may |
//! |---|---|
//! | owner of the block's slab: its heap's thread, or the lock's holder if the pool owns it | `grant`, `retire` |
//! | any other thread | nothing: it sends the block home, and the owner retires it |
//!
//! Invariant: of all frees of a block that was granted once, exactly one retires it; the others are told
//! so. Plain loads and stores are enough, because a word has one writer at a time: it covers 512 bytes,
//! which lie in one slab, and a slab changes its owner under the pool's lock.

use crate::sync::RelaxedU32;

/// Notes that the block with this bit is in the program's hands. Owner only.
#[inline(always)]
pub fn grant(word: &RelaxedU32, bit: u32) {
    word.set(word.get() | bit);
}

/// Notes that the block is not in the program's hands any more. `false`: it was not, and nothing is
/// changed. Owner only.
#[inline(always)]
pub fn retire(word: &RelaxedU32, bit: u32) -> bool {
    let bits = word.get();
    if bits & bit == 0 {
        return false;
    }
    // The bit is set, so subtracting clears it, for one instruction less than masking it out.
    word.set(bits.wrapping_sub(bit));
    true
}
