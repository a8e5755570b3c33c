//! Live bits: whether a block is in the program's hands. Verbs: grant, retire. Floor: lift.
//!
//! One bit for each 16 bytes of the heap, 32 to a word, set from the malloc of a block to its free.
//!
//! | who | may |
//! |---|---|
//! | owner of the block's slab: its heap's thread, or the lock's holder if the pool owns it | `grant`, `retire` |
//! | a visitor of the heap, who brings blocks home in its thread's stead | look; and `retire` all, once no block of the slab is left with the program or the thread |
//! | any other thread | nothing: it sends the block home, and the owner retires it |
//!
//! Invariant: of all frees of a block that was granted once, exactly one retires it; the others are
//! told so. Plain loads and stores are enough, because a word has one writer at a time: it covers
//! 512 bytes, which lie in one slab, and a slab changes its owner under the pool's lock. A visitor
//! may take a slab from a thread that runs, because HOT writes a word only for a block that the
//! program or a magazine has, and there is none. (A program that frees a block a second time, in
//! its own thread, in the very instant in which the slab goes, can still have HOT write the word as
//! it was before; the second free is then not noticed.)

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
