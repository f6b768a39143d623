// As little of Linux as a statically linked program of ffi-tests/c asks for: it prints on the
// serial port and reads the files that the loader brought as modules. Everything runs in ring 0.

#include <elf.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>

enum { SERIAL = 0x3f8, SERIAL_LINE = SERIAL + 3, EIGHT_BITS = 3, SERIAL_STATUS = SERIAL + 5, SERIAL_READY = 0x20, SERIAL_IDLE = 0x40, BOCHS_POWER = 0x8900 };
enum { MODULES = 6, FIRST_FILE = 3, HEAP = 0x10000000, STACK = 0x20000000, FS_BASE = 0xc0000100 };
enum { NO_ENTRY = -2, BAD_FILE = -9, NO_MEMORY = -12, NO_TERMINAL = -25, NO_SYSTEM_CALL = -38 };

void enter(uint64_t address, const uint64_t *stack);

// What the loader says of itself, as the Multiboot specification (0.6.96) lays it out.
struct loader {
    uint32_t flags, memory[2], boot_device, command_line, modules, first_module;
};
struct module {
    uint32_t start, end, name, reserved;
};

static const struct module *modules;
static uint32_t module_count;
static uint32_t position[MODULES];
static uint64_t heap = HEAP;

static void out(uint16_t port, uint8_t byte) { __asm__ volatile("outb %0, %1" : : "a"(byte), "Nd"(port)); }

static uint8_t in(uint16_t port) {
    uint8_t byte;
    __asm__ volatile("inb %1, %0" : "=a"(byte) : "Nd"(port));
    return byte;
}

static void print(const char *text, size_t len) {
    for (; len > 0; --len, ++text) {
        while (!(in(SERIAL_STATUS) & SERIAL_READY)) {
        }
        out(SERIAL, (uint8_t)*text);
    }
}

static void print_line(const char *text, uint64_t number) {
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    print(text, strlen(text));
    print(digits + at, sizeof digits - at);
    print("\n", 1);
}

static _Noreturn void power_off(uint64_t status) {
    print_line("exit ", status);
    while (!(in(SERIAL_STATUS) & SERIAL_IDLE)) {
    }
    for (const char *word = "Shutdown"; *word != 0; ++word) {
        out(BOCHS_POWER, (uint8_t)*word);
    }
    for (;;) {
        __asm__ volatile("cli; hlt");
    }
}

static const char *last_part(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

// On the disc all files lie in one folder.
static int64_t open_file(const char *path) {
    for (uint32_t i = 0; i < module_count && i < MODULES; ++i) {
        if (strcmp(last_part((const char *)(uintptr_t)modules[i].name), last_part(path)) == 0) {
            position[i] = modules[i].start;
            return FIRST_FILE + i;
        }
    }
    return NO_ENTRY;
}

static int64_t read_file(uint64_t file, void *to, size_t len) {
    const uint64_t i = file - FIRST_FILE;
    if (file < FIRST_FILE || i >= module_count || i >= MODULES) {
        return BAD_FILE;
    }
    const size_t left = modules[i].end - position[i];
    if (len > left) {
        len = left;
    }
    memcpy(to, (const void *)(uintptr_t)position[i], len);
    position[i] += (uint32_t)len;
    return (int64_t)len;
}

static int64_t over_parts(uint64_t number, uint64_t file, const struct iovec *parts, uint64_t count) {
    int64_t done = 0;
    for (uint64_t i = 0; i < count; ++i) {
        if (number == SYS_writev) {
            print(parts[i].iov_base, parts[i].iov_len);
            done += (int64_t)parts[i].iov_len;
        } else {
            const int64_t got = read_file(file, parts[i].iov_base, parts[i].iov_len);
            if (got < 0) {
                return got;
            }
            done += got;
        }
    }
    return done;
}

int64_t system_call(uint64_t number, uint64_t a, uint64_t b, uint64_t c) {
    switch (number) {
        case SYS_arch_prctl: // the C library sets its thread's pointer by it
            __asm__ volatile("wrmsr" : : "c"(FS_BASE), "a"((uint32_t)b), "d"((uint32_t)(b >> 32)));
            return 0;
        case SYS_set_tid_address: return 1;
        case SYS_ioctl: return NO_TERMINAL;
        case SYS_open: return open_file((const char *)a);
        case SYS_close: return 0;
        case SYS_read: return read_file(a, (void *)b, c);
        case SYS_write: print((const char *)b, c); return (int64_t)c;
        case SYS_readv:
        case SYS_writev: return over_parts(number, a, (const struct iovec *)b, c);
        case SYS_brk: return NO_MEMORY; // so that it asks for pages
        case SYS_mmap: {
            const uint64_t start = heap;
            heap += (b + 4095) & ~(uint64_t)4095;
            if (heap >= STACK) {
                return NO_MEMORY;
            }
            return (int64_t)start;
        }
        case SYS_mprotect:
        case SYS_munmap: return 0;
        case SYS_exit_group: power_off(a);
        default: print_line("no system call ", number); return NO_SYSTEM_CALL;
    }
}

// The first module is the program.
void kernel(const struct loader *loader) {
    out(SERIAL_LINE, EIGHT_BITS);
    modules = (const struct module *)(uintptr_t)loader->first_module;
    module_count = loader->modules;
    const uint8_t *file = (const uint8_t *)(uintptr_t)modules[0].start;
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)file;
    const Elf64_Phdr *segments = (const Elf64_Phdr *)(file + header->e_phoff);
    for (int i = 0; i < header->e_phnum; ++i) {
        if (segments[i].p_type == PT_LOAD) {
            uint8_t *to = (uint8_t *)segments[i].p_vaddr;
            memset(to, 0, segments[i].p_memsz);
            memcpy(to, file + segments[i].p_offset, segments[i].p_filesz);
        }
    }
    // argc, argv, envp, and the auxiliary vector with nothing in it but random bytes for the C
    // library
    static const uint64_t random[2] = {1, 2};
    uint64_t *stack = (uint64_t *)STACK - 16;
    memset(stack, 0, 16 * sizeof *stack);
    stack[0] = 1;
    stack[1] = modules[0].name;
    const uint64_t aux[] = {AT_RANDOM, (uint64_t)random, AT_PAGESZ, 4096, AT_PHDR, header->e_phoff + segments[0].p_vaddr,
                            AT_PHNUM, header->e_phnum, AT_PHENT, sizeof *segments, AT_NULL, 0};
    memcpy(stack + 4, aux, sizeof aux);
    enter(header->e_entry, stack);
}
