//! The calling thread's front, and the hook at the thread's end. Floor: adapter.
//!
//! **Access.** On x86_64 the front is a thread-local block of our own in initial-exec form: two
//! instructions, no call, also in a shared library (std's `thread_local!` calls `__tls_get_addr` there,
//! which costs more than the rest of malloc). Its initial image is `Front::EMPTY`, so no thread needs
//! an "initialised?" test. The symbol's name holds the version, so that two versions of this crate can
//! live in one program.
//!
//! **The end.** A pthread key's destructor, because it needs no memory for keys below 32 and runs after
//! the destructors of C++ and Rust thread-locals. The C library calls key destructors in 4 rounds; we
//! re-arm until the third, so that other keys' destructors that allocate or free still find a heap.
//! One round is to spare, for a thread whose first malloc is itself in such a destructor.
//!
//! | phase | meaning |
//! |---|---|
//! | FRESH | the thread has no heap |
//! | LISTING | inside pthread_setspecific, which may allocate: the thread's heap is there already |
//! | LISTED | the hook will run |
//! | GONE | the hook ran: what the thread still frees or asks for goes through the shared pool |

use crate::{HEAP, start};
use ace_alloc::{platform::Threads, tiny::Front};
use core::{
    cell::Cell,
    ffi::c_void,
    ptr::{self, NonNull},
    sync::atomic::{AtomicU32, Ordering},
};

/// Thread-local storage as this crate uses it.
#[derive(Debug)]
pub struct LinuxThreads;

// SAFETY: both forms of `block` give each thread a `Block` of its own that begins as Front::EMPTY and
// FRESH, and that lives in the thread's static TLS, so it neither moves nor goes away before the thread.
unsafe impl Threads for LinuxThreads {
    const INIT: Self = Self;

    #[inline(always)]
    fn front(&self) -> NonNull<Front> {
        block().cast()
    }

    #[cold]
    fn on_first_use() -> bool {
        let phase = phase();
        match phase.get() {
            FRESH => {}
            LISTED => return true,
            _ => return false,
        }
        phase.set(LISTING);
        start::on_first_use();
        let listed = exit_key().is_some_and(|key| arm(key, 1));
        phase.set(if listed { LISTED } else { FRESH });
        listed
    }
}

const FRESH: u32 = 0;
const LISTING: u32 = 1;
const LISTED: u32 = 2;
const GONE: u32 = 3;

/// Round of key destructors in which the heap is given up.
const LAST_ROUND: usize = 3;

/// A thread's block: the front first, because it is what HOT reads.
#[repr(C, align(64))]
struct Block {
    front: Front,
    phase: Cell<u32>,
}

fn phase() -> &'static Cell<u32> {
    // SAFETY: the block outlives every use by its own thread, and `Cell` keeps it in this thread.
    unsafe { &block().as_ref().phase }
}

/// The process's pthread key plus one; 0 while there is none.
static KEY: AtomicU32 = AtomicU32::new(0);

fn exit_key() -> Option<libc::pthread_key_t> {
    let known = KEY.load(Ordering::Acquire);
    if known != 0 {
        return Some(known - 1);
    }
    let mut key = 0;
    // SAFETY: `key` is a valid place, and `on_exit` has the signature of a destructor.
    if unsafe { libc::pthread_key_create(&raw mut key, Some(on_exit)) } != 0 {
        return None;
    }
    match KEY.compare_exchange(0, key + 1, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => Some(key),
        Err(first) => {
            // Another thread was faster.
            // SAFETY: nobody has seen this key.
            unsafe { libc::pthread_key_delete(key) };
            Some(first - 1)
        }
    }
}

fn arm(key: libc::pthread_key_t, round: usize) -> bool {
    // SAFETY: the key exists; its value is a number that only `on_exit` reads.
    unsafe { libc::pthread_setspecific(key, ptr::without_provenance(round)) == 0 }
}

unsafe extern "C" fn on_exit(round: *mut c_void) {
    let round = round.addr();
    if round < LAST_ROUND && exit_key().is_some_and(|key| arm(key, round + 1)) {
        return;
    }
    phase().set(GONE);
    HEAP.thread_exit();
}

#[cfg(target_arch = "x86_64")]
use initial_exec::block;

#[cfg(target_arch = "x86_64")]
mod initial_exec {
    use super::Block;
    use ace_alloc::{
        size_class::SizeClass,
        tiny::{Front, SENTINEL, SENTINEL_OFFSET},
    };
    use core::{
        arch::{asm, global_asm},
        mem::{align_of, offset_of, size_of},
        ptr::NonNull,
    };

