/* What a Cortex-M has before main, after it, and instead of an operating system: startup.c. */

#ifndef STARTUP_H
#define STARTUP_H

#include <stddef.h>
#include <stdint.h>

/* Semihosting: asks the debug probe, or the emulator, for one of these operations. */
enum { SYS_OPEN = 1, SYS_CLOSE = 2, SYS_WRITE0 = 4, SYS_WRITE = 5, SYS_GET_CMDLINE = 0x15, SYS_EXIT = 0x18 };
enum { OPEN_WB = 5 };

intptr_t semihost(int operation, const void *argument);
_Noreturn void semihost_exit(int failed);

/* The most that the stack has held since the reset, and what it may hold, in bytes. */
size_t stack_used(void);
size_t stack_size(void);

#endif
