//! Makes and drops boxes, as often as its arguments say, for counting instructions.

use ace_alloc_linux::AceAlloc;
use std::hint::black_box;

#[global_allocator]
static ALLOCATOR: AceAlloc = AceAlloc::new();

fn main() {
    let pairs: u64 = std::env::args().nth(1).and_then(|text| text.parse().ok()).expect("pairs");
    for number in 0..pairs {
        drop(black_box(Box::new(number)));
    }
}