    macro_rules! symbol {
        () => {
            concat!(
                "ace_alloc_front_",
                env!("CARGO_PKG_VERSION_MAJOR"),
                "_",
                env!("CARGO_PKG_VERSION_MINOR"),
                "_",
                env!("CARGO_PKG_VERSION_PATCH")
            )
        };
    }

    /// Half words of `own` and of the fields behind it.
    const FIELD_WORDS: usize = 14;

    // The image below is `Block` in its first state: stack pointers into the sentinel, NOBODY, zeros.
    const _: () = {
        assert!(offset_of!(Block, front) == 0 && align_of::<Block>() == 64);
        assert!(align_of::<Front>() <= 64 && size_of::<Front>() > SizeClass::COUNT * 8);
        let front = Front::EMPTY;
        let words = (&raw const front).cast::<u32>();
        let own = SizeClass::COUNT * 2;
        // SAFETY: `own` and the fields behind it (2 half words, 5 words, 2 half words) have no padding.
        assert!(unsafe { words.add(own).read() } == Front::NOBODY);
        let mut word = own + 1;
        while word < own + FIELD_WORDS {
            // SAFETY: as above.
            assert!(unsafe { words.add(word).read() } == 0);
            word += 1;
        }
    };

    global_asm!(
        concat!(".pushsection .tdata.", symbol!(), ",\"awT\",@progbits"),
        ".p2align 6",
        concat!(".globl ", symbol!()),
        concat!(".hidden ", symbol!()),
        concat!(".type ", symbol!(), ", @object"),
        concat!(symbol!(), ":"),
        ".rept {classes}",
        ".quad {sentinel} + {empty}",
        ".endr",
        ".long {nobody}",
        ".zero {bytes} - {classes} * 8 - 4",
        concat!(".size ", symbol!(), ", {bytes}"),
        ".popsection",
        classes = const SizeClass::COUNT,
        sentinel = sym SENTINEL,
        empty = const SENTINEL_OFFSET,
        nobody = const Front::NOBODY,
        bytes = const size_of::<Block>(),
    );

    #[inline(always)]
    pub(super) fn block() -> NonNull<Block> {
        let block: *mut Block;
        // SAFETY: the thread pointer's first word is its own address (the x86_64 TLS ABI), and the GOT
        // entry is the block's constant distance from it. `pure, nomem`: within one call a thread stays
        // the same thread, so the compiler may read it once.
        unsafe {
            asm!(
                "mov {block}, qword ptr fs:0",
                concat!("add {block}, qword ptr [rip + ", symbol!(), "@GOTTPOFF]"),
                block = out(reg) block,
                options(pure, nomem, nostack)
            );
            NonNull::new_unchecked(block)
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
use portable::block;

#[cfg(not(target_arch = "x86_64"))]
mod portable {
    extern crate std;
    use super::{Block, FRESH};
    use ace_alloc::tiny::Front;
    use core::{cell::Cell, ptr::NonNull};

    std::thread_local! {
        // Const and without destructor: plain static TLS, no registration, no "initialised?" test.
        static BLOCK: Block = const { Block { front: Front::EMPTY, phase: Cell::new(FRESH) } };
    }

    #[inline(always)]
    pub(super) fn block() -> NonNull<Block> {
        BLOCK.with(|block| NonNull::from(block))
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::{Block, FRESH, block};
    use ace_alloc::tiny::Front;
    use core::{mem::size_of, slice};
    use std::thread;

    #[test]
    fn a_fresh_thread_begins_with_the_empty_front() {
        let seen = thread::spawn(|| {
            let block = block();
            assert!(block.as_ptr().addr().is_multiple_of(align_of::<Block>()));
            // SAFETY: the block is this thread's, and nothing has used it: this test's program has
            // std's own global allocator.
            let block = unsafe { block.as_ref() };
            assert_eq!(block.phase.get(), FRESH);
            words(&block.front)
        });
        let empty = Front::EMPTY;
        assert_eq!(seen.join().expect("no assertion failed"), words(&empty));
    }

    fn words(front: &Front) -> std::vec::Vec<usize> {
        let first: *const usize = (&raw const *front).cast();
        let fields = size_of::<Front>() / size_of::<usize>() - 2;
        // SAFETY: a Front is whole words without padding but for its last two.
        unsafe { slice::from_raw_parts(first, fields) }.to_vec()
    }
}
