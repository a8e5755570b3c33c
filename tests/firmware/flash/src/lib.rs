//! What every image does with its allocator: all that `GlobalAlloc` can be asked for (without the feature
//! `resizes`: what `Box` asks for), with layouts that the compiler doesn't know. Each allocator is locked by
//! masking interrupts.
//! Floor: the global allocator.

#![no_std]

extern crate alloc;

use ace_alloc::CriticalSectionLock;
use alloc::alloc::{alloc, dealloc};
#[cfg(feature = "resizes")]
use alloc::alloc::{alloc_zeroed, realloc};
use core::alloc::Layout;
use core::cell::UnsafeCell;
use core::hint::{black_box, spin_loop};
use core::panic::PanicInfo;

/// Bytes of the heap. They are no part of what an allocator costs.
pub const ARENA_BYTES: usize = 64 << 10;

#[repr(align(8))]
struct Arena(UnsafeCell<[u8; ARENA_BYTES]>);
// SAFETY: only the allocator touches it.
unsafe impl Sync for Arena {}
static ARENA: Arena = Arena(UnsafeCell::new([0; ARENA_BYTES]));

/// An allocator behind the lock that all share.
pub struct Locked<A>(lock_api::Mutex<CriticalSectionLock, A>);

impl<A> Locked<A> {
    /// The allocator, not locked.
    pub const fn new(allocator: A) -> Self {
        Self(lock_api::Mutex::new(allocator))
    }

    /// Masks interrupts until the guard goes.
    pub fn lock(&self) -> lock_api::MutexGuard<'_, CriticalSectionLock, A> {
        self.0.lock()
    }
}

/// The memory of the heap. To be asked for once.
pub fn arena() -> *mut u8 {
    ARENA.0.get().cast()
}

/// Uses the global allocator in each way there is.
pub fn work() -> ! {
    loop {
        let (bytes, align) = black_box((40, 8));
        // SAFETY: the sizes aren't 0, blocks are freed as they were last made.
        unsafe {
            let wanted = Layout::from_size_align_unchecked(bytes, align);
            let block = black_box(alloc(wanted));
            #[cfg(feature = "resizes")]
            {
                let wanted = Layout::from_size_align_unchecked(black_box(80), align);
                let resized = black_box(realloc(black_box(alloc_zeroed(wanted)), wanted, bytes));
                dealloc(resized, Layout::from_size_align_unchecked(bytes, align));
            }
            dealloc(block, wanted);
        }
    }
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {
        spin_loop();
    }
}
