//! What the kernel must stand, one file a check. A check that fails panics, which ends the kernel.

mod collections;
mod exhaustion;
mod interrupts;
mod misuse;
mod pages;
mod pattern;
mod regions;
mod traffic;
mod turns;

use crate::{heap, say, work};
pub use misuse::end_by;
pub use pattern::Random;

/// Name and text of every check, in order.
const ALL: &[(&str, fn())] = &[
    ("collections", collections::check),
    ("traffic", traffic::check),
    ("exhaustion", exhaustion::check),
    ("turns", turns::check),
    ("pages", pages::check),
    ("interrupts at any time", interrupts::check_timer),
    ("interrupts after every instruction", interrupts::check_steps),
    ("misuse", misuse::check),
    ("regions", regions::check),
];

/// Runs all checks. After each the heap must be as empty as before: nothing is lost, nothing kept.
pub fn run() {
    for (name, check) in ALL {
        let before = settled_blocks();
        check();
        let after = settled_blocks();
        assert_eq!(before, after, "{name}: live blocks before and after");
        assert_eq!(heap::HEAP.reserve_bytes().1, 0, "{name}: bytes of the reserve in use");
        say!("ok {name}");
    }
    say!("all {} checks passed", ALL.len());
}

/// Blocks in the program's hands, once every CPU has taken home what others freed for it.
fn settled_blocks() -> u64 {
    // A block on its way home counts as live. What one CPU sends, the other unpacks the next time.
    for _ in 0..2 {
        work::on_all(|_| {
            heap::HEAP.trim(0);
        });
    }
    heap::live_blocks()
}
