/* From the loader's 32-bit mode to 64-bit C with 512-bit registers, and what catches the program's
 * system calls: all in ring 0, all memory where it is. */

    .section .multiboot, "a"
    .balign 4
    .long 0x1badb002, 0, -0x1badb002 /* the magic number, flags, and what makes the sum zero */

    .section .bss
    .balign 4096
tables: .skip 3 * 4096
stack:  .skip 65536
stack_end:
caller: .skip 8

    .section .rodata
    .balign 8
gdt:    .quad 0, 0x00af9a000000ffff, 0x00cf92000000ffff /* 64-bit code, data */
gdt_pointer:
    .word 23
    .quad gdt

    .text
    .code32
    .globl start
start:
    mov %ebx, %esi /* the loader's description */
    /* 1 GiB in pages of 2 MiB, each at its own address */
    movl $tables + 4096 + 3, tables
    movl $tables + 8192 + 3, tables + 4096
    xor %ecx, %ecx
1:  mov %ecx, %eax
    shl $21, %eax
    or $0x83, %eax
    mov %eax, tables + 8192(, %ecx, 8)
    inc %ecx
    cmp $512, %ecx
    jne 1b
    mov $tables, %eax
    mov %eax, %cr3
    mov $0x40620, %eax /* PAE, SSE's state and exceptions, XSAVE */
    mov %eax, %cr4
    mov $0xc0000080, %ecx
    mov $0x101, %eax /* long mode, system calls */
    xor %edx, %edx
    wrmsr
    mov $0x80000033, %eax /* paging, floating point on */
    mov %eax, %cr0
    lgdt gdt_pointer
    ljmp $8, $wide

    .code64
wide:
    mov $16, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov $stack_end, %esp
    xor %ecx, %ecx
    xor %edx, %edx
    mov $0xe7, %eax /* x87, SSE, AVX, AVX-512 */
    xsetbv
    fninit
    mov $0xc0000081, %ecx /* STAR: the segments of a system call */
    xor %eax, %eax
    mov $8, %edx
    wrmsr
    inc %ecx /* LSTAR: its code */
    mov $entered, %eax
    xor %edx, %edx
    wrmsr
    mov %esi, %edi
    call kernel
    hlt

/* The program's red zone lies below its stack pointer, so nothing may be pushed there. */
entered:
    mov %rsp, caller
    mov $stack_end, %esp
    push %rcx
    push %r11
    push %rdi
    push %rsi
    push %rdx
    push %r8
    push %r9
    push %r10
    mov %rdx, %rcx
    mov %rsi, %rdx
    mov %rdi, %rsi
    mov %rax, %rdi
    call system_call
    pop %r10
    pop %r9
    pop %r8
    pop %rdx
    pop %rsi
    pop %rdi
    pop %r11
    pop %rcx
    mov caller, %rsp
    jmp *%rcx

/* enter(address, stack) */
    .globl enter
enter:
    mov %rsi, %rsp
    xor %edx, %edx
    jmp *%rdi

    .section .note.GNU-stack, "", @progbits
