//! What the allocator must notice and stop, with a reason.
//! Floor: the global allocator.

use crate::blocks::{alloc, layout};
use alloc::alloc::dealloc;
use core::cell::UnsafeCell;
use core::hint::black_box;

#[repr(align(16))]
struct Foreign(UnsafeCell<[u8; 64]>);
// SAFETY: its content is not used.
unsafe impl Sync for Foreign {}
static FOREIGN: Foreign = Foreign(UnsafeCell::new([0; 64]));

/// Does what the allocator must notice: `kind` is `double`, `foreign` or `interior`. Comes back if it
/// doesn't.
///
/// # Safety
/// The allocator stops the program at misuse.
pub unsafe fn misuse(kind: &str) {
    let wanted = layout(48, 8);
    // SAFETY: the first use of each block is sound; the second one is what the caller answers for.
    unsafe {
        let block = alloc(wanted);
        assert!(!block.is_null());
        match kind {
            "double" => {
                dealloc(block, wanted);
                dealloc(black_box(block), wanted);
            }
            "foreign" => dealloc(FOREIGN.0.get().cast(), wanted),
            "interior" => dealloc(block.add(16), wanted),
            _ => panic!("no such misuse: {kind}"),
        }
    }
}
