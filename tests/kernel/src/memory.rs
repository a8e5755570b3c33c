//! What every compiler takes for granted: copying, filling and comparing bytes. A hosted program has these
//! from its C library. In assembly, since the compiler would turn loops into calls of these very functions.

use core::arch::naked_asm;

/// Copies `bytes` bytes; returns the destination.
#[unsafe(naked)]
#[unsafe(no_mangle)]
extern "C" fn memcpy(to: *mut u8, from: *const u8, bytes: usize) -> *mut u8 {
    naked_asm!("mov rax, rdi", "mov rcx, rdx", "rep movsb", "ret")
}

/// Copies `bytes` bytes; the ranges may overlap. Returns the destination.
#[unsafe(naked)]
#[unsafe(no_mangle)]
extern "C" fn memmove(to: *mut u8, from: *const u8, bytes: usize) -> *mut u8 {
    naked_asm!(
        "mov rax, rdi",
        "mov rcx, rdx",
        "sub rdi, rsi",
        "cmp rdi, rcx", // The destination begins inside the source: from its end.
        "mov rdi, rax",
        "jb 2f",
        "rep movsb",
        "ret",
        "2:",
        "lea rdi, [rdi + rcx - 1]",
        "lea rsi, [rsi + rcx - 1]",
        "std",
        "rep movsb",
        "cld",
        "ret"
    )
}

/// Fills `bytes` bytes with the lowest byte of `value`; returns the destination.
#[unsafe(naked)]
#[unsafe(no_mangle)]
extern "C" fn memset(to: *mut u8, value: i32, bytes: usize) -> *mut u8 {
    naked_asm!(
        "mov r8, rdi",
        "movzx eax, sil",
        "mov rcx, 0x0101010101010101",
        "imul rax, rcx",
        "mov rcx, rdx",
        "shr rcx, 3",
        "rep stosq",
        "mov ecx, edx",
        "and ecx, 7",
        "rep stosb",
        "mov rax, r8",
        "ret"
    )
}

/// The difference of the first bytes that differ, or 0.
#[unsafe(naked)]
#[unsafe(no_mangle)]
extern "C" fn memcmp(one: *const u8, other: *const u8, bytes: usize) -> i32 {
    naked_asm!(
        "xor eax, eax",
        "mov rcx, rdx",
        "cmp rax, rax", // Equal, should there be no byte at all.
        "repe cmpsb",
        "je 2f",
        "movzx eax, byte ptr [rdi - 1]",
        "movzx ecx, byte ptr [rsi - 1]",
        "sub eax, ecx",
        "2:",
        "ret"
    )
}

/// As `memcmp`, of which only "equal or not" is wanted.
#[unsafe(naked)]
#[unsafe(no_mangle)]
extern "C" fn bcmp(one: *const u8, other: *const u8, bytes: usize) -> i32 {
    naked_asm!("jmp {}", sym memcmp)
}
