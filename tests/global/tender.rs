//! A Rust program that asks for a tender gives its memory back while it sleeps.

use ace_alloc_linux::{
    AceAlloc, HEAP,
    core_heap::ace::{Mode, Profile},
};
use std::thread;
use std::time::Duration;

#[global_allocator]
static ALLOC: AceAlloc = AceAlloc::new();

/// Other machines are slower: long in time.
const LOOKS: u32 = 3000;
const KEPT: usize = 8 << 20;

#[test]
fn what_was_kept_is_given_back_while_the_program_sleeps() {
    HEAP.set_mode(Mode::Tune);
    HEAP.set_profile(Profile::Full);
    let rows: Vec<Box<[u8; 4096]>> = (0..32 << 10).map(|_| Box::new([1; 4096])).collect();
    drop(rows);
    let kept = HEAP.stats().dirty_bytes;
    assert!(kept > 32 << 20, "{kept} bytes are kept");
    assert!(ALLOC.tend(), "the system gives a thread");
    assert!(ALLOC.tend(), "and asking again is fine");
    let given_back = (0..LOOKS).any(|_| {
        thread::sleep(Duration::from_millis(20));
        HEAP.stats().dirty_bytes <= KEPT
    });
    assert!(given_back, "{} bytes are still kept", HEAP.stats().dirty_bytes);
}
