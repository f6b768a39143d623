/* The common part of programs on a computer: errors, numbers as arguments, files. For C and C++. */

#ifndef HOST_H
#define HOST_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vesde.h"

static inline void fail(const char *what, const char *why) {
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

static inline void check(vesde_status status, const char *what) {
    if (status != VESDE_OK)
        fail(what, vesde_status_message(status));
}

static inline void *allocate(size_t count, size_t size) {
    void *memory = calloc(count, size);
    if (memory == NULL)
        fail("memory", "there is not enough");
    return memory;
}

static inline uint64_t number(const char *text, const char *what) {
    char *end;
    const uint64_t value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != 0)
        fail(what, "must be a number");
    return value;
}

/* The whole file, with a NUL behind its end. */
static inline char *read_file(const char *path, size_t *len) {
    FILE *file = fopen(path, "rb");
    long size = 0;
    char *bytes;
    if (file == NULL || fseek(file, 0, SEEK_END) != 0 || (size = ftell(file)) < 0)
        fail(path, "cannot be read (run from the repository's root)");
    rewind(file);
    bytes = (char *)allocate((size_t)size + 1, 1);
    if (fread(bytes, 1, (size_t)size, file) != (size_t)size)
        fail(path, "cannot be read");
    fclose(file);
    *len = (size_t)size;
    return bytes;
}

/* Writes `count` floats if the path ends in .f32; returns whether it does. */
static inline int write_floats(const char *path, const float *x, size_t count) {
    const size_t len = strlen(path);
    FILE *file;
    if (len < 4 || strcmp(path + len - 4, ".f32") != 0)
        return 0;
    file = fopen(path, "wb");
    if (file == NULL || fwrite(x, sizeof *x, count, file) != count || fclose(file) != 0)
        fail(path, "cannot be written");
    return 1;
}

#endif
