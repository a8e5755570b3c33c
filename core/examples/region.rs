//! Collections in a region of memory of their own: a heap within an array, on any host, beside the program's
//! allocator. What one part of a program may use is bounded, and a request beyond that is an error to deal with.
//!
//! `cargo run -p ace-alloc --example region --features allocator-api2-04`

use ace_alloc::LockedHeap;
use allocator_api2_04::{boxed::Box, vec::Vec};
use core::mem::MaybeUninit;

const BYTES: usize = 16 << 10;

/// A message of a protocol whose parser may use 16 KiB.
struct Message<'heap> {
    fields: Vec<Box<[u8], &'heap LockedHeap>, &'heap LockedHeap>,
}

fn parse<'heap>(text: &str, heap: &'heap LockedHeap) -> Option<Message<'heap>> {
    let mut fields = Vec::new_in(heap);
    for field in text.split(',') {
        let mut bytes = Vec::new_in(heap);
        bytes.try_reserve_exact(field.len()).ok()?;
        bytes.extend_from_slice(field.as_bytes());
        fields.try_reserve(1).ok()?;
        fields.push(bytes.into_boxed_slice());
    }
    Some(Message { fields })
}

fn main() {
    let mut memory = [MaybeUninit::<u8>::uninit(); BYTES];
    let heap: LockedHeap = LockedHeap::empty();
    // SAFETY: the memory is the heap's alone, and outlives it: it is declared before.
    let usable = unsafe { heap.claim(memory.as_mut_ptr().cast(), BYTES) };
    println!("{usable:?} of {BYTES} bytes for blocks");

    let message = parse("temperature,21.5,celsius", &heap).expect("it is short");
    let texts: std::vec::Vec<_> =
        message.fields.iter().map(|f| String::from_utf8_lossy(f)).collect();
    println!("{texts:?}, {} bytes live", heap.stats().live);
    drop(message);

    let long = "0123456789,".repeat(2000);
    assert!(parse(&long, &heap).is_none(), "a hostile message ends with an error");
    assert_eq!(heap.stats().live, 0, "and leaves nothing behind");
    assert!(parse("0,1", &heap).is_some(), "so that the next one is served");
}
