//! What the kernel must stand. A check that fails panics, which ends the kernel with a verdict.
pub mod misuse;
use crate::{cpu,say};
/// All.
pub fn run() {
    let v: alloc::vec::Vec<u64> = (0..1000).collect();
    cpu::on_all(|n| { for i in 0..1000 { let b = alloc::boxed::Box::new([i; 20]); assert!(b[3] == i); } say!("hello from {n}") });
    say!("{} {}", v.len(), cpu::now_ms());
}
