//! Owns the paper's Tiny Hot: a batch of equal small blocks, allocated, written, freed in order.

use crate::peer::{give, take};
use crate::table::Table;
use crate::{Peer, Story, Timed, clock};

/// `cycles` times `batch` blocks of `size` bytes.
pub fn run<P: Peer>(size: u64, batch: u64, cycles: u64) -> Timed {
    let size = (size as usize).max(8);
    let mut table = Table::new(batch as usize);
    spin::<P>(&mut table, size, super::warm_up(cycles));
    let start = clock::now_ns();
    let checksum = spin::<P>(&mut table, size, cycles);
    let ns = clock::now_ns() - start;
    Timed { ops: 2 * cycles * table.len() as u64, ns, checksum, story: Story::default() }
}

/// The loop: every block's first word is written once and read once.
#[inline(never)]
fn spin<P: Peer>(table: &mut [*mut u8], size: usize, cycles: u64) -> u64 {
    let mut checksum = 0u64;
    for cycle in 0..cycles {
        for slot in table.iter_mut() {
            *slot = take::<P>(size, cycle);
        }
        for slot in table.iter() {
            // SAFETY: the loop above took every block of this cycle; each is given once.
            checksum = checksum.wrapping_add(unsafe { give::<P>(*slot, size) });
        }
    }
    checksum
}
