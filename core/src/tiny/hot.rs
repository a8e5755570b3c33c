//! HOT: pop and push on a magazine's stack pointer. Floor: 2nd.
//!
//! About 20 instructions each with the live bit's check, 13 to 17 without. Nothing here may wait,
//! count, or fail in any way but by its return value; `tests/layers.rs` reads this page.

use super::Front;
use crate::{
    address::in_register,
    arena::{CHECKED, Entry},
    geometry::Geometry,
    protocol::live,
    size_class::SizeClass,
};

/// What became of a block that was to be pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Push {
    /// It is in the magazine.
    Done,
    /// It is in the magazine, and that is full now.
    Full(SizeClass),
    /// It is not a live block of this thread's slabs: the gate decides.
    Other,
}

/// Takes a block of the class from its magazine; null if that is empty.
#[inline(always)]
pub fn pop(front: &Front, class: SizeClass) -> *mut u8 {
    // SAFETY: C1: the class number is below COUNT.
    let stack = unsafe { front.stacks.get_unchecked(class.index()) };
    // SAFETY: `in_register` returns what it was given.
    let stack = unsafe { &*in_register(stack) };
    let top = stack.get();
    // SAFETY: the word below the stack pointer is inside the magazine or the sentinel: at least the
    // null slot (module documentation of `tiny`).
    let below = unsafe { top.sub(1) };
    // SAFETY: as above.
    let block = unsafe { *below };
    if block.is_null() {
        return block;
    }
    stack.set(below);
    if CHECKED {
        let word = front.live.get().wrapping_add(block.addr() >> 9);
        let bit = block.addr() >> 4 & 31;
        // SAFETY: F2: the block lies in a committed unit of ours, so its live bits are committed.
        let word = unsafe { &*word };
        live::grant(word, 1 << bit);
    }
    block
}

/// Puts a block into its magazine if it is a live block of a slab of this thread.
///
/// `SHIFT` is log2 of the alignment that blocks are known to have: 4, or 3 where the caller holds a block
/// of the narrow classes. With 4, blocks of those are left to the gate: a live bit stands for 16 bytes,
/// which an address inside one narrow block can share with the start of the next.
///
/// # Safety
/// The caller gives the block up. (Any address is answered rightly; only its memory must not be used
/// any more if it was a live block.)
#[inline(always)]
pub unsafe fn push<G: Geometry, const SHIFT: u32>(front: &Front, block: *mut u8) -> Push {
    // A misaligned address has low bits, which the rotation makes the highest: far out of range.
    let granule = block.addr().wrapping_sub(front.base.get()).rotate_right(SHIFT);
    let unit = granule >> (G::UNIT_SHIFT - SHIFT);
    if unit >= front.units.get() {
        return Push::Other;
    }
    // SAFETY: F4: the route table is committed for units below `units`.
    let entry = Entry(unsafe { &*front.route.get().add(unit) }.get());
    let class = (entry.0 ^ front.own.get()) as usize;
    if class >= const { if SHIFT == 4 { SizeClass::FIRST_NARROW } else { SizeClass::COUNT } } {
        return Push::Other;
    }
    // From here on the slab is ours (A3, F3), so its live bits have no other writer.
    if CHECKED {
        let word = front.live.get().wrapping_add(block.addr() >> 9);
        let bit = granule >> (4 - SHIFT) & 31;
        // SAFETY: F4, as for the route table.
        let word = unsafe { &*word };
        if !live::retire(word, 1 << bit) {
            return Push::Other;
        }
    }
    // SAFETY: class < COUNT was just tested.
    let stack = unsafe { front.stacks.get_unchecked(class) };
    // SAFETY: `in_register` returns what it was given.
    let stack = unsafe { &*in_register(stack) };
    let top = stack.get();
    // SAFETY: F1: there is a magazine, and it is not full (a full one was emptied at once).
    unsafe { *top = block };
    // SAFETY: as above; at most one past the magazine's end.
    let above = unsafe { top.add(1) };
    stack.set(above);
    if above.addr() & (G::MAGAZINE_SLOTS * size_of::<usize>() - 1) == 0 {
        return Push::Full(SizeClass::from_entry(class as u8));
    }
    Push::Done
}
