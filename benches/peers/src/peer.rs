//! Owns the seam between workloads and allocators: the pair malloc–free, and a block's first word.

/// One allocator, called directly.
///
/// # Safety
/// `malloc` gives null or a block of at least `bytes` bytes, 16-byte aligned, that no one else has
/// until `free`; both may be called from any thread that called `thread_start`.
pub unsafe trait Peer: 'static {
    /// Name and version, for the report.
    fn version() -> String;

    /// Called once, on the main thread, before anything else.
    fn process_start() {}

    /// Called on every other thread before its first block.
    fn thread_start() {}

    /// Called on every other thread after its last block.
    fn thread_end() {}

    /// A new block, or null.
    fn malloc(bytes: usize) -> *mut u8;

    /// Gives a block back.
    ///
    /// # Safety
    /// 1. `block` came from `malloc(bytes)` of the same peer and was not freed since.
    unsafe fn free(block: *mut u8, bytes: usize);
}

/// Allocates `bytes` (at least 8) and writes `word` into the block's first eight bytes.
#[inline(always)]
pub fn take<P: Peer>(bytes: usize, word: u64) -> *mut u8 {
    let block = opaque(P::malloc(bytes));
    if block.is_null() {
        out_of_memory();
    }
    // SAFETY: Peer's contract => the block has >= 8 bytes of its own and is aligned for a u64.
    unsafe { block.cast::<u64>().write(word) };
    block
}

/// Reads back the first word of a block and frees it.
///
/// # Safety
/// 1. `block` came from `take::<P>(bytes, _)` and was not given before.
#[inline(always)]
pub unsafe fn give<P: Peer>(block: *mut u8, bytes: usize) -> u64 {
    // SAFETY: (1) => the block is live, and `take` wrote its first word.
    let word = unsafe { block.cast::<u64>().read() };
    // SAFETY: (1) is free's own condition.
    unsafe { P::free(block, bytes) };
    word
}

/// Hides from the compiler where a pointer comes from, at the price of no instruction: it knows
/// `malloc` and `free` by name and could otherwise shorten the glibc worker alone.
#[inline(always)]
#[expect(clippy::pointers_in_nomem_asm_block, reason = "the pointer passes through, unused")]
fn opaque(mut block: *mut u8) -> *mut u8 {
    // SAFETY: the assembly is empty; it leaves the register, memory and flags as they are.
    unsafe {
        core::arch::asm!(
            "/* {0} */",
            inout(reg) block,
            options(nomem, nostack, preserves_flags)
        );
    }
    block
}

/// A peer that runs dry ends the measurement; out of line, to keep the loops short.
#[cold]
#[inline(never)]
fn out_of_memory() -> ! {
    eprintln!("the allocator returned null");
    std::process::abort()
}
