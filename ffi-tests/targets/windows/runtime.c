// What MSVC's runtime has for every program and DLL, where there is none: the entry, and what
// compilers call for a frame of more than a page, to touch its pages in order, as Windows demands.

int _fltused;

#ifdef PROGRAM
int main(int argc, char **argv);
void exit(int status);

void start(void) {
    char *none = 0;
    exit(main(1, &none));
}
#endif

// The frame's bytes are in rax, or sixteenths of them in x15; these stay, and so do arguments.
__asm__(".globl __chkstk\n"
        "__chkstk:\n"
#ifdef __x86_64__
        "    movq %rax, %r11\n"
        "    leaq 8(%rsp), %r10\n"
        "0:  subq $4096, %r11\n"
        "    jb 1f\n"
        "    subq $4096, %r10\n"
        "    orb $0, (%r10)\n"
        "    jmp 0b\n"
        "1:  ret\n");
#else
        "    lsl x16, x15, #4\n"
        "    mov x17, sp\n"
        "0:  subs x16, x16, #4096\n"
        "    b.lo 1f\n"
        "    sub x17, x17, #4096\n"
        "    ldr xzr, [x17]\n"
        "    b 0b\n"
        "1:  ret\n");
#endif
