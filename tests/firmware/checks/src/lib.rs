//! What every image checks, whatever the board: the same promises in small.
//! Floor: the global allocator under test, and what [`Board`] names.

#![no_std]

extern crate alloc;

mod blocks;
mod collections;
mod exhaustion;
mod idle;
pub mod interrupts;
mod misuse;
mod random;
mod regions;

pub use misuse::misuse;

use ace_alloc::LockedHeap;
use ace_alloc::region::Scale;
use core::fmt::Arguments;
use lock_api::RawMutex;

/// The seed of every script of random numbers.
pub const SEED: u64 = 0x5EED_0006;
/// Bytes of [`Surroundings::spare`].
pub const SPARE: usize = 32 << 10;

/// What the checks are given beside the heap.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings {
    /// Prints a line.
    pub say: fn(Arguments<'_>),
    /// Memory that the global allocator doesn't have: [`SPARE`] bytes, aligned to 4 KiB.
    pub spare: *mut u8,
}

/// All checks that any machine can do, on the global allocator `heap`, which is idle and has at least
/// `bytes` of memory. A failure panics.
pub fn run<L: RawMutex, S: Scale>(heap: &LockedHeap<L, S>, bytes: usize, with: Surroundings) {
    let Surroundings { say, spare } = with;
    say(format_args!("heap of {bytes} bytes, seed {SEED:#x}"));
    let largest = blocks::largest();
    let filled = exhaustion::a_full_heap_says_so_and_recovers(heap, bytes);
    say(format_args!("holds: a full heap says so and recovers; it held {filled} bytes"));
    collections::keep_what_is_put_into_them(bytes);
    say(format_args!("holds: collections keep what is put into them"));
    blocks::lie_as_aligned_as_asked(bytes);
    say(format_args!("holds: blocks lie as aligned as asked"));
    blocks::resize_in_place(heap, bytes);
    say(format_args!("holds: a block with free memory behind it grows where it is"));
    regions::are_checked(heap, spare);
    say(format_args!("holds: tiny, overlapping and repeated claims are errors"));
    regions::are_claimed_when_the_heap_is_empty(heap, spare);
    say(format_args!("holds: the callback of an empty heap may claim more"));
    idle::turns_give_everything_back(heap, largest);
    say(format_args!("holds: statistics add up and idle turns leave one free block"));
}
