# From the loader to Rust, for the first CPU and for the others. AT&T syntax, as everywhere in boot code.
#
# The first CPU is entered by the PVH protocol: 32 bits, no paging, flat segments, %ebx points to the
# start information. The others wake in real mode at TRAMPOLINE, where a copy of `trampoline` lies. Both
# go the same way into 64 bits.

# XEN_ELFNOTE_PHYS32_ENTRY (18): the physical address to enter a 32-bit guest at.
.section .note.pvh, "a", @note
    .balign 4
    .long 4, 4, 18
    .asciz "Xen"
    .long boot_cpu

.section .text.boot, "ax"
.code32
.global boot_cpu
boot_cpu:
    cld
    mov %ebx, start_info

    # Identity map of the first 4 GiB in pages of 2 MiB. Below 3 GiB lies memory, above it devices, which
    # are not cached.
    movl $(pdpt + 3), pml4              # present, writable
    movl $(directories + 0x0003), pdpt
    movl $(directories + 0x1003), pdpt + 8
    movl $(directories + 0x2003), pdpt + 16
    movl $(directories + 0x3003), pdpt + 24
    mov $0x83, %eax                     # present, writable, 2 MiB
    xor %ecx, %ecx
1:  cmp $1536, %ecx
    jne 2f
    or $0x18, %eax                      # write through, not cached
2:  mov %eax, directories(, %ecx, 8)
    add $0x200000, %eax
    inc %ecx
    cmp $2048, %ecx
    jne 1b

    xor %esi, %esi                      # CPU 0
    jmp enter_long_mode

# Real mode, at TRAMPOLINE: code and data are addressed from zero.
.code16
.global trampoline, trampoline_end
trampoline:
    cli
    xor %ax, %ax
    mov %ax, %ds
    lgdtl {trampoline} + trampoline_gdt - trampoline
    mov %cr0, %eax
    or $1, %eax
    mov %eax, %cr0
    ljmpl $0x18, $other_cpu
    .balign 8
trampoline_gdt:
    .word gdt_end - gdt - 1
    .long gdt
trampoline_end:

.code32
other_cpu:
    mov $0x10, %ax
    mov %ax, %ds
    mov $1, %esi
    lock xadd %esi, cpus_woken          # every CPU draws a number
    cmp ${cpus}, %esi
    jae park

# %esi: number of the CPU.
enter_long_mode:
    lgdtl boot_gdt
    mov $pml4, %eax
    mov %eax, %cr3
    mov $0x620, %eax                    # PAE, SSE and its exceptions
    mov %eax, %cr4
    mov $0xC0000080, %ecx               # EFER
    rdmsr
    or $0x100, %eax                     # long mode
    wrmsr
    mov $0x80010033, %eax               # paging, write protection, FPU, protected mode
    mov %eax, %cr0
    ljmpl $0x08, $long_mode
park:
    cli
    hlt
    jmp park

.code64
long_mode:
    mov $0x10, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    xor %ebp, %ebp
    mov %esi, %edi                      # number of the CPU
    inc %esi
    imul ${stack_bytes}, %rsi
    lea stacks(%rsi), %rsp
    call cpu_begins
    ud2

.section .rodata
    .balign 8
gdt:
    .quad 0
    .quad 0x00AF9B000000FFFF            # 0x08: code, 64 bits
    .quad 0x00CF93000000FFFF            # 0x10: data
    .quad 0x00CF9B000000FFFF            # 0x18: code, 32 bits, on the way only
gdt_end:
boot_gdt:
    .word gdt_end - gdt - 1
    .long gdt

.section .data
    .balign 4
.global cpus_woken
cpus_woken:
    .long 1

.section .bss
    .balign 4096
pml4:
    .skip 4096
pdpt:
    .skip 4096
directories:
    .skip 4 * 4096
stacks:
    .skip {cpus} * {stack_bytes}
.global start_info
start_info:
    .skip 8
