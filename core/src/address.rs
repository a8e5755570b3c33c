//! Small facts about addresses. Floor: cellar.

/// Rounds up to a multiple of `align`, a power of two.
#[inline(always)]
#[must_use]
pub const fn align_up(value: usize, align: usize) -> usize {
    (value + align - 1) & !(align - 1)
}

/// Makes the compiler hold `pointer` in a register of its own.
///
/// Left alone it folds `front + class * 8` into every access, and processors forward a store to the
/// next load of the same word without delay only for plain `[register]` addresses: the magazine
/// word is written by one call and read by the next (docs/decisions/0001-hot-path.md).
#[inline(always)]
#[allow(clippy::pointers_in_nomem_asm_block, reason = "the empty template reads no memory")]
pub fn in_register<T>(mut pointer: *const T) -> *const T {
    #[cfg(any(
        target_arch = "x86",
        target_arch = "x86_64",
        target_arch = "arm",
        target_arch = "aarch64",
        target_arch = "riscv32",
        target_arch = "riscv64"
    ))]
    // SAFETY: the template is empty, so the operand keeps its value and nothing else is touched.
    unsafe {
        core::arch::asm!("/* {0} */", inout(reg) pointer, options(pure, nomem, nostack, preserves_flags));
    }
    #[cfg(not(any(
        target_arch = "x86",
        target_arch = "x86_64",
        target_arch = "arm",
        target_arch = "aarch64",
        target_arch = "riscv32",
        target_arch = "riscv64"
    )))]
    {
        pointer = core::hint::black_box(pointer);
    }
    pointer
}
