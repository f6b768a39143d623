/* Reset and faults of a Cortex-M, memory as C wants it, and the stack's paint. */

#include "startup.h"

/* cortex-m.ld */
extern uint32_t stack_bottom[], stack_top[], data_load[], data_start[], data_end[], bss_start[], bss_end[];

/* The C library's own start, where it is linked: it calls main and provides stdio. */
extern void _start(void) __attribute__((weak));
extern int main(int argc, char **argv);

static const uint32_t PAINT = 0x5AFE57AC;

intptr_t semihost(int operation, const void *argument) {
    register intptr_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

_Noreturn void semihost_exit(int failed) {
    /* ADP_Stopped_RunTimeErrorUnknown, ADP_Stopped_ApplicationExit */
    semihost(SYS_EXIT, (const void *)(failed ? 0x20023 : 0x20026));
    for (;;) {
    }
}

size_t stack_used(void) {
    const uint32_t *deepest = stack_bottom;
    while (deepest < stack_top && *deepest == PAINT)
        deepest++;
    return (size_t)((const char *)stack_top - (const char *)deepest);
}

size_t stack_size(void) { return (size_t)((const char *)stack_top - (const char *)stack_bottom); }

__attribute__((used)) static void report_fault(void) {
    semihost(SYS_WRITE0, "a fault\n");
    semihost_exit(1);
}

/* The fault may be the stack's overflow, so the stack begins anew. */
__attribute__((naked)) static void fault(void) {
    __asm__ volatile("ldr r0, =stack_top\n mov sp, r0\n bl report_fault\n");
}

/* Splits the command line at spaces; quotes have no meaning. */
static int words(char *line, char **argv, int most) {
    int argc = 0;
    for (;;) {
        while (*line == ' ')
            *line++ = 0;
        if (*line == 0 || argc == most)
            return argc;
        argv[argc++] = line;
        while (*line != ' ' && *line != 0)
            line++;
    }
}

_Noreturn void reset(void) {
    static char line[256], *argv[8];
    const struct {
        char *to;
        size_t len;
    } command_line = {line, sizeof line};
    uint32_t *to;
    const uint32_t *from = data_load;
#ifdef __ARM_FP
    /* CPACR: the FPU is off until it is asked for. */
    *(volatile uint32_t *)0xE000ED88 |= 0xFu << 20;
    __asm__ volatile("dsb\n isb" ::: "memory");
#endif
    for (to = data_start; to < data_end;)
        *to++ = *from++;
    for (to = bss_start; to < bss_end;)
        *to++ = 0;
    for (to = stack_bottom; to < (uint32_t *)__builtin_frame_address(0) - 64;)
        *to++ = PAINT;
    if (_start != NULL)
        _start();
    semihost(SYS_GET_CMDLINE, &command_line);
    semihost_exit(main(words(line, argv, 8), argv));
}

__attribute__((section(".vectors"), used)) static void (*const vectors[16])(void) = {
    (void (*)(void))stack_top, (void (*)(void))reset, fault, fault, fault, fault, fault,
};
